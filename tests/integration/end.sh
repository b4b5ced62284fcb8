#!/bin/bash
# The end of a guest from inside: stop by the agent, without a power button; reboot, power off,
# panic, and what is said of each.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh"
up() { # up: the VM starts, and its agent answers
	banger start web && banger wait --for ready --timeout 300s web
}
reason() { field $ALICE web reason; }
ends_as() { # ends_as REASON: in time, and with that reason
	wait_for 120 state_is $ALICE web stopped && [ "$(reason)" = "$1" ]
}
# The state, and the processes of VMs in the kernel, after some cycles of the housekeeping, which
# starts what has rebooted.
after_cycles() {
	sleep 5
	echo "$(field $ALICE web state) $(cat "$CGROUP"/vm/*/cgroup.procs 2>/dev/null | wc -l)"
}

set_prepare
conf_make slots=2 per_owner=2
guest_image
did "the set comes up" set_start
did "kernel and image" set_images

# ---- a kernel without a timer, as a busy host may leave it ----
# timer_guest [WORD...]: what a guest of ours says, with these on its kernel's command line
timer_guest() {
	local tsc="tsc_early_khz=2000000 tsc=reliable"
	timeout 240 qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
		-M microvm,x-option-roms=off,rtc=on,isa-serial=on,acpi=on -bios qboot.rom \
		-accel tcg -cpu max -m 192M -serial stdio -kernel "$T/state/slots/0/kernel" \
		-initrd "$T/state/slots/0/initrd" \
		-append "console=ttyS0 quiet panic=1 reboot=t $tsc $*" \
		</dev/null 2>&1 | tr -d '\r'
}
check "a VM to take the kernel from" banger create timer --image tiny --memory 192M
is "$(timer_guest nolapic_timer)" \
	"*banger-init: the kernel has found no timer*reboot: Restarting system*" \
	"a guest without a timer, which could not sleep, starts again"
for _ in 1 2 3; do # a busy host may leave this one without a timer, too
	said=$(timer_guest)
	[[ $said == *"has found no timer"* ]] || break
done
is "$said" "*banger-init: no root disk*Power down*" "one with a timer goes on, and sleeps"
banger rm timer >/dev/null

# ---- an init that minds neither button nor signal ----
check "a VM whose init minds nothing" eval 'banger create web --image tiny --memory 192M && up'
check "it writes, and syncs nothing" in_guest /bin/busybox sh -c 'echo kept >/root/file'
is "$(banger stop --timeout 60s web -o json | jq '.[0].forced')" false \
	"stop: the agent powers it off"
is "$(reason)" "" "a stop has no reason"
check "its console says so" console_has $ALICE web "reboot: Power down"
check "it starts again" up
is "$(in_guest /bin/busybox cat /root/file)" kept "what it had written is on its disk"
takes() { # takes PORT: a command takes a port
	background as $ALICE exec -n --timeout 60s web -- /bin/busybox sleep 1000 >/dev/null 2>&1
}
asks() { status_of banger exec -n --timeout 1s web -- /bin/busybox true; }
for port in 1 2 3 4; do takes $port; done
check "commands take all its ports" wait_for 120 eval '[ "$(asks)" = 7 ]'
is "$(banger stop --timeout 3s web -o json | jq '.[0].forced')" true \
	"no port is free, and no button is minded: it is killed, and told to be"

# ---- its own ends ----
check "it starts again" up
boot=$(boot_id)
id=$(field $ALICE web id)
in_guest /bin/busybox reboot -f >/dev/null
check "reboot: it runs again, with another boot id" wait_for 300 other_boot "$boot"
is "$(field $ALICE web id)/$(field $ALICE web state)" "$id/running" "as the same VM"
in_guest /bin/busybox poweroff -f >/dev/null
check "poweroff: its reason is told" ends_as "its guest powered off"
is "$(after_cycles)" "stopped 0" "it stays stopped"
check "a policy: on-failure" banger set web --restart on-failure
check "it starts again" up
boot=$(boot_id)
in_guest /bin/busybox reboot -f >/dev/null
check "a reboot is no end that the policy decides about" wait_for 300 other_boot "$boot"
check "no policy any more" banger set web --restart no
in_guest /bin/busybox sh -c 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger
	exec /bin/busybox sleep 1000' >/dev/null
check "a panic: the command that ran is told, with the line of the console" grep -q \
	'web: the VM ended: the kernel of its guest panicked; its console says ".*Kernel panic -' \
	"$T/err"
check "a panic: its reason is told" ends_as "the kernel of its guest panicked"
check "it starts again" up
kill -9 "$(vmm_pid)"
check "kill -9 of the VMM: no guest's end is claimed" ends_as "the VMM ended"
check "it starts again" up
in_guest /bin/busybox sh -c 'echo "reboot: Restarting system" >/dev/console
	exec /bin/busybox sleep 1000' >/dev/null 2>&1 &
check "a guest that says that it reboots" wait_for 60 console_has $ALICE web "reboot: Restarting"
check "and a stop: it does not come again" banger stop --timeout 60s web
is "$(after_cycles)" "stopped 0" "it is stopped"
banger rm web >/dev/null

# ---- busybox init ----
ln -sf /bin/busybox "$T/guest/sbin/init"
ln -sf /bin/busybox "$T/guest/bin/sh" # inittab's words with quotes are its
cat >"$T/guest/etc/inittab" <<-'INITTAB'
	::sysinit:/bin/busybox echo GUEST-UP
	::respawn:/bin/busybox sleep 1000
	::shutdown:/bin/busybox sh -c "echo orderly >/root/end"
INITTAB
mke2fs -q -F -t ext4 -d "$T/guest" -E root_owner=0:0 "$T/guest.ext4" 16M
check "an image with busybox init" as 0 image import busybox "$T/guest.ext4" --kernel debian
check "a VM of it" eval 'banger create web --image busybox --memory 192M && up'
check "its init runs" wait_for 120 console_has $ALICE web GUEST-UP
is "$(banger stop --timeout 60s web -o json | jq '.[0].forced')" false \
	"stop: its init powers it off"
check "it starts again" up
is "$(in_guest /bin/busybox cat /root/end)" orderly \
	"its init has run what is due at a shutdown"
banger kill web >/dev/null
banger rm web >/dev/null

# ---- an init that is not known, with a program that minds the button and takes its time ----
mkdir -p "$T/guest/etc/acpi/PWRF"
rm "$T/guest/sbin/init"
cat >"$T/guest/sbin/init" <<-'INIT'
	#!/bin/busybox sh
	export PATH=/bin
	/bin/busybox --install -s /bin
	while [ ! -e /dev/input/event0 ]; do sleep 0.1; done
	acpid -d &
	echo GUEST-UP
	while :; do sleep 1; done
INIT
cat >"$T/guest/etc/acpi/PWRF/00000080" <<-'BUTTON'
	#!/bin/busybox sh
	sleep 8
	echo orderly >/root/end
	sync
	poweroff -f
BUTTON
chmod 755 "$T/guest/sbin/init" "$T/guest/etc/acpi/PWRF/00000080"
mke2fs -q -F -t ext4 -d "$T/guest" -E root_owner=0:0 "$T/guest.ext4" 16M
check "an image with acpid" as 0 image import acpid "$T/guest.ext4" --kernel debian
check "a VM of it" eval 'banger create web --image acpid --memory 192M && up'
check "its acpid reads the button" wait_for 120 in_guest /bin/busybox sh -c \
	'ls -l /proc/*/fd 2>/dev/null | grep -q /dev/input/event'
is "$(banger stop --timeout 120s web -o json | jq '.[0].forced')" false \
	"stop: it powers off"
check "it starts again" up
is "$(in_guest /bin/busybox cat /root/end)" orderly "it had the time that it needed"
banger kill web >/dev/null
banger rm web >/dev/null

# ---- the host goes down: all guests at once, by their agents; nothing is started any more ----
check "two VMs whose init minds nothing" eval 'banger create web --image tiny --memory 192M && up &&
	banger create other --image tiny --memory 192M && banger start other &&
	banger wait --for ready --timeout 300s other'
is "$(as 0 host drain --timeout 120s -o json | jq -r '"\(.vms) \(.killed) \(.left)"')" "2 0 0" \
	"drain: none of them is killed"
for name in web other; do
	is "$(field $ALICE $name state)" stopped "$name is stopped"
	check "the console of $name says so" console_has $ALICE $name "reboot: Power down"
done
