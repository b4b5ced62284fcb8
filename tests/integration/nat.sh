#!/bin/bash
# Tests that NAT is removed even if its records are lost: seven scenarios with the controller's own
# code, the real net role and the kernel. nat_scenarios plays the controller's steps and counts the
# requests to the role. nft and ip show the result.
. "$(dirname "$0")/lib.sh"
in_ns "$@"
needs jq nft ip
[ -c /dev/net/tun ] || skip_all "this kernel has no /dev/net/tun"

# ---- one TAP line a scenario ----
WRONG=()
want() { # want GOT PATTERN WHAT
	# shellcheck disable=SC2053
	[[ $1 == $2 ]] || WRONG+=("$3:" "  got:  $1" "  want: $2")
}
scenario() { # scenario NAME: says how it went, then everything is made anew for the next one
	if [ ${#WRONG[@]} = 0 ]; then ok "$1"; else not_ok "$1" "${WRONG[@]}"; fi
	WRONG=()
	daemons_stop
	forget
}

# ---- the two daemons: a process that is the controller, and the net role that it starts ----
ROLE=
daemons_start() {
	local line
	rm -f "$T"/nat.{in,out}
	mkfifo "$T/nat.in" "$T/nat.out"
	"$B/nat_scenarios" "$CONF" "$T/net.log" "$B/banger-role-net" <"$T/nat.in" >"$T/nat.out" \
		2>>"$T/nat.err" &
	PEER_PID["nat"]=$!
	# shellcheck disable=SC1083
	exec {PEER_IN[nat]}>"$T/nat.in" {PEER_OUT[nat]}<"$T/nat.out"
	read -r -t 30 line <&"${PEER_OUT[nat]}"
	want "$line" "ok ready role=*" "the daemons start"
	ROLE=${line##*=}
}
daemons_stop() { peer_stop nat; }
ctl() { ask nat "$@"; }
forget() { # no row, no scratch file, nothing in the kernel
	local i
	rm -rf "$T"/state/banger.db* "$T"/run/slots/*/*
	nft delete table inet banger
	nft delete table bridge banger
	for i in $(ip -j link | jq -r '.[].ifname | select(test("^bgr[0-9]"))'); do
		ip link del "$i"
	done
}

# ---- what the kernel has ----
nat4() { # addresses and tags in the set, one line
	nft -j list set inet banger nat4 |
		jq -r '[.nftables[].set? // empty | .elem[]? | .elem | "\(.val)=\(.comment)"] |
			sort | join(" ")'
}
taps() {
	ip -j link | jq -r '[.[] | select(.ifname | test("^bgr[0-9]")) |
		"\(.ifname)=\(.ifalias)"] | sort | join(" ")'
}
foreign() { # a table of the admin's, and a tap likewise
	nft -j list table inet admin | jq -c '.nftables[1:]'
	ip -j link show adm0 | jq -c '.[0] | [.ifindex, .address, .ifalias]'
}
untouched() { # untouched WHAT: the table and the tap of the admin are unchanged
	[ "$(foreign)" = "$theirs" ] || WRONG+=("$1:" "  got:  $(foreign)" "  want: $theirs")
}
tag() { echo "10.97.0.$((2 + $1))=banger:$1:1:1000"; }

conf_make slots=4
places_make
ip tuntap add adm0 mode tap
ip link set adm0 alias mine
nft -f - <<-END
	table inet admin {
		set nat4 { type ipv4_addr; elements = { 10.97.0.2, 10.97.0.4 } }
		chain post {
			type nat hook postrouting priority srcnat + 5
			ip saddr @nat4 oifname "adm0" masquerade
		}
	}
END
theirs=$(foreign)
want "$theirs" '*10.97.0.4*"mine"*' "the admin's own table and tap are there"

# ---- 1 ----
daemons_start
want "$(ctl create on on)" "ok slot=0 gen=1 add=0 remove=0 other=0" "a VM with NAT"
want "$(ctl create off off)" "ok slot=1 gen=1 add=0 remove=0 other=0" "a VM without"
want "$(ctl start on)" "ok add=1 remove=0 other=2" "it is started"
want "$(ctl start off)" "ok add=0 remove=0 other=2" "so is the other"
want "$(nat4)" "$(tag 0)" "the first one's address has NAT"
want "$(ctl apply on on)" "ok add=0 remove=0 other=0" "on stays on: nothing is asked"
want "$(ctl apply off off)" "ok add=0 remove=0 other=0" "off stays off: nothing is asked"
want "$(nat4)" "$(tag 0)" "the kernel is as it was"
scenario nat_apply_config_change_noop_when_flag_unchanged

# ---- 2 ----
daemons_start
want "$(ctl create web off)" "ok slot=0 gen=1 *" "a VM that does not run"
want "$(ctl create nat on)" "ok slot=1 gen=1 *" "and one with NAT"
want "$(ctl apply web on)" "ok add=0 remove=0 other=0" "turned on: nothing is asked"
want "$(ctl apply nat off)" "ok add=0 remove=0 other=0" "turned off: nothing is asked"
want "$(nat4)$(taps)" "" "nothing is in the kernel"
want "$(ctl show web)" "ok state=created * ledger= *" "nor in the ledger"
scenario nat_apply_config_change_noop_when_vm_not_alive

# ---- 3 ----
daemons_start
want "$(ctl create other on)" "ok slot=0 gen=1 *" "another VM"
want "$(ctl create web off)" "ok slot=1 gen=1 *" "a VM"
want "$(ctl start other)" "ok add=1 remove=0 other=2" "the other is started"
want "$(ctl start web)" "ok add=0 remove=0 other=2" "it is started"
want "$(nat4)" "$(tag 0)" "it has no NAT"
want "$(ctl apply web on)" "ok add=1 remove=0 other=0" "turned on: one request"
want "$(nat4)" "$(tag 0) $(tag 1)" "the kernel has its element"
want "$(ctl show web)" "ok state=running nat=1 tap=bgr1 ledger=tap,guest,nat *" \
	"row and ledger say so"
want "$(ctl apply web off)" "ok add=0 remove=1 other=0" "turned off: one request"
want "$(nat4)" "$(tag 0)" "its element is gone, the other's is not"
want "$(ctl show web)" "ok state=running nat=0 tap=bgr1 ledger=tap,guest *" "row and ledger say so"
want "$(taps)" "bgr0=* bgr1=*" "both taps are there"
scenario nat_apply_config_change_toggles_nat_when_alive

# ---- 4 ----
daemons_start
want "$(ctl create web off)" "ok slot=0 gen=1 *" "a VM without NAT"
want "$(ctl start web)" "ok add=0 remove=0 other=2" "it is started"
want "$(taps)" "bgr0=banger:0:1:1000" "it has its tap"
want "$(ctl cleanup web)" "ok add=0 remove=0 other=0" "cleanup: nothing is asked"
want "$(taps)" "bgr0=banger:0:1:1000" "its tap is there"
scenario nat_cleanup_noop_when_nat_disabled

# ---- 5 ----
daemons_start
want "$(ctl create other on)" "ok slot=0 gen=1 *" "another VM"
want "$(ctl start other)" "ok add=1 remove=0 other=2" "is started"
want "$(ctl create web on)" "ok slot=1 gen=1 *" "a VM with NAT that never ran"
want "$(ctl show web)" "ok state=created nat=1 tap= ledger= *" "nothing names a tap"
want "$(ctl cleanup web)" "ok add=0 remove=0 other=0" "cleanup: nothing is asked"
want "$(nat4)" "$(tag 0)" "the kernel is as it was"
scenario nat_cleanup_noop_when_runtime_handles_missing

# ---- 6 ----
daemons_start
want "$(ctl create other on)" "ok slot=0 gen=1 *" "another VM"
want "$(ctl create web on)" "ok slot=1 gen=1 *" "a VM with NAT"
want "$(ctl start other)" "ok add=1 remove=0 other=2" "the other is started"
want "$(ctl start web)" "ok add=1 remove=0 other=2" "it is started"
want "$(nat4)" "$(tag 0) $(tag 1)" "both have NAT"
want "$(ctl cleanup web)" "ok add=0 remove=1 other=0" "cleanup: one request"
want "$(nat4)" "$(tag 0)" "its element is gone, the other's is not"
want "$(ctl cleanup web)" "ok add=0 remove=1 other=0" \
	"again, while the ledger has it: one request, which finds nothing"
want "$(nat4)" "$(tag 0)" "and changes nothing"
# The removals of the guest's release: nat, guest, flows, tap.
want "$(ctl release web)" "ok add=0 remove=1 other=3" "the release of all"
want "$(taps)" "bgr0=*1000" "leaves the other's tap alone"
want "$(ctl show web)" "ok state=stopped nat=1 tap= ledger= *" "and nothing on record"
want "$(ctl cleanup web)" "ok add=0 remove=0 other=0" "after which there is nothing to ask for"
scenario nat_cleanup_reverses_nat_when_runtime_present

# ---- 7: only the tap's name leads to slot 2, the row's own slot is 0 ----
daemons_start
first="${PEER_PID[nat]} $ROLE"
want "$(ctl create web on)" "ok slot=0 gen=1 *" "a VM with NAT"
want "$(ctl create other on)" "ok slot=1 gen=1 *" "another one"
want "$(ctl start other)" "ok add=1 remove=0 other=2" "which is started"
want "$(ctl put web 2)" "ok add=1 remove=0 other=2" "the VM's objects are in slot 2"
want "$(ctl older web bgr2)" "ok *" "an older row, written past the controller"
daemons_stop
want "$(cat /proc/"${first% *}"/comm /proc/"${first#* }"/comm 2>/dev/null)" "" \
	"both daemons are gone"
rm -rf "$T"/run/slots/*/* "$T"/state/slots/*/* "$T/net.log"
want "$(nat4)" "$(tag 1) 10.97.0.4=banger:2:1:1000" "the kernel has NAT for both"
daemons_start
want "$([ "$first" != "${PEER_PID[nat]} $ROLE" ] && echo new)" new "two new processes"
want "$(ctl show web)" "ok state=running nat=1 tap=bgr2 ledger= *" \
	"the tap is in the runtime, and nothing in the ledger"
want "$(nat4)" "$(tag 1) 10.97.0.4=banger:2:1:1000" "the restart has left NAT alone"
want "$(ctl cleanup web)" "ok add=0 remove=1 other=0" "cleanup: one request"
want "$(nat4)" "$(tag 1)" "the element is gone from the kernel, the other slot's is not"
want "$(taps)" "bgr1=banger:1:1:1000 bgr2=banger:2:1:1000" "both taps are there"
untouched "the admin's own table and device are as they were"
want "$(ctl release web)" "ok add=0 remove=1 other=3" "a release takes the rest of it"
want "$(taps)" "bgr1=banger:1:1:1000" "its tap is gone, the other slot's is not"
want "$(nat4)" "$(tag 1)" "nor is the other slot's NAT"
want "$(ctl show web)" "ok state=stopped nat=1 tap= ledger= *" "nothing is on record"
untouched "the admin's own table and device are as they were, after all that"
scenario nat_cleanup_falls_back_to_runtime_tap_device
ip link del adm0
nft delete table inet admin
