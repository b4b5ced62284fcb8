#!/bin/bash
# Tests the spawn role against a scripted peer: real VMMs, read back through /proc; what a
# taken-over VMM can still reach; and that VMMs outlive the role, which finds them again.  The guest
# is a few instructions under TCG.
. "$(dirname "$0")/lib.sh"
in_ns "$@"
[ -n "$(cgroup_mount)" ] || skip_all "no cgroup v2 is mounted"
needs qemu-system-x86_64 jq perl setpriv nsenter as ld
here=$(dirname "$0")

# ---- a guest: the PVH entry of an ELF file (Xen note 18), one line on the console, halt ----
guest_make() {
	cat >"$T/guest.s" <<-'END'
		.section .note.pvh, "a", @note
		.long 4, 4, 18
		.asciz "Xen"
		.long _start
		.text
		.globl _start
	_start:	mov $0x3f8, %dx
		mov $text, %esi
	1:	lodsb
		test %al, %al
		jz 2f
		out %al, %dx
		jmp 1b
	2:	cli
		hlt
		jmp 2b
	text:	.asciz "guest is up\n"
	END
	as --32 "$T/guest.s" -o "$T/guest.o" &&
		ld -m elf_i386 -Ttext=0x100000 --section-start=.note.pvh=0x101000 -z noexecstack \
		"$T/guest.o" -o "$T/guest"
}

slot_make() { # slot_make N: what the controller puts there
	local s=$T/state/slots/$1
	cp "$T/guest" "$s/kernel"
	: >"$s/initrd"
	truncate -s 1M "$s/disk"
	chown "$CTL_ID:$((UID_BASE + $1))" "$s"/*
	chmod 640 "$s"/*
	chmod 660 "$s/disk"
	ip tuntap add "bgr$1" mode tap user $((UID_BASE + $1))
	mkfifo "$T/input.$1" "$T/console.$1"
	background bash -c 'exec cat <>"$0" >>"$0.log"' "$T/console.$1"
}

field() { awk -v f="$2:" '$1 == f { $1 = ""; print substr($0, 2) }' "/proc/$1/status"; }
said() { grep -qF -- "$2" "$T/console.$1.log"; }
gone() { ! kill -0 "$1" 2>/dev/null; }
pid_in() { [[ $1 =~ pid=([0-9]+) ]] && echo "${BASH_REMATCH[1]}"; }
spawn() { # spawn SLOT [GEN [OWNER]]
	ask spawn vmm_spawn "slot=$1" "gen=${2-1}" \
		"owner=${3-1000}" vmm=0 accel=2 disk=1 vcpus=1 mem_mib=64 disk_mib=1 \
		tsc_khz=2596184 "fd=$T/input.$1:rw" "fd=$T/console.$1:rw"
}

check "a guest is assembled" guest_make
conf_make
places_make
slot_make 0
slot_make 1

# ---- start ----
was=$(cat /proc/self/oom_score_adj)
# As the service has it; without CAP_SYS_RESOURCE any other value shows as well that none is handed
# down.
{ echo -500 >"/proc/$$/oom_score_adj" || echo 300 >"/proc/$$/oom_score_adj"; } 2>/dev/null
peer_start spawn
echo "$was" >"/proc/$$/oom_score_adj"
is "$(ask spawn run)" ok "the role gets ready"
is "$(ask spawn vmm_watch slot=0)" absent "nothing runs at first"
qemu_with() { ask spawn vmm_spawn slot=0 vmm=0 accel=2 disk=1 "$@"; }
console=$T/console.0 input=$T/input.0
output() { qemu_with vcpus=1 mem_mib=64 "fd=$input:rw" "fd=$1"; }
is "$(output /dev/null:rw)" denied "a device is no console"
is "$(output "$console:ro")" denied "a FIFO that is open for reading alone is no console"
is "$(output "$console:path")" denied "an O_PATH descriptor is no console"
for odd in /dev/null:rw "$input:ro" "$input:path"; do
	is "$(qemu_with vcpus=1 mem_mib=64 "fd=$odd" "fd=$console:rw")" denied \
		"${odd##*/} is no standard input"
done
is "$(qemu_with vcpus=5 mem_mib=64 "fd=$input:rw" "fd=$console:rw")" limit \
	"more processors than root allows are refused"
is "$(qemu_with vcpus=1 mem_mib=1025 "fd=$input:rw" "fd=$console:rw")" limit \
	"more memory than root allows is refused"
is "$(qemu_with vcpus=1 mem_mib=64 disk_mib=4097 "fd=$input:rw" "fd=$console:rw")" limit \
	"a larger disk than root allows is refused"
is "$(ask spawn vmm_spawn slot=0 vmm=1 accel=1 disk=1 vcpus=1 mem_mib=64 \
	"fd=$input:rw" "fd=$console:rw")" \
	kernel "a VMM that this host does not have is not started"
is "$(our_cgroups)" "" "refusals leave no cgroup"

# a killed VMM's, or what a hostile one put there
install -o $UID_BASE -g $CTL_ID -m 600 /dev/null "$T/run/slots/0/api.sock"
first=$(spawn 0)
is "$first" "ok pid=* start=* fd=*" "a VMM starts"
pid=$(pid_in "$first")
fd=${first##*fd=}
check "its guest runs: the console says so" wait_for 60 said 0 "guest is up"
is "$(stat -Lc %d:%i "/proc/$pid/fd/0")" "$(stat -c %d:%i "$input")" \
	"its standard input is the first FIFO"

# ---- read back ----
is "$(tr '\0' ' ' <"/proc/$pid/cmdline")" \
	"/usr/bin/qemu-system-x86_64 *socket,id=qmp,fd=3,*/state/0/kernel*" \
	"it is QEMU, with slot 0's paths"
is "$(tr '\0' ' ' <"/proc/$pid/cmdline")" "* tsc_early_khz=2596184 tsc=reliable*" \
	"its guest is told the rate that the request names"
is "$(field "$pid" Uid)" "$UID_BASE $UID_BASE $UID_BASE $UID_BASE" "it has the slot's uid"
is "$(field "$pid" Gid)" "$UID_BASE $UID_BASE $UID_BASE $UID_BASE" "it has the slot's gid"
is "$(cat "/proc/$pid/oom_score_adj")" 0 \
	"the service's own rank with the OOM killer is not handed down to it"
is "$(field "$pid" Groups)" "" "it has no other group"
for set in CapInh CapPrm CapEff CapBnd CapAmb; do
	is "$(field "$pid" $set)" 0000000000000000 "$set is empty"
done
is "$(field "$pid" NoNewPrivs) $(field "$pid" Seccomp)" "1 2" "no new privileges, and a filter"
is "$(field "$pid" Seccomp_filters)" "[3-9]" \
	"the role's filter, the VMMs' and QEMU's own are stacked"
# QEMU itself ignores SIGPIPE; 32 and 33 are the C library's
is "$(printf %016x $((0x$(field "$pid" SigIgn) & ~0x180000000)))" 000000000100?000 \
	"no ignored signal was inherited but SIGXFSZ"
is "$(cut -d: -f3- "/proc/$pid/cgroup" | tail -n 1)" "*/banger-test-$$/vm/0.1.1000" \
	"it is in a cgroup whose name says whose it is"
start=$(awk '{ sub(/.*\) /, ""); print $20 }' "/proc/$pid/stat")
is "$first" "* start=$start *" "the start time in the answer is the kernel's"
is "$(ls -x "/proc/$pid/root" | xargs)" "bin dev lib lib64 libexec run sbin state usr" \
	"its root has what it needs"
is "$(ls "/proc/$pid/root/dev" "/proc/$pid/root/dev/net" | grep -v : | xargs)" \
	"*net null urandom zero tun" "few devices are there"
refuses "its root can not be written, not even by root" \
	touch "/proc/$pid/root/x" "/proc/$pid/root/usr/x"
is "$(stat -c %a "$T/run/slots/0/api.sock")" 770 "its API socket is its group's"
is "$(stat -c %g "$T/run/slots/0/api.sock")" $CTL_ID "the group is the controller's"
# shellcheck disable=SC2016
is "$(timeout 10 setpriv --reuid $CTL_ID --regid $CTL_ID --clear-groups perl -MIO::Socket::UNIX -e '
	my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $!;
	print $s "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"query-status\"}\n";
	while (<$s>) { print; exit if /status/ }' "$T/run/slots/0/api.sock" |
	jq -r 'select(.return.status).return.status')" running "the controller reaches QMP there"
in_jail() {
	nsenter --mount="/proc/$pid/ns/mnt" --root="/proc/$pid/root" --wd=/ -- setpriv \
		--reuid $UID_BASE --regid $UID_BASE --clear-groups "$@"
}
check "its uid can read its kernel" in_jail head -c 4 /state/0/kernel
refuses "its uid can not enter another slot's state" in_jail ls /state/1
refuses "its uid can not enter another slot's run folder" in_jail ls /run/1
refuses "its uid can not leave its cgroup" \
	setpriv --reuid $UID_BASE --regid $UID_BASE --clear-groups \
	bash -c "echo $pid >$CGROUP/spawn/cgroup.procs"

# ---- idempotent, owned, enumerable ----
is "$(spawn 0)" "ok pid=$pid start=$start fd=*" "the same request again finds the same VMM"
is "$(ask spawn vmm_watch slot=0)" "ok pid=$pid start=$start fd=*" "watch finds it"
is "$(ask spawn vmm_watch slot=0 owner=1001)" denied "another owner can not watch it"
is "$(ask spawn vmm_kill slot=0 owner=1001)" denied "another owner can not end it"
is "$(spawn 0 2)" busy "a newer generation waits for the slot to be free"
is "$(ask spawn vmm_kill slot=0 gen=2)" denied "a newer generation can not end it"
is "$(ask spawn list)" "ok next=0 objects=7,0,1,1000,1" "list shows it"
second=$(spawn 1)
is "$second" "ok pid=*" "a second VMM starts beside it"
is "$(ask spawn list)" "ok next=0 objects=7,?,1,1000,1,7,?,1,1000,1" "list shows both"

# ---- VMMs outlive the role ----
role_pid() { pgrep -P "${PEER_PID[spawn]}"; }
kill -9 "$(role_pid)"
sleep 0.2
check "the role killed: the first VMM lives" kill -0 "$pid"
is "$(ask spawn restart)" started "another role starts"
is "$(ask spawn run)" ok "it gets ready"
is "$(ask spawn list)" "ok next=0 objects=7,?,1,1000,1,7,?,1,1000,1" "it finds both VMMs"
is "$(ask spawn vmm_watch slot=0)" "ok pid=$pid start=$start fd=*" "it watches the first"
is "$(spawn 0)" "ok pid=$pid start=$start fd=*" "it does not start it twice"
# The role waits 100 ms for an exit; on a loaded machine that may not be enough.
killed() { [ "$(ask spawn vmm_kill "$@")" = ok ]; }
check "it ends the first" wait_for 60 killed slot=0
is "$(ask spawn waitfd "$fd" 5000)" ready "the pidfd of the first role's time says so"
check "the process is gone" wait_for 60 gone "$pid"
is "$(our_cgroups)" "*/vm/1.1.1000" "its cgroup is gone, the other's is not"
is "$(ask spawn vmm_kill slot=0)" ok "ending what is gone succeeds"
is "$(ask spawn vmm_watch slot=0)" absent "watch says that it is gone"
third=$(spawn 0 2)
is "$third" "ok pid=*" "the next generation can have the slot"
is "$(ask spawn vmm_watch slot=0)" denied "the old one is refused"

# ---- a VMM that ends by itself ----
kill -9 "$(pid_in "$third")"
is "$(ask spawn waitfd "${third##*fd=}" 5000)" ready \
	"a VMM that ends by itself makes its pidfd readable"
is "$(ask spawn vmm_watch slot=0 gen=2)" absent "watch says that it ended"
is "$(ask spawn list)" "ok next=0 objects=*7,0,2,1000,0*" \
	"list shows the empty cgroup until it is released"
check "both slots are released" eval 'wait_for 60 killed slot=0 gen=2 && wait_for 30 killed slot=1'
is "$(ask spawn list)" "ok next=0 objects=" "list is empty"

# ---- the probe ----
mkfifo "$T/console.probe"
exec {probe}<>"$T/console.probe"
is "$(ask spawn vmm_spawn slot=0 gen=2 vmm=2 accel=1 disk=1 vcpus=1 mem_mib=32 \
	"fd=$T/console.probe:rw" "fd=$T/console.probe:rw")" "ok pid=* fd=*" "the probe starts"
read -r -n 1 -t 5 verdict <&"$probe"
is "${verdict-}" "[yn]" "it answers within five seconds: ${verdict-}"
kvm_works() { # ask QEMU the same: does our guest come up with KVM?
	[ -e /dev/kvm ] || return 1
	timeout 10 qemu-system-x86_64 -M microvm,x-option-roms=off -bios qboot.rom \
		-accel kvm -cpu host -m 64M -nodefaults -display none -serial stdio \
		-kernel "$T/guest" </dev/null 2>/dev/null | grep -q "guest is up"
}
is "${verdict-}" "$(kvm_works && echo y || echo n)" "QEMU with KVM agrees"
is "$(our_cgroups)" "*/vm/0.2.1000" "its cgroup has a VMM's name"
check "what the probe left is released" wait_for 60 killed slot=0 gen=2
is "$(our_cgroups)" "" "nothing of the probe is left"

# ---- a launcher that never answers ----
# Frozen, not stopped: SIGCHLD tells the role of a stop.
launcher=$(pgrep -P "$(role_pid)")
echo 1 >"$CGROUP/spawn/cgroup.freeze"
is "$(spawn 0 3)" "exit 70" "a launcher that never answers: the role ends"
check "a launcher that never answers is killed with it" wait_for 60 gone "$launcher"
is "$(tail -n 1 "$T/spawn.err")" "*the launcher is gone or silent*" \
	"a launcher that never answers: the log says so"
echo 0 >"$CGROUP/spawn/cgroup.freeze"
rmdir "$CGROUP/vm/0.3.1000" # the next role would adopt it
peer_stop spawn

# ---- a root that is not the VMMs' ----
mv "$T/state/slots" "$T/state/slots.away"
swapped() { # swapped NAME: the role does not start, and says why
	: >"$T/spawn.err"
	peer_start spawn
	is "$(ask spawn run)" "exit [1-9]*" "$1: the role does not start"
	peer_stop spawn
	is "$(cat "$T/spawn.err")" "*$T/state/slots: must be a folder of root's, and no link*" \
		"$1: it says why"
}
ln -s /etc "$T/state/slots"
swapped "a link where the slots' folders should be"
rm "$T/state/slots"
install -d -o $CTL_ID -g $CTL_ID "$T/state/slots"
swapped "a folder of the controller's where the slots' folders should be"
rmdir "$T/state/slots"
mv "$T/state/slots.away" "$T/state/slots"

# ---- a VMM that was taken over ----
if ${CC:-cc} -O1 -D_GNU_SOURCE -o "$T/vmm" "$here/spawn_vmm.c" 2>"$T/cc.err"; then
	mount --bind "$T/vmm" /usr/bin/qemu-system-x86_64 # in this test's own mount namespace
	# shellcheck disable=SC2016
	background perl -MIO::Socket::UNIX -e '
		my $name = "\0banger-test-abstract";
		$s = IO::Socket::UNIX->new(Local => $name, Listen => 5) or die $!;
		sleep 60'
	install -m 666 /dev/null "$T/state/slots/1/open"
	install -m 666 /dev/null "$T/run/slots/1/open"
	: >"$T/console.0.log"
	peer_start spawn
	ask spawn run >/dev/null
	hostile=$(spawn 0 3)
	is "$hostile" "ok *" "it is started as if it were QEMU"
	check "it gets to its end" wait_for 60 said 0 "now a process"
	is "$(ask spawn waitfd "${hostile##*fd=}" 5000)" ready \
		"trying for a process of its own is the end of it"
	sleep 0.2
	while read -r name want; do
		name=${name//_/ }
		is "$(grep -m 1 -- "^$name " "$T/console.0.log")" "$name $want" \
			"taken over: $name: $want"
	done <<-END
		ids $UID_BASE $UID_BASE $UID_BASE $UID_BASE
		environment none, cwd /, core 0
		descriptors 0 1 2 3 4 5 6 7
		list_/run refused
		list_/state refused
		list_/run/0 refused
		list_/run/1 refused
		list_/state/1 refused
		open_/state/0/kernel ok
		open_/state/0/disk ok
		open_/state/0/new EACCES
		open_/state/1/open EACCES
		open_/run/1/open EACCES
		open_/run/0/file EACCES
		open_/run/0/nonblock EACCES
		open_/run/0 EACCES
		open_/usr/file E*
		open_/file E*
		open_/dev/null ok
		open_/dev/net/tun ok
		open_/etc/passwd ENOENT
		open_/proc/self/status ENOENT
		bind_/run/0/test.sock ENOSYS mode 0
		bind_@banger-test-squatted ENOSYS mode 0
		abstract ENOSYS
		socketpair ENOSYS
		sendmsg ENOTCONN
		fallocate EFBIG
		write EFBIG
		last ok
	END
	landlock=$(perl -e 'print syscall(444, 0, 0, 1)')
	is "$(ls -A "$T/run/slots/0" | sort -V | tr "\n" " ")" \
		"$(printf "agent%s " {0..3})api.sock " \
		"taken over: it leaves its sockets alone behind: the API and 4 ports"
	is "$(grep -c "kernel EACCES" "$T/console.0.log")" 1 \
		"taken over: its kernel can not be written"
	is "$(grep -c survived "$T/console.0.log")" 0 "taken over: no process of its own"
	is "$(ask spawn vmm_kill slot=0 gen=3)" ok "it is released"
	peer_stop spawn

	# Firecracker opens two FIFOs of the controller's, with O_CREAT, and makes its socket
	# itself.
	sed -i 's,^firecracker =.*,firecracker = /usr/bin/qemu-system-x86_64,' "$CONF"
	mkfifo -m 606 "$T/run/slots/0/log"
	: >"$T/console.0.log"
	peer_start spawn
	ask spawn run >/dev/null
	hostile=$(ask spawn vmm_spawn slot=0 gen=4 owner=1000 vmm=1 accel=1 disk=1 \
		vcpus=1 mem_mib=64 disk_mib=1 "fd=$T/input.0:rw" "fd=$T/console.0:rw")
	is "$hostile" "ok *" "it is started as if it were Firecracker"
	check "it gets to its end too" wait_for 60 said 0 "now a process"
	is "$(ask spawn waitfd "${hostile##*fd=}" 5000)" ready \
		"a process of its own is the end of this one too"
	sleep 0.2
	is "$(grep "^open /run/0/log" "$T/console.0.log")" \
		"open /run/0/log $([ "$landlock" -ge 1 ] && echo ok || echo EACCES)" \
		"taken over as Firecracker: the FIFO for its log can be opened"
	for name in /run/0/file /run/0/nonblock /state/0/new /run/1/open; do
		is "$(grep "^open $name " "$T/console.0.log")" "open $name EACCES" \
			"taken over as Firecracker: $name can not be made or opened"
	done
	is "$(grep "^list /run/0 " "$T/console.0.log")" "list /run/0 refused" \
		"taken over as Firecracker: its folder is not shown"
	is "$(grep "^bind /run/0/test.sock " "$T/console.0.log")" \
		"bind /run/0/test.sock ok mode 770" \
		"taken over as Firecracker: a socket in its own folder can be made"
	for call in abstract sendmsg socketpair; do
		is "$(grep "^$call " "$T/console.0.log")" "$call ENOSYS" \
			"taken over as Firecracker: $call leads nowhere"
	done
	is "$(ask spawn vmm_kill slot=0 gen=4)" ok "this one is released too"
	peer_stop spawn
	umount /usr/bin/qemu-system-x86_64
else
	skip "a VMM that was taken over" "no C compiler"
fi
ip link del bgr0
ip link del bgr1
