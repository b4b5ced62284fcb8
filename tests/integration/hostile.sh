#!/bin/bash
# Tests each role against a hostile controller.  The role answers, or records the packet and exits
# 70.  It never does a forbidden operation and never ends in another way, and its next start finds
# no objects.
. "$(dirname "$0")/lib.sh"
in_ns "$@"
conf_make
places_make || skip_all "no cgroup v2"
# Only roles that start here are tested: they need a root of their own, and net needs the kernel's
# bridge module.
probe() { # probe ROLE
	peer_start "$1"
	[ "$(ask "$1" run)" = ok ]
}

vm="slot=1 gen=5 owner=1000"
declare -A first=([net]=tap_create [blk]="loop_detach part=1" [spawn]=vmm_kill)
declare -A own=([net]="tap_create guest_allow nat_add tap_retire"
	[blk]="snapshot_create snapshot_remove" [spawn]="vmm_watch vmm_kill")
declare -A foreign=([net]=vmm_kill [blk]=tap_retire [spawn]=nat_remove)
declare -A phase_create=([net]=tap_create [blk]=snapshot_create
	[spawn]="vmm_spawn vmm=0 accel=2 disk=1 vcpus=1 mem_mib=64 fd=/dev/null:rw fd=/dev/null:rw")

declare -A missing=([blk]="loop_attach part=1"
	[spawn]="vmm_spawn vmm=0 accel=2 disk=1 vcpus=1 mem_mib=64")

fresh() { # fresh ROLE [run]: a new process of it
	ask "$1" restart >/dev/null
	[ "${2-}" != run ] || ask "$1" run >/dev/null
}

for role in net blk spawn; do
	if ! probe $role; then
		skip "$role: a hostile controller" \
			"the role does not start here: $(tail -n 1 "$T/$role.err")"
		peer_stop $role
		continue
	fi

	# ---- shape ----
	fresh $role
	is "$(ask $role ping)" "exit 70" "$role: an operation before HELLO ends it"
	fresh $role
	ask $role hello >/dev/null
	is "$(ask $role hello)" "exit 70" "$role: a second HELLO ends it"
	fresh $role
	ask $role hello >/dev/null
	# shellcheck disable=SC2086
	is "$(ask $role ${phase_create[$role]} $vm)" "exit 70" \
		"$role: a create while reconciling ends it"
	fresh $role run
	# shellcheck disable=SC2086
	is "$(ask $role ${foreign[$role]} $vm)" "exit 70" "$role: another role's operation ends it"
	fresh $role run
	is "$(ask $role ping seq=2)" "exit 70" "$role: a used sequence number ends it"
	fresh $role run
	is "$(ask $role ping fd=/dev/null:ro)" "exit 70" "$role: a descriptor too many ends it"
	fresh $role run
	is "$(ask $role ping fd=/dev/null:ro fd=/dev/null:ro fd=/dev/null:ro)" "exit 70" \
		"$role: three too many likewise"
	fresh $role run
	is "$(ask $role raw "$(printf '00%.0s' {1..600})")" "exit 70" \
		"$role: a packet longer than any ends it"
	fresh $role run
	is "$(ask $role raw c1)" "exit 70" "$role: a byte that msgpack never uses ends it"
	is "$(tail -n 1 "$T/$role.log" | jq -r '.type, .length, .sha256' | paste -sd' ')" \
		"violation 1 $(printf '\xc1' | sha256sum | cut -d' ' -f1)" \
		"$role: recorded by length and hash"
	fresh $role run
	is "$(ask $role close)" "exit 0" "$role: the end of the connection is no fault"

	# ---- every bit and every length of a request ----
	for op in "ping" "${first[$role]} $vm"; do
		# Some hundred starts of the role.
		out=$(ASK_SECONDS=900 ask $role cut "$op")
		is "$out" "tried *[0-9] answered 0 refused *[0-9] other 0" \
			"$role: each other length of ${op%% *} is refused ($out)"
		out=$(ASK_SECONDS=900 ask $role flip "$op")
		is "$out" "tried *[1-9]* refused *[1-9]* other 0" \
			"$role: each flipped bit of ${op%% *} is answered or refused ($out)"
	done

	if [ $role = net ]; then
		# Changed bits of the slot, the generation and the owner name VMs that may be made:
		# in slots that there are.
		is "$(ip -j link | jq -r '.[].ifname' | grep '^bgr' | grep -vc '^bgr[0-7]$')" 0 \
			"net: no tap beyond the slots"
		for tap in $(ip -j link | jq -r '.[].ifname | select(test("^bgr[0-9]"))'); do
			ip link del "$tap"
		done
	fi

	# ---- belonging ----
	fresh $role run
	for op in ${own[$role]}; do
		[ "$op" = vmm_kill ] || is "$(ask $role "$op" slot=8 gen=1)" denied \
			"$role: $op in a slot that the configuration does not have"
	done
	is "$(ask $role list)" "ok *" "$role: still answers"
	if [ $role = net ]; then
		is "$(ask net tap_create slot=2 gen=5)" "ok ifindex=*" "net: a tap of one VM"
		for op in tap_create guest_allow tap_retire; do
			is "$(ask net $op slot=2 gen=4)" denied "net: $op of an earlier generation"
			is "$(ask net $op slot=2 gen=5 owner=1001)" denied \
				"net: $op of another owner"
			is "$(ask net $op slot=2 gen=5 vm=ffffffffffffffffffffffffffffffff)" \
				denied "net: $op of another VM"
		done
		is "$(ask net tap_create slot=2 gen=6)" busy "net: the next generation waits"
		is "$(ask net tap_sweep)" "ok taps=0" "net: a sweep takes nothing of it"
		check "net: the tap is untouched" ip link show bgr2
		is "$(ask net tap_retire slot=2 gen=5) $(ask net tap_sweep)" "ok ok taps=1" \
			"net: its own VM removes it"
		truncate -s 1G "$T/net.log" # where a role's log ends
		fresh net run
		is "$(ask net tap_create slot=3 gen=1)" nolog \
			"net: a log as long as it may get refuses creates"
		is "$(ask net tap_retire slot=3 gen=1) $(ask net tap_sweep)" "ok ok taps=0" \
			"net: and a removal works"
		is "$(stat -c %s "$T/net.log")" $((1 << 30)) "net: it does not get longer"
		truncate -s 0 "$T/net.log"
		fresh net run
	else
		# shellcheck disable=SC2086
		is "$(ask $role ${missing[$role]} slot=1)" "exit 70" \
			"$role: a descriptor that is missing ends it"
	fi
	peer_stop $role
done

# ---- the chain of what was recorded, with other tools ----
for log in "$T"/*.log; do
	[ -s "$log" ] || continue # of a role that did not start
	prev=null bad=0 n=0
	while IFS= read -r line; do
		jq -e . >/dev/null <<<"$line" || bad=$((bad + 1))
		want="\"prev\":\"$prev\",\"mac\":\""
		[ $prev != null ] || want='"prev":null,"mac":"'
		[ $n = 0 ] || [[ $line == *"$want"????????????????????????????????'"}' ]] ||
			bad=$((bad + 1))
		prev=$(printf %s "$line" | sha256sum | cut -d' ' -f1)
		n=$((n + 1))
	done < <(tail -n 100 "$log" | sed -n '/"type":"start"/,$p')
	is "$bad" 0 "${log##*/}: each of the last $n lines names the one before"
done
