#!/bin/bash
# Tests the whole set with real guests: a kernel of Debian's, a root disk with busybox alone, QEMU.
# Covers the isolation of users, adoption after every kind of death, the release of all objects, and
# bad input.
. "$(dirname "$0")/lib.sh"
needs qemu-system-x86_64 mke2fs jq dpkg-deb sqlite3
[ -n "$(cgroup_mount)" ] || skip_all "needs cgroup v2"
in_ns "$@"

. "$(dirname "$0")/lib_set.sh"

outside() { # a second namespace that answers to pings
	ip netns add "bgr-out-$$"
	ip link add up0 type veth peer name eth0 netns "bgr-out-$$"
	ip addr add 198.51.100.2/24 dev up0
	ip link set up0 up
	ip netns exec "bgr-out-$$" ip addr add 198.51.100.1/24 dev eth0
	ip netns exec "bgr-out-$$" ip link set eth0 up
	ip route add default via 198.51.100.1
}
trap 'set_stop; umount /etc/passwd; ip netns del "bgr-out-$$" 2>/dev/null; finish' EXIT

set_prepare
conf_make slots=3 per_owner=3
guest_image
outside

# ---- it comes up, each part with what it needs and no more ----
install -d -o 0 -g "$CTL_ID" -m 750 "$T/log"
check "the first keys of the request logs are printed" \
	eval '"$B/banger" audit key --logs "$T/log" >"$T/keys"'
is "$(cut -d" " -f1-3 "$T/keys" | paste -sd,)" \
	"banger-key net 0,banger-key blk 0,banger-key spawn 0" "one for each"
if set_start; then
	ok "the set comes up"
else
	not_ok "the set comes up" "$(cat "$T/set.err")"
	exit 1
fi
caps() { awk '/^CapEff/ { print $2 }' "/proc/$(child "$1")/status"; }
confined() {
	awk '/^(NoNewPrivs|Seccomp|CapBnd|CapAmb|CapInh|Groups):/ { printf "%s ", $2 }' \
		"/proc/$(child "$1")/status"
}
is "$(caps net)" 0000000000001000 "net holds CAP_NET_ADMIN alone"
is "$(caps blk)" 0000000000200000 "blk holds CAP_SYS_ADMIN alone"
is "$(caps spawn)" 0000000000000000 "spawn holds no capability"
is "$(awk '/^CapEff/ { print $2 }' "/proc/$(pgrep -P "$(child spawn)")/status")" 00000000000000c0 \
	"its launcher holds CAP_SETUID and CAP_SETGID alone"
is "$(caps controller)" 0000000000000000 "the controller holds no capability"
for part in net blk spawn controller; do
	is "$(awk '/^NoNewPrivs|^Seccomp:/ { printf "%s ", $2 }' "/proc/$(child $part)/status")" \
		"1 2 " "$part: no new privileges, seccomp filter"
	is "$(awk '/^Uid/ { print ($2 > 0 && $2 == $3 && $3 == $4) }' \
		"/proc/$(child $part)/status")" 1 "$part is not root"
done

# ---- images, by root and by a user ----
cp "$ROOT/build/cache/kernel.deb" "$T/kernel.deb" && chmod 644 "$T/kernel.deb"
check "root imports the kernel" as 0 kernel import debian --deb "$T/kernel.deb"
check "root imports the image" as 0 image import tiny "$T/guest.ext4" --kernel debian
is "$(as $ALICE image list -o json | jq -r '.[].name')" tiny "root's image is everybody's to use"
is "$(status_of as $ALICE image delete tiny)" 4 "but not everybody's to delete"

# ---- a guest's life ----
check "alice creates web1" as $ALICE vm create web1 --image tiny --memory 128M
is "$(field $ALICE web1 state)" created "it is created"
check "alice starts web1" as $ALICE vm start web1
is "$(field $ALICE web1 state)" running "it is running"
check "its console says that the guest is up, by its name and address" \
	wait_for 120 console_has $ALICE web1 "GUEST-UP boot 1 web1 10.97.0.2/24"
is "$(ip -j -d link show bgr0 | jq -r '.[0] | [.linkinfo.info_data.user, .master,
	.linkinfo.info_slave_data.isolated] | map(tostring) | join(" ")')" \
	"$UID_BASE bgtest true" "its tap belongs to the slot's uid, sits on the bridge, isolated"
is "$(ps -o ruid= -p "$(vmm_pid)" | tr -d ' ')" "$UID_BASE" "its VMM runs as the slot's uid"
is "$(ps -o sid= -p "$(vmm_pid)" | tr -d ' ')" "$(child spawn)" \
	"in the session of its role: what a terminal sends to the supervisor's ends no VM"
is "$(awk '/^CapPrm|^CapEff/ { printf "%s ", $2 }' "/proc/$(vmm_pid)/status")" \
	"0000000000000000 0000000000000000 " "without a capability"
is "$(nft_elems bridge guest)/$(nft_elems inet nat4)" 1/0 \
	"it may send with its own address; it has no NAT"
check "the guest can not reach the outside" wait_for 60 console_has $ALICE web1 NAT-NO
is "$(as $ALICE vm start web1)" "*already*" \
	"starting it again succeeds and says that it was already so"

check "alice turns NAT on while it runs" as $ALICE vm set web1 --nat
is "$(nft_elems inet nat4)" 1 "nft shows its address in the NAT set"
check "the guest reaches the outside" wait_for 60 console_has $ALICE web1 NAT-YES
check "alice turns NAT off" as $ALICE vm set web1 --no-nat
is "$(nft_elems inet nat4)" 0 "nft shows the NAT set empty"
check "alice turns NAT on again" as $ALICE vm set web1 --nat

# ---- one user can not see or touch another's ----
is "$(as $BOB vm list -o json | jq -c .)" "\[\]" "bob sees no VM"
for verb in start stop kill delete show ssh logs; do
	want=3
	[ $verb != ssh ] || want=125 # of ssh, other statuses are the guest's
	is "$(status_of as $BOB vm $verb web1)" $want "bob's vm $verb web1 fails"
	is "$(cat "$T/err")" "*web1*no such VM*" "as for a VM that does not exist"
done
is "$(field $ALICE web1 state)" running "web1 did not notice"
is "$(as 0 vm list --all -o json | jq -r '.[].name')" web1 "root sees it with --all"
refuses "bob can not look into the state folder" \
	setpriv --reuid $BOB --regid $BOB --clear-groups ls "$T/state/slots/0"
refuses "bob can not open its API socket" \
	setpriv --reuid $BOB --regid $BOB --clear-groups ls "$T/run/slots/0"
check "bob has a web1 of his own" as $BOB vm create web1 --image tiny --memory 128M

# ---- the set dies, guests do not ----
boot_pid=$(vmm_pid)
for victim in controller net blk spawn supervisor; do
	if [ $victim = supervisor ]; then kill -9 "$SET"; else kill -9 "$(child $victim)"; fi
	did "kill -9 $victim: all of the set ends" set_gone
	is "$(vmm_pid)" "$boot_pid" "kill -9 $victim: the VMM lives on"
	did "kill -9 $victim: the set comes up again" set_start
	is "$(field $ALICE web1 state) $(field $ALICE web1 runtime.pid)" "running $boot_pid" \
		"kill -9 $victim: web1 is adopted"
	is "$(nft_elems bridge guest)/$(nft_elems inet nat4)/$(taps)" 1/1/1 \
		"kill -9 $victim: its network is as it was"
done
diff_of() { "$B/banger" audit diff --config "$CONF" 2>&1; }
is "$(diff_of)" "no difference" "audit diff: the logs and the kernel agree"
ip tuntap add bgr900 mode tap
is "$(diff_of)" "tap of slot 900: the kernel shows it*" "audit diff: names a tap that no role made"
ip tuntap del bgr900 mode tap
did "a clean stop of the set succeeds" set_stop
is "$(vmm_pid)" "$boot_pid" "a clean stop leaves the VMM alone"
did "the set comes up again" set_start
did "it is stopped again" set_stop
group=$(dirname "$(grep -l "^$boot_pid$" "$CGROUP"/vm/*/cgroup.procs)")
echo max >"$CGROUP/vm/cgroup.max.depth"
mkdir "$group/sub"
background sleep 600
left=$!
echo $left >"$group/sub/cgroup.procs"
did "with another process in a group within the VMM's, it comes up" set_start
refuses "that process is ended" kill -0 "$left"
is "$(vmm_pid) $(find "$group" -mindepth 1 -type d)" "$boot_pid " "its group too; the VMM lives on"
lines=$(as $ALICE vm logs web1 | wc -l)
check "the console of an adopted VM goes on" \
	wait_for 60 eval '[ "$(as $ALICE vm logs web1 | wc -l)" -gt '"$lines"' ]'

# ---- ends ----
check "alice stops web1 (a guest that ignores the power button)" as $ALICE vm stop web1 --timeout 1s
is "$(field $ALICE web1 state)" stopped "it is stopped"
check "and nothing of it is left in the kernel" nothing_of_vms
check "stopping it again succeeds" as $ALICE vm stop web1
check "it starts again" as $ALICE vm start web1
check "with its disk as it left it" wait_for 120 console_has $ALICE web1 "GUEST-UP boot 2"
kill -9 "$(vmm_pid)"
check "kill -9 of the VMM: web1 is stopped by itself" wait_for 60 state_is $ALICE web1 stopped
check "kill -9 of the VMM: nothing of it is left" wait_for 60 nothing_of_vms
check "alice starts and kills it" eval 'as $ALICE vm start web1 && as $ALICE vm kill web1'
is "$(field $ALICE web1 state)" stopped "killed is stopped"
check "vm kill: nothing of it is left" nothing_of_vms

# ---- stopped processes ----
check "alice starts it" as $ALICE vm start web1
was=$(vmm_pid)
kill -STOP "$was"
background sleep 600
# somebody else's process in its control group
echo $! >"$(dirname "$(grep -l "^$was$" "$CGROUP"/vm/*/cgroup.procs)")/cgroup.procs"
kill -9 "$(child controller)"
did "a monitor that stands still, the controller gone: all of the set ends" set_gone
did "a monitor that stands still: the set comes up again" set_start
is "$(field $ALICE web1 state) $(field $ALICE web1 runtime.pid)" "running $was" \
	"a monitor that stands still: it is adopted, and it alone"
check "a monitor that stands still: it is stopped all the same" as $ALICE vm stop web1 --timeout 1s
check "a monitor that stands still: nothing of it is left" nothing_of_vms
kill -STOP "$(child net)"
is "$(status_of as $ALICE vm start web1)" "[1-9]*" \
	"a role that stands still: a start fails in the end"
did "a role that stands still: all of the set ends" set_gone
did "a role that stands still: the set comes up again" set_start
check "a role that stands still: nothing is left of the start" nothing_of_vms
check "a role that stands still: another one succeeds" \
	eval 'as $ALICE vm start web1 && as $ALICE vm kill web1'

# ---- the seven scenarios that this project began with: requests counted in the role's own log, the
# rest asked of nft ----
asked() {
	jq -rs --arg op "$1" '[.[] | select(.type == "intent" and .op == $op)] | length' \
		"$T/log/net.log"
}
mark() { ADDED=$(asked nat_add) REMOVED=$(asked nat_remove); }
since() {
	echo "$(($(asked nat_add) - ADDED)) added, $(($(asked nat_remove) - REMOVED)) removed," \
		"$(nft_elems inet nat4) in the kernel"
}
as $ALICE vm start web1 >/dev/null
mark
as $ALICE vm set web1 --nat >/dev/null
is "$(since)" "0 added, 0 removed, 1 in the kernel" nat_apply_config_change_noop_when_flag_unchanged
as $ALICE vm set web1 --no-nat >/dev/null
is "$(since)" "0 added, 1 removed, 0 in the kernel" \
	"nat_apply_config_change_toggles_nat_when_alive (off)"
as $ALICE vm set web1 --nat >/dev/null
is "$(since)" "1 added, 1 removed, 1 in the kernel" nat_apply_config_change_toggles_nat_when_alive
mark
as $ALICE vm kill web1 >/dev/null
is "$(since)" "0 added, 1 removed, 0 in the kernel" nat_cleanup_reverses_nat_when_runtime_present
mark
as $ALICE vm set web1 --no-nat >/dev/null
as $ALICE vm set web1 --nat >/dev/null
is "$(since)" "0 added, 0 removed, 0 in the kernel" nat_apply_config_change_noop_when_vm_not_alive
as $ALICE vm kill web1 >/dev/null
as $ALICE vm stop web1 >/dev/null
is "$(since)" "0 added, 0 removed, 0 in the kernel" nat_cleanup_noop_when_runtime_handles_missing
as $ALICE vm set web1 --no-nat >/dev/null
as $ALICE vm start web1 >/dev/null
mark
as $ALICE vm kill web1 >/dev/null
is "$(since)" "0 added, 0 removed, 0 in the kernel" nat_cleanup_noop_when_nat_disabled

# The bug itself: a row of an older schema has the tap only in its runtime, and all other records
# are lost.
as $ALICE vm set web1 --nat >/dev/null
as $ALICE vm start web1 >/dev/null
is "$(nft_elems inet nat4) $(taps)" "1 1" "the rule and the tap that could leak are there"
nft add table inet admins &&
	nft add set inet admins nat4 '{ type ipv4_addr; elements = { 10.97.0.2 }; }'
set_stop
kill -9 "$(vmm_pid)"
rm -f "$T"/run/slots/0/* "$T"/state/consoles/0.*
sqlite3 "$T/state/banger.db" "DELETE FROM ledger;
	UPDATE vms SET runtime = '{\"tap\":\"bgr0\"}' WHERE name = 'web1' AND owner = $ALICE"
did "the set comes up on what is left" set_start
is "$(nft_elems inet nat4) $(nft_elems bridge guest) $(taps) $(field $ALICE web1 state)" \
	"0 0 0 stopped" nat_cleanup_falls_back_to_runtime_tap_device
is "$(nft -j list set inet admins nat4 | jq -c '[.nftables[].set? // empty | .elem[]?]')" \
	'\["10.97.0.2"\]' "an admin's own set of the same name is untouched"
nft delete table inet admins

# ---- an administrator's changes are repaired or reported ----
check "alice starts web1, with NAT" as $ALICE vm start web1
elems() { [ "$(nft_elems bridge guest 2>/dev/null)/$(nft_elems inet nat4 2>/dev/null)" = 1/1 ]; }
nft flush ruleset
check "nft flush ruleset: its rules are back by themselves" wait_for 60 elems
nft delete table inet banger
check "nft delete table: it is back, with its elements" wait_for 60 elems
element=$(nft -j list set bridge banger guest |
	jq -r '[.nftables[].set? // empty | .elem[]?][0] | (.elem.val // .).concat | join(" . ")')
nft delete element bridge banger guest "{ $element }"
echo 0 >/proc/sys/net/ipv4/ip_forward
is "$(as $ALICE doctor -o json |
	jq -r '.[] | select(.name == "forwarding") | "\(.verdict) \(.hint)"')" \
	"FAIL sysctl net.ipv4.ip_forward=1*" \
	"forwarding turned off: doctor says so"
echo 1 >/proc/sys/net/ipv4/ip_forward
is "$(as $ALICE doctor -o json | jq -r '.[] | select(.name == "forwarding").verdict')" PASS \
	"and that it is on again"
export -f as
export T B
# In a mount namespace whose /sys is of this network namespace.
found() {
	unshare -m bash -c "mount -t sysfs sysfs /sys && as $ALICE doctor -o json" |
		jq -r --arg n "$1" '.[] | select(.name == $n) | "\(.verdict) \(.text)"'
}
is "$(found subnet)" "PASS *" "nobody else has our subnet"
ip link add same type bridge && ip addr add 10.97.0.77/25 dev same && ip link set same up
is "$(found subnet)" "WARN *of same is in the VMs' subnet*" \
	"somebody else's address in it: doctor says so"
ip link del same
is "$(found flows)" "PASS [0-9]* of [0-9]* in use" "doctor says how full the table of flows is"
ip link del bgtest
check "the bridge deleted: it is back by itself" \
	wait_for 60 eval 'ip -j link show bgtest | jq -e ".[0].ifalias == \"banger:bridge\""'
check "with its taps" wait_for 60 eval \
	'[ "$(ip -j link show master bgtest | jq -r ".[].ifname" | grep -c ^bgr)" = 1 ]'
reaches_outside() {
	[ "$(as $ALICE vm logs web1 | grep -c NAT-)" -gt 0 ] &&
		as $ALICE vm logs web1 | tail -n 2 | grep -q NAT-YES
}
check "the guest reaches the outside again" wait_for 60 reaches_outside
check "a lost element: host reconcile puts it back at once" as 0 host reconcile
is "$(nft_elems bridge guest)" 1 "as nft shows"
is "$(as 0 host reconcile --dry-run)" "0 found*" "a second look finds nothing"
is "$(as $ALICE host gc; echo $?) $(cat "$T/err")" "[1-9]* *root*" "it is for root alone"
check "alice starts another one" \
	eval 'as $ALICE vm create web2 --image tiny --memory 128M && as $ALICE vm start web2'
lost=$(field $ALICE web2 slot)
sqlite3 "$T/state/banger.db" "
	DELETE FROM ledger WHERE vm = (SELECT id FROM vms WHERE name = 'web2');
	DELETE FROM vms WHERE name = 'web2'"
# somebody else's, without our tag
ip tuntap add bgr1 mode tap 2>/dev/null || ip tuntap add bgr0 mode tap
out=$(as 0 host gc --dry-run)
is "$out" "*slot $lost, generation *: vmm belongs to no VM*slot $lost*tap belongs to no VM*" \
	"gc --dry-run names what lost its row"
is "$(tail -n 1 <<<"$out")" "[1-9] found, 0 mended, 0 failed" "gc --dry-run mends nothing"
is "$(taps)/$(slot_processes | wc -l)" "3/2" "and leaves it"
set_stop
did "a new set, whose roles know it as nobody's" set_start
is "$(taps)/$(slot_processes | wc -l)" "2/1" \
	"removes it, and neither web1 nor a tap without our tag"
ip link del bgr1
ip link del bgr0
check "a tap that was deleted: the VM is degraded" wait_for 60 state_is $ALICE web1 degraded
is "$(field $ALICE web1 reason)" "*tap is gone*" "and says why"
check "it can be stopped" as $ALICE vm kill web1
check "and nothing is left" nothing_of_vms

# ---- VMs that end by themselves, and a restart policy ----
check "alice wants it always" as $ALICE vm set web1 --restart always
check "and starts it" as $ALICE vm start web1
was=$(vmm_pid)
kill -9 "$was"
check "a VMM that dies: another one runs soon" wait_for 60 eval \
	'[ -n "$(vmm_pid)" ] && [ "$(vmm_pid)" != '"$was"' ] && state_is $ALICE web1 running'
check "one that was stopped stays so" as $ALICE vm kill web1
sleep 5
is "$(field $ALICE web1 state) $(vmm_pid)" "stopped " "and does not come back"
check "no more" as $ALICE vm set web1 --restart no

# ---- both daemons gone, the database too ----
check "alice starts it once more, with NAT" as $ALICE vm start web1
set_stop
rm -f "$T"/state/banger.db*
did "the set comes up without its database" set_start
check "what was tagged and had no row is removed" wait_for 60 nothing_of_vms
is "$(as 0 vm list --all -o json | jq -c .)" "\[\]" "and no VM is claimed"

# ---- bad input ----
check "root imports the kernel again" as 0 kernel import debian --deb "$T/kernel.deb"
check "root imports the image again" as 0 image import tiny "$T/guest.ext4" --kernel debian
bad() { # bad STATUS TEXT COMMAND...: that exit status, and an error that names it
	local want=$1 text=$2
	shift 2
	as $ALICE "$@" >/dev/null
	is "$? $(cat "$T/err")" "$want *banger: *$text*" "refused with $want: $*"
}
bad 2 Web vm create Web --image tiny
bad 2 -web vm create -- -web
bad 2 "a.b" vm create a.b --image tiny
bad 3 nosuch vm create x --image nosuch
bad 3 nosuch vm start nosuch
bad 6 mem vm create x --image tiny --memory 900G
bad 2 memory vm create x --image tiny --memory 12monkeys
bad 6 vcpu vm create x --image tiny --vcpus 200
bad 6 disk vm create x --image tiny --disk 9000G
is "$(as $ALICE vm list -o json | jq -c .)" "\[\]" "none of it left a row"
check "alice takes the first slot" as $ALICE vm create a1 --image tiny --memory 64M
bad 5 a1 vm create a1 --image tiny
check "and the others" \
	eval 'as $ALICE vm create a2 --image tiny && as $ALICE vm create a3 --image tiny'
bad 6 "" vm create a4 --image tiny
as $BOB vm create b1 --image tiny >/dev/null
is "$? $(cat "$T/err")" "6 *banger: *slot*" "a full subnet is exit status 6 and says so"
as 0 image delete tiny
is "$? $(cat "$T/err")" "5 *banger: *use*" "an image in use can not be deleted"
check "alice deletes hers" eval 'as $ALICE vm delete a1 a2 a3'
is "$(as 0 vm list --all -o json | jq -c .)" "\[\]" "all rows are gone"
is "$(find "$T/state/slots" -mindepth 2)" "" "all files are gone"
is "$(BANGER_SOCKET=/nonexistent "$B/banger" vm list 2>&1 >/dev/null; echo $?)" "*no socket*8" \
	"no daemon: exit status 8, and which of the reasons it is"
set_stop

# ---- a VMM binary that is not there ----
conf_make slots=3 qemu=/usr/bin/no-such-vmm
did "the set comes up with a VMM that is not there" set_start
as $ALICE vm create x --image tiny --memory 64M >/dev/null
as $ALICE vm start x >/dev/null
is "$? $(cat "$T/err")" "[19] *banger: *" "starting says why: $(head -c 200 "$T/err" | tr '\n' ' ')"
is "$(field $ALICE x state)" "@(created|stopped)" "it is not said to run"
check "and nothing is left" nothing_of_vms
as $ALICE vm delete x >/dev/null
set_stop

# ---- the record of all that ----
verify() { "$B/banger" audit verify --logs "$T/log" --key "$T/keys" --checkpoints "$T/set.err"; }
check "audit verify: all that was recorded, over each kill and restart, is whole" \
	eval 'verify >"$T/verify" 2>&1 || { cat "$T/verify"; false; }'
is "$(grep -c "^  proven:" "$T/verify") $(grep -c "^  chained:" "$T/verify")" "3 0" \
	"audit verify: each record is proven"
is "$(grep -c "^  not cut:" "$T/verify")" 3 "audit verify: and the end of each log"
line=$(tail -n 1 "$T/log/spawn.log")
sed -i '$d' "$T/log/spawn.log"
is "$(verify | grep -c '^REFUSED cut')" 1 "audit verify: a record that was cut off is missed"
echo "$line" | tr 0 1 >>"$T/log/spawn.log"
refuses "audit verify: another one in its place is refused" eval 'verify >/dev/null'
echo "$line" >"$T/line"
sed -i '$d' "$T/log/spawn.log"
cat "$T/line" >>"$T/log/spawn.log"
check "audit verify: the log as it was is whole" eval 'verify >/dev/null'
