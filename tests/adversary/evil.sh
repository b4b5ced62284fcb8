#!/bin/bash
# evil.sh [ROLE [SEED]] - runs an evil controller (evil.c) on the real roles, beside decoys: objects
# that look like ours but are not.
#
# After each round of random requests, other tools check the result.  Every decoy is unchanged.  The
# kernel has exactly the objects that the role lists.  The role has as many descriptors as before
# and no more memory, and ended with no status but 70.
#
# EVIL_REQUESTS: requests in each round (500).  EVIL_SECONDS: repeat rounds with new seeds for this
# time, instead of three rounds.  A failing round prints its seed; `evil.sh ROLE SEED` repeats it.
# alone: its loops have our tag, and loops are the whole host's: another set would adopt them
. "$(dirname "$0")/../integration/lib.sh"
in_ns "$@"
needs nft ip losetup jq ps conntrack
[ -x "$B/evil" ] || skip_all "evil is not built"
requests=${EVIL_REQUESTS:-500} roles=${1:-net blk spawn} seed=${2:-}

LOOPS=()
decoys_end() {
	local rc=$? l
	for l in "${LOOPS[@]}"; do losetup -d "$l"; done
	for l in "${PIDS[@]}"; do kill "$l" 2>/dev/null; done
	wait "${PIDS[@]}" 2>/dev/null
	rmdir "$CGROUP-decoy" 2>/dev/null
	for l in bgr5 bgr0-lan bgr007; do ip link del "$l" 2>/dev/null; done
	(exit $rc)
	finish
}
trap decoys_end EXIT
mkdir -p /usr/local/src && mount -t tmpfs -o mode=755 evil-vmm /usr/local/src &&
	install -m 755 "$B/evil_vmm" /usr/local/src/vmm
conf_make slots=6 qemu=/usr/local/src/vmm rate=10000
places_make || skip_all "no cgroup v2"

# ---- what the evil controller passes for a disk or a console ----
zoo=$T/state/zoo
mkdir "$zoo" && chown $CTL_ID "$zoo"
file() { truncate -s "$2" "$zoo/$1" && chown "${3-$CTL_ID}" "$zoo/$1"; }
file base0 4M; file base1 4M; file cow0 8M; file cow1 8M; file cow2 8M; file swap0 8M; file swap1 8M
file odd 2097153; file small 512; file empty 0; file large 6G; file root 4M 0; file alice 4M 1234
ln -s base0 "$zoo/link"; ln "$zoo/cow2" "$zoo/hard"; mkfifo "$zoo/fifo" && chown $CTL_ID "$zoo/fifo"
mkdir "$zoo/folder" "$zoo/other" && mount -t tmpfs -o size=16m other "$zoo/other"
truncate -s 4M "$zoo/other-fs" && truncate -s 4M "$zoo/other/file" &&
	mount --bind "$zoo/other/file" "$zoo/other-fs"
mkdir "$T/decoy" && echo "not yours" >"$T/decoy/file" &&
	truncate -s 4M "$T/decoy/loop0" "$T/decoy/loop1"

# ---- decoys ----
bridges="docker0 virbr0 br-lan" taps="vnet0 vnet1 tap0"
decoys_net() {
	local b t
	for b in $bridges; do
		ip link add "$b" type bridge && ip addr add "172.17.$((++n)).1/24" dev "$b" &&
			ip link set "$b" up
	done
	for t in $taps; do
		ip tuntap add "$t" mode tap user 1234 && ip link set "$t" master virbr0
	done
	# One decoy has our tag, one is in the group that a sweep removes, one has the name of a
	# slot's tap.
	ip link set vnet1 alias banger:2:1:1000
	ip link set tap0 group $((0x62677200))
	ip link add bgr5 type bridge && ip link set bgr5 alias banger:5:1:1000
	ip link add bgr0-lan type bridge && ip link add bgr-x type veth peer name bgr007
	ip route add 203.0.113.0/24 dev br-lan
	nft -f - <<-'END' || not_ok "decoys of nftables"
		table inet filter {
			set nat4 {
				type ipv4_addr
				elements = { 10.97.0.2, 10.97.0.3 }
			}
			chain input {
				type filter hook input priority 0; policy accept;
				ip saddr @nat4 accept
			}
			chain forward {
				type filter hook forward priority 0; policy accept;
				iifname "docker0" accept
				iifname "bgr*" accept
			}
		}
		table ip nat {
			chain POSTROUTING {
				type nat hook postrouting priority 100;
				ip saddr 172.17.0.0/16 masquerade
			}
		}
		table bridge filter {
			set guest {
				type ipv4_addr
				elements = { 10.97.0.2 comment "banger:0:1:1000" }
			}
			chain c {
				type filter hook prerouting priority 0;
				ip saddr @guest accept
			}
		}
		table inet banger-other {
			set flows {
				type ipv4_addr
				elements = { 10.97.0.4 }
			}
		}
	END
	conntrack -I -p tcp -s 198.51.100.9 -d 198.51.100.8 --sport 1 --dport 2 \
		--state ESTABLISHED -t 100000 >/dev/null 2>&1
}
decoys_other() {
	local l
	for l in loop0 loop1; do
		LOOPS+=("$(losetup -f --show "$T/decoy/$l")") ||
			skip_all "no loop device for the decoys"
	done
	mkdir "$CGROUP-decoy"
	background setpriv --reuid 1234 --regid 1234 --clear-groups sleep 100000
	background setpriv --reuid $CTL_ID --regid $CTL_ID --clear-groups sleep 100000
	background setpriv --reuid $((UID_BASE + SLOTS)) --regid $CTL_ID --clear-groups sleep 100000
	background sleep 100000
	echo "${PIDS[-1]}" >"$CGROUP-decoy/cgroup.procs"
}
n=0
decoys_net
decoys_other

decoys() { # all of them, as other tools show them
	local d p
	for d in $bridges $taps bgr5 bgr0-lan bgr-x bgr007 lo; do
		ip -j -d link show "$d" |
			jq -cS 'map(del(.stats64, (.linkinfo.info_data |
				.hello_timer, .gc_timer, .topology_change_timer, .tcn_timer)) |
				del(.linkinfo.info_data.root_path_cost?))'
		ip -j addr show "$d" | jq -cS 'map(.addr_info | map([.local, .prefixlen]))'
	done
	ip route show dev br-lan
	nft list ruleset | awk '
		/^table/ { ours = $2 " " $3 == "inet banger" || $2 " " $3 == "bridge banger" }
		!ours'
	conntrack -L -s 198.51.100.9 2>/dev/null | sed 's/ [0-9]* ESTABLISHED/ N ESTABLISHED/'
	losetup -l -O NAME,BACK-FILE,RO,AUTOCLEAR,OFFSET,SIZELIMIT "${LOOPS[@]}" 2>&1
	for p in "${PIDS[@]}"; do
		ps -o pid=,lstart=,ruid=,rgid=,args= -p "$p" || echo "process $p has ended"
	done
	cat "$CGROUP-decoy/cgroup.procs"
	find "$T/decoy" "$zoo/other" -printf '%p %s %u %m %T@\n' | sort
	sha256sum "$T/decoy"/*
}

# ---- what the kernel has, as other tools show it; one KIND:SLOT:GEN:OWNER a line ----
kernel_net() {
	ip -j link | jq -r '.[] | select(.ifname | test("^bgr[0-9]+$")) |
		select(.ifname != "bgr5" and .ifname != "bgr007") |
		"tap:" + (.ifalias // "none")[7:]'
	local s
	for s in "bridge guest guest" "inet nat4 nat"; do
		# shellcheck disable=SC2086
		set -- $s
		nft -j list set "$1" banger "$2" |
			jq -r --arg k "$3" '.nftables[].set? // empty | .elem[]? |
				$k + ":" + (.elem.comment // "banger:none")[7:]'
	done
}
kernel_blk() { # the numbers of the loops alone: which slots share a base is not in the kernel
	losetup -J -l | jq -r --arg t "$zoo/" \
		'.loopdevices[]? | select(."back-file" | startswith($t)) | "loop:" + .name[9:]'
}
kernel_spawn() {
	find "$CGROUP/vm" -mindepth 1 -maxdepth 1 -type d -name '*.*.*' -printf '%p %f\n' |
		while read -r path name; do
			runs=0
			! grep -qs 'populated 1' "$path/cgroup.events" || runs=1
			echo "vmm:${name//./:}:$runs"
		done
}
listed() { # listed ROLE: the same out of its LIST
	ask "$1" objects | tr ' ' '\n' | sed 1d | case $1 in
	net) cut -d: -f1-4 ;;
	blk) awk -F: '{ print "loop:" $5 }' ;;
	spawn) cat ;;
	esac
}
same() { # same ROLE: LIST and the kernel agree; what the kernel does late has a moment
	local i
	for ((i = 0; i < 6; i++)); do
		listed "$1" | sort -u >"$T/listed"
		"kernel_$1" | sed 's/:probe//' | sort -u >"$T/kernel"
		cmp -s "$T/listed" "$T/kernel" && return
		sleep 0.2
	done
	diff "$T/listed" "$T/kernel"
	return 1
}

evil_start() { # as peer_start
	rm -f "$T/peer.$1.in" "$T/peer.$1.out"
	mkfifo "$T/peer.$1.in" "$T/peer.$1.out"
	"$B/evil" --role "$1" --config "$CONF" --log "$T/$1.log" --zoo "$zoo" "$B/banger-role-$1" \
		<"$T/peer.$1.in" >"$T/peer.$1.out" 2>>"$T/$1.err" &
	# shellcheck disable=SC2034 # lib.sh reads it
	PEER_PID[$1]=$!
	# shellcheck disable=SC1083
	exec {PEER_IN[$1]}>"$T/peer.$1.in" {PEER_OUT[$1]}<"$T/peer.$1.out"
}

round() { # round ROLE SEED
	local said usage before=$FAILED
	said=$(ask "$1" attack "$2" "$requests")
	is "$said" "seed $2 sent $requests ok [1-9]* refused [1-9]* ended *" \
		"$1, seed $2: $requests requests are answered, or end it by 70"
	[[ $said == seed* ]] || { tail -n 3 "$T/$1.err" | sed 's/^/# /'; return 1; }
	echo "# $1: $said; $("kernel_$1" | wc -l) objects"
	decoys >"$T/decoys.after"
	check "$1, seed $2: every decoy is as it was" diff "$T/decoys" "$T/decoys.after"
	check "$1, seed $2: the kernel has what it lists, and nothing else" same "$1"
	is "$(ask "$1" release)" "released * left 0" "$1, seed $2: all of it can be released"
	check "$1, seed $2: and then it lists nothing, and the kernel has nothing" same "$1"
	usage=$(ask "$1" usage)
	is "${usage% rss*}" "${first% rss*}" \
		"$1, seed $2: it has as many descriptors as at its start"
	is "$((${usage##* } < ${first##* } + 4096))" 1 \
		"$1, seed $2: its memory did not grow by 4 MiB (${first##* } to ${usage##* } KB)"
	[ "$FAILED" = "$before" ]
}

for role in $roles; do
	evil_start "$role"
	if [ "$(ask "$role" run)" != ok ]; then
		skip "$role: an evil controller" \
			"the role does not start here: $(tail -n 1 "$T/$role.err")"
		peer_stop "$role"
		continue
	fi
	decoys >"$T/decoys"
	first=$(ask "$role" usage)
	[ "$role" != blk ] || ask blk meddle on >/dev/null
	end=$((SECONDS + ${EVIL_SECONDS:-0})) rounds=0
	s=${seed:-$([ -n "${EVIL_SECONDS-}" ] && date +%s || echo 1)}
	while [ $rounds -lt 3 ] || [ $SECONDS -lt $end ]; do
		round "$role" "$s" || break
		[ -z "$seed" ] || break
		s=$((s + 1)) rounds=$((rounds + 1))
		if [ -s "$T/$role.log" ]; then : >"$T/$role.log"; fi
	done
	[ "$role" != blk ] || ask blk meddle off >/dev/null
	is "$(ask "$role" close)" "exit 0" "$role: it ends with the connection"
	peer_stop "$role"
done
