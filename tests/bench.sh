#!/bin/bash
# bench.sh [VMS] - measures what the roles do for VMs beside the same work by forked ip, iptables,
# nft, conntrack and losetup.  Both run in turn in one network namespace; the best of three rounds
# of each counts.  No result passes or fails.  Our times include a round trip through this shell for
# each request, and the request log, which is synced before each change.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/integration/lib.sh"
VMS=${1:-50} ROUNDS=3
in_ns "$@"
for tool in ip bridge iptables nft conntrack losetup; do
	command -v $tool >/dev/null || { echo "bench: $tool is not there"; exit 1; }
done
declare -A BEST
addr() { echo "10.97.$((1 + $1 / 250)).$((2 + $1 % 250))"; } # of theirs
mac() { printf '02:fd:00:00:%02x:%02x' $(($1 / 256)) $(($1 % 256)); }

must() { # must ROLE COMMAND...: an answer that is not ok ends it
	local got
	got=$(ask "$@")
	[[ $got == ok* ]] || { echo "bench: $*: $got" >&2; exit 1; }
}
run() { "$@" >/dev/null || { echo "bench: $*" >&2; exit 1; }; }

# ---- ours ----
ours_make() {
	must net tap_create "slot=$1" "gen=$GEN" && must net guest_allow "slot=$1" "gen=$GEN" &&
		must net nat_add "slot=$1" "gen=$GEN"
}
ours_off() {
	must net nat_remove "slot=$1" "gen=$GEN" && must net guest_deny "slot=$1" "gen=$GEN" &&
		must net tap_retire "slot=$1" "gen=$GEN"
}
ours_make_all() { for ((i = 0; i < VMS; i++)); do ours_make $i; done; }
ours_drop_all() { for ((i = 0; i < VMS; i++)); do ours_off $i; done; must net tap_sweep; }
ours_make_one() { ours_make "$VMS"; }
ours_drop_one() { ours_off "$VMS"; must net tap_sweep; }
ours_nat_on() { must net nat_add slot=0 "gen=$GEN"; }
ours_nat_off() { must net nat_remove slot=0 "gen=$GEN"; }
ours_attach() {
	for ((i = 0; i < VMS; i++)); do
		must blk loop_attach "slot=$i" part=1 "gen=$GEN" "fd=$T/state/cow$i:rw"
	done
}
ours_detach() {
	for ((i = 0; i < VMS; i++)); do must blk loop_detach "slot=$i" part=1 "gen=$GEN"; done
}

# ---- theirs ----
theirs_prepare() {
	ip link add benchbr type bridge && ip link set benchbr up
	nft -f - <<-END
		add table bridge bench
		add set bridge bench guest { type ifname . ether_addr . ipv4_addr; }
	END
}
theirs_make() {
	run ip tuntap add "bench$1" mode tap user "$UID_BASE" group "$UID_BASE" vnet_hdr
	run ip link set "bench$1" master benchbr alias "bench:$1" up
	run bridge link set dev "bench$1" isolated on learning off flood off mcast_flood off
	run bridge fdb replace "$(mac "$1")" dev "bench$1" master static
	run nft add element bridge bench guest "{ bench$1 . $(mac "$1") . $(addr "$1") }"
	theirs_nat A "$1"
}
theirs_nat() { # theirs_nat A|D VM
	run iptables -w "-$1" FORWARD -i benchbr -s "$(addr "$2")" ! -o benchbr -j ACCEPT
	run iptables -w -t nat "-$1" POSTROUTING -s "$(addr "$2")" ! -o benchbr -j MASQUERADE
}
theirs_drop() {
	theirs_nat D "$1"
	run nft delete element bridge bench guest "{ bench$1 . $(mac "$1") . $(addr "$1") }"
	conntrack -D -s "$(addr "$1")" >/dev/null 2>&1 # fails when there are none
	run ip link del "bench$1"
}
theirs_make_all() { for ((i = 0; i < VMS; i++)); do theirs_make $i; done; }
theirs_drop_all() { for ((i = 0; i < VMS; i++)); do theirs_drop $i; done; }
theirs_make_one() { theirs_make "$VMS"; }
theirs_drop_one() { theirs_drop "$VMS"; }
theirs_nat_on() { theirs_nat A 0; }
theirs_nat_off() { theirs_nat D 0; }
theirs_attach() {
	for ((i = 0; i < VMS; i++)); do LOOPS[i]=$(losetup -f --show "$T/state/cow$i"); done
}
theirs_detach() { for ((i = 0; i < VMS; i++)); do run losetup -d "${LOOPS[i]}"; done; }

# ---- the clock ----
time_of() { # time_of ours|theirs WHAT: microseconds into BEST, if it is the best so far
	local before=${EPOCHREALTIME/./} us
	"$1_$2"
	us=$((${EPOCHREALTIME/./} - before))
	[ "${BEST[$1 $2]:-$us}" -lt $us ] || BEST[$1 $2]=$us
}
row() { # row WHAT COUNT TEXT
	awk -v o="${BEST[ours $1]}" -v t="${BEST[theirs $1]}" -v n="$2" -v what="$3" 'BEGIN {
		printf "%-52s %10.2f %10.2f %8.1f\n", what, o / n / 1000, t / n / 1000, t / o
	}'
}

conf_make slots=$((VMS + 1)) per_owner=$((VMS + 1)) subnet=10.98.0.0/16 rate=10000
places_make
theirs_prepare
peer_start net
peer_start blk
must net run
must blk run
for ((i = 0; i < VMS; i++)); do
	truncate -s 4M "$T/state/cow$i" && chown $CTL_ID "$T/state/cow$i"
done
for ((GEN = 1; GEN <= ROUNDS; GEN++)); do
	for what in make_all make_one nat_off nat_on drop_one drop_all attach detach; do
		time_of ours $what
		time_of theirs $what
	done
done
printf '%-52s %10s %10s %8s\n' "milliseconds for one VM, beside $VMS others" banger forks ratio
row make_one 1 "tap, anti-spoof, NAT: made"
row drop_one 1 "NAT, anti-spoof, flows, tap: removed"
row make_all "$VMS" "made, each of $VMS"
row drop_all "$VMS" "removed, each of $VMS at once"
row nat_on 1 "NAT on"
row nat_off 1 "NAT off"
row attach "$VMS" "CoW store: loop attached"
row detach "$VMS" "CoW store: loop detached"
