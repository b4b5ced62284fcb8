#!/bin/bash
# Our policy module, loaded under a VM that runs: each process in its own domain, and then the whole
# life of VMs, enforcing and without a denial.
. "$(dirname "$0")/../lib.sh"
has_policy
installed
tiny_image

# ---- installed under a VM that runs ----
need "a VM starts without the module" tiny_started old
need "its guest is up" says 180 old BEAT
boot=$(boot_of old) vmm=$(vmm_of old)
out=$(make -C "$ROOT" --no-print-directory install-selinux 2>&1)
is "$?: $out" "0: *running VMs were started without this module*banger is running*" \
	"make install-selinux says what to do about what runs"
is "$(semodule -lfull | grep -w banger)" "400 banger *" "the module is loaded at priority 400"
audit_mark
need "banger is restarted" systemctl restart banger
for p in privhelper:sup role-net:net role-blk:blk role-spawn:spawn; do
	is "$(domain_of "$(part ${p%:*})")" "banger_${p#*:}_t" "${p%:*} is in banger_${p#*:}_t"
done
is "$(domain_of "$(part controller)")" banger_t "the controller is in banger_t"
is "$(state_of old) $(vmm_of old)" "running $vmm" "the VM from before is adopted"
check "its guest goes on" beats old "$boot"
is "$(domain_of "$vmm")" initrc_t "in the domain of its start"
refuses "the module is not removed while it runs" "$ROOT"/selinux/remove.sh
is "$(semodule -l | grep -cx banger) $(state_of old) $(vmm_of old)" "1 running $vmm" \
	"and nothing was taken from under it"
check "nor from its guest" beats old "$boot"
check "it is stopped and started" eval "banger vm stop old && banger vm start old"
is "$(domain_of "$(vmm_of old)")" banger_vm_t "and now it is confined"

# ---- the whole life ----
life() { # life NAME: of a VM whose guest says BEAT
	check "$1: create, start" tiny_started "$1"
	check "$1: its guest is up" says 180 "$1" BEAT
	is "$(domain_of "$(vmm_of "$1")") $(level_of "$(vmm_of "$1")")" \
		"banger_vm_t s0:c$(slot_of "$1")" "$1: in banger_vm_t, with its slot's category"
	check "$1: NAT and back" eval "banger vm set $1 --nat && banger vm set $1 --no-nat"
	check "$1: stop, start" eval "banger vm stop $1 && banger vm start $1"
	check "$1: restart" banger vm restart "$1"
	check "$1: and its guest is up again" says 180 "$1" BEAT
}
life a
i=$(slot_of a)
is "$(stat -c %C /run/banger/slots/"$i" /run/banger/slots/vda"$i" /var/lib/banger/slots/"$i" \
	/var/lib/banger/slots/"$i"/{cow,initrd} | cut -d: -f4- | sort -u)" "s0:c$i" \
	"the slot's folders, node and files have its category"
restorecon -R /var/lib/banger/slots # by that name too
is "$(stat -c %C /var/lib/banger/slots/"$i"/kernel)" "system_u:object_r:banger_image_t:s0" \
	"the kernel, which all share, has none"
is "$(ss -xlpZ 2>/dev/null | grep "/run/$i/api.sock")" "*banger_vm_t:s0:c$i*" \
	"its API socket is its own"
another_set() { # another_set PID: the service answers, with another supervisor
	[ "$(part privhelper)" != "$1" ] && [ "$(part privhelper)" != 0 ] && banger vm list
}
for p in privhelper role-net role-blk role-spawn controller; do
	boot=$(boot_of a) vmm=$(vmm_of a) old=$(part privhelper)
	kill -9 "$(part $p)"
	check "kill -9 of $p: a new set" wait_for 60 another_set "$old"
	is "$(state_of a) $(vmm_of a)" "running $vmm" "kill -9 of $p: the VM is adopted"
done
check "the guest goes on" beats a "$boot"
check "a kernel and an image are imported and deleted" \
	eval 'banger kernel import second --deb build/cache/kernel.deb &&
	banger image import second /tmp/tiny.ext4 --kernel second &&
	banger image delete second && banger kernel delete second'
check "doctor" banger doctor
is "$(banger doctor -o json | jq -r '.[] | select(.name == "selinux") | "\(.verdict) \(.text)"')" \
	"PASS enforcing, with our module" "doctor says that the module is in force"
check "audit show" eval "banger audit show | grep -q vmm_spawn"
check "delete" banger vm delete a

# ---- the request log is rotated by the host's logrotate, in its own domain ----
logs() { stat -c %C /var/log/banger/*.log* | cut -d: -f3- | sort -u | xargs; }
systemctl stop logrotate.timer logrotate.service # they would have its state file locked
for n in 1 2; do # the second compresses what the first has rotated
	check "logrotate, in logrotate_t, time $n" \
		systemd-run -q --wait --collect -p SELinuxContext=system_u:system_r:logrotate_t:s0 \
		logrotate -f /etc/logrotate.d/banger
	sleep 1 # names have the second in them
done
is "$(cd /var/log/banger && ls -d {net,blk,spawn}.log{,-*[0-9],-*.gz} | wc -l)" 9 \
	"each role's log is there, rotated, and compressed"
is "$(logs)" banger_reqlog_t:s0 "all with the request log's type"
restorecon -R /var/log/banger
is "$(logs)" banger_reqlog_t:s0 "by the table of file contexts too"
# Debian 13's policy refuses systemctl(1), in that domain, a look at the type of /proc.
is "$(audit_since | grep -aE 'avc: +denied' | grep -a logrotate |
	grep -av 'proc_t:s0 tclass=filesystem')" "" "logrotate was denied nothing"
check "the set goes on" banger vm list

# Under emulation QEMU writes the code that it runs; Firecracker opens other things.
conf() { # conf KEY VALUE
	sed -i "s,^;\?$1 =.*,$1 = $2," /etc/banger/banger.conf
	systemctl restart banger
}
conf accel tcg
check "a VM is emulated" tiny_started emulated
check "its guest is up" says 400 emulated BEAT
check "delete" banger vm delete emulated
conf accel auto
if command -v firecracker >/dev/null; then
	conf firecracker "$(command -v firecracker)"
	life cracker
	is "$(ps -o comm= -p "$(vmm_of cracker)")" firecracker "it is Firecracker"
	check "delete" banger vm delete cracker
	conf firecracker ""
else
	skip "Firecracker" "it is not here"
fi
check "delete the VM from before" banger vm delete old
is "$(denials)" "" "nothing was denied in all of it"

check "the module is removed" "$ROOT"/selinux/remove.sh
done_testing
