#!/bin/bash
# systemd has banger in its hands: whatever it does to the service, VMs run on and are adopted
# again.
. "$(dirname "$0")/../lib.sh"
LIB=/usr/lib
[ ! -e /usr/libexec/banger/uninstall ] ||
	need "uninstall, to begin anew" make -C "$ROOT" --no-print-directory uninstall
is "$(systemctl show -P LoadState banger)/$(systemctl is-active banger)" not-found/inactive \
	"there is no service"
need "make install" make -C "$ROOT" --no-print-directory install
check "the units are well-formed" systemd-analyze verify $LIB/systemd/system/banger{,-vms}.service \
	$LIB/systemd/system/run-banger-slots.mount
for user in banger banger-net banger-blk banger-spawn banger-sup; do
	is "$(getent passwd $user)" "$user:*:/usr/sbin/nologin" \
		"$user is an account that nobody can log in to"
done
is "$(getent passwd banger | cut -d: -f6)" / "the controller's home is none that it can write to"
usermod --home /var/lib/banger banger
check "doctor sees the home of an earlier version" \
	eval "banger doctor 2>&1 | grep -q 'WARN.*account.*/var/lib/banger'"
check "which the next installation mends" make -C "$ROOT" --no-print-directory install
is "$(getent passwd banger | cut -d: -f6)" / "the home is / again"
is "$(stat -c '%U:%G %a' /var/lib/banger /var/log/banger | xargs)" \
	"banger:banger 711 root:banger 750" "state and logs have their folders"
is "$(sysctl -n net.ipv4.ip_forward)" 1 "packets are forwarded"
need "it is enabled and started" systemctl enable --now banger
check "at once, without a wait, it answers: Type=notify says ready when it is" banger vm list
check "and after a restart" eval "systemctl restart banger && banger vm list"
is "$(systemctl is-enabled banger)/$(systemctl is-active banger)" enabled/active \
	"enabled and active"
is "$(findmnt -n -o FSTYPE,OPTIONS /run/banger/slots)" "tmpfs *" \
	"the slots' tmpfs is a mount of the host's"
is "$(findmnt -n -o OPTIONS /run/banger/slots)" "*nosuid*noexec*" "nothing in it is executed"
is "$(systemctl show -p MemoryMax,TasksMax --value banger | xargs)" "*2048*" \
	"the service's own processes have limits"
check "all VMs together have a limit of memory" grep -vqx max /sys/fs/cgroup/banger/vm/memory.max
is "$(cat /sys/fs/cgroup/banger/vm/pids.max)" 16384 "and of processes"

tiny_image
need "a VM starts" tiny_started run
need "its guest is up" says 180 run "BEAT"
boot=$(boot_of run)
vmm=$(vmm_of run)
cgroup=$(cut -d: -f3 "/proc/$vmm/cgroup")
is "$cgroup" "/banger/vm/$(slot_of run).*" "the VMM is in no control group of the service's"
for p in role-net role-blk controller privhelper; do
	is "$(cut -d: -f3 "/proc/$(part $p)/cgroup")" "/system.slice/banger.service" \
		"$p is in the service's"
done
policy() { banger doctor --policy -o json | jq -r '.[] | "\(.verdict) \(.name): \(.text)"'; }
is "$(policy)" "PASS policy: 7 processes, 1 of them VMMs: *PASS unit: *" \
	"each process, and the unit, is as doctor reads its policy"

# ---- whatever happens to the service ----
survives() { # survives WHAT: the same VMM, the same boot of the guest, and we say so
	check "$1: the service answers" wait_for 60 banger vm list
	is "$(state_of run) $(vmm_of run)" "running $vmm" "$1: the VM is adopted"
	check "$1: its guest goes on, not started anew" beats run "$boot"
}
another_set() { # another_set PID: the service is up, with another supervisor
	[ "$(part privhelper)" != "$1" ] && [ "$(part privhelper)" != 0 ] &&
		systemctl is-active -q banger
}
check "systemctl restart" systemctl restart banger
survives restart
is "$(policy)" "PASS policy: 7 processes, 1 of them VMMs: *PASS unit: *" \
	"the adopted VMM too is as its policy says"
for p in privhelper role-net role-blk role-spawn controller; do
	old=$(part privhelper)
	kill -9 "$(part $p)"
	check "kill -9 of $p: systemd starts a new set" wait_for 60 another_set "$old"
	survives "kill -9 of $p"
done
old=$(part privhelper)
systemctl kill -s KILL banger
check "kill -9 of all of the service: systemd starts a new set" wait_for 60 another_set "$old"
survives "kill -9 of all"
systemctl stop banger
is "$(systemctl is-active banger)" inactive "systemctl stop"
is "$(pgrep -c '^banger-')" 0 "no process of ours is left"
check "the VMM runs while the service is stopped" kill -0 "$vmm"
out=$(banger vm list 2>&1)
is "$?: $out" "8: *banger: *systemctl *start banger*" \
	"the command line says that the service is down, and what to do"
check "systemctl start" systemctl start banger
survives "stop and start"
check "daemon-reload" systemctl daemon-reload
survives daemon-reload
check "daemon-reexec" systemctl daemon-reexec
survives daemon-reexec

# ---- new programs in place ----
inode=$(stat -c %i /usr/libexec/banger/banger-role-net)
check "an upgrade in place" make -C "$ROOT" --no-print-directory install
is "$([ "$inode" != "$(stat -c %i /usr/libexec/banger/banger-role-net)" ]; echo $?)" 0 \
	"puts new programs there while the old ones run"
survives "the upgrade, before a restart"
check "restart to the new ones" systemctl restart banger
is "$(stat -L -c %i "/proc/$(part role-net)/exe")" \
	"$(stat -c %i /usr/libexec/banger/banger-role-net)" "they are what runs"
survives "the upgrade"

# ---- logs ----
before=$(wc -l </var/log/banger/net.log)
first_records() { # first_records FILE: the digest of its first $before lines
	head -n "$before" "$1" | sha256sum
}
was=$(first_records /var/log/banger/net.log)
systemctl stop logrotate.timer logrotate.service # they would have its state file locked
# An earlier rotation is compressed by this one, so one rotated file has no suffix.
check "logrotate" logrotate -f /etc/logrotate.d/banger
# The service may write more records between the count and the rotation.
is "$(first_records /var/log/banger/net.log-*[0-9])" "$was" \
	"keeps each record of the net role's log"
is "$(tail -n 1 /var/log/banger/net.log-*[0-9] | jq -r .type)" stop \
	"of which the last is the stop of the role that wrote them"
is "$(head -n 1 /var/log/banger/net.log | jq -r '"\(.type) \(.file)"')" "start new" \
	"and the new log goes on in a new file"
check "the whole log is proven, by the checkpoints in the journal" \
	eval 'journalctl -u banger -o cat | banger audit verify --checkpoints - >/tmp/verify'
is "$(grep -c 'not cut' /tmp/verify)" 3 "each role has checkpoints there"
check "a member of banger-audit reads the logs" \
	setpriv --reuid 61000 --regid 61000 --groups "$(getent group banger-audit | cut -d: -f3)" \
	banger audit verify --logs /var/log/banger
refuses "another user does not" setpriv --reuid 61000 --regid 61000 \
	--clear-groups banger audit verify --logs /var/log/banger
survives logrotate

# ---- the devices that it may touch: loops, and nothing of the host's ----
is "$(systemctl show -P DevicePolicy banger)" closed "DevicePolicy=closed"
size=$(blockdev --getsz /dev/vda)
in_service() {
	bash -c 'echo $$ >/sys/fs/cgroup/system.slice/banger.service/cgroup.procs && exec "$@"' \
		in-service "$@"
}
check "root outside the service can map the host's disk" \
	dmsetup create steal --table "0 8 linear /dev/vdb 0"
dmsetup remove steal
echo "banger-test: steal" >/dev/kmsg # a full ring does not grow: lines can not be counted
out=$(in_service dmsetup create steal --table "0 8 linear /dev/vdb 0" 2>&1)
is "$?" "[1-9]*" "root, with all its capabilities, in the service can not"
is "$(dmesg | sed '1,/banger-test: steal/d')" "*Device lookup failed (-EPERM)*" \
	"because the kernel refuses the disk to the table"
dmsetup remove steal 2>/dev/null
is "$size" "[1-9]*" "the host's disk is there to be refused"
out=$(in_service dd if=/dev/vda of=/dev/null bs=512 count=1 2>&1)
is "$out" "*Operation not permitted*" "nor read it"
out=$(in_service mknod /tmp/stolen b 254 0 2>&1)
is "$out" "*Operation not permitted*" "nor make a node for it"

# ---- what a guest wrote on its disk is not read by the host's udev ----
cp /tmp/tiny.ext4 /tmp/hostile.ext4
e2label /tmp/hostile.ext4 HOSTILE
loop=$(losetup -f --show /tmp/hostile.ext4)
check "a loop of somebody else's: udev reads its label" \
	wait_for 60 test -e /dev/disk/by-label/HOSTILE
losetup -d "$loop"
check "and forgets it" wait_for 60 eval '! test -e /dev/disk/by-label/HOSTILE'
check "an image with that label is imported" \
	banger image import hostile /tmp/hostile.ext4 --kernel debian
check "a VM of it starts" \
	eval "banger vm create hostile --image hostile --memory 128M && banger vm start hostile"
dm=/sys/block/dm-$((100000 + $(slot_of hostile)))
read -r base cow < <(dmsetup table "bgr-$(slot_of hostile)" |
	awk '{ gsub("7:", "/sys/block/loop"); print $4, $5 }')
labels() { ls /dev/disk/by-label 2>/dev/null | grep -cE 'HOSTILE|REWRITTEN'; }
unread() { # unread WHEN: udev knows nothing of what is on its devices
	local traces='^UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG=1|^ID_FS_|by-label'
	udevadm settle -t 60
	for dev in "$dm" "$base" "$cow"; do
		is "$(udevadm info -q property -p "$dev" | grep -cE "$traces")" 1 \
			"$1: udev has not read ${dev##*/}"
	done
	is "$(labels)" 0 "$1: no link has its name"
}
unread "a VM with a label of that name"
check "its guest writes another" says 120 hostile LABELLED
is "$(blkid -p -o value -s LABEL "/run/banger/slots/vda$(slot_of hostile)")" REWRITTEN \
	"who looks can read it"
udevadm trigger --action=change "$dm" "$base" "$cow"
unread "it is there, and udev looks again"
# The paths of the files behind the loops are others then.
check "the service is started anew" systemctl restart banger
udevadm trigger --action=change "$dm" "$base" "$cow"
unread "after a restart of the service"
refuses "mount(8) does not find it by its label either" findfs LABEL=REWRITTEN
check "it stops" banger vm kill hostile
udevadm settle -t 60
is "$(labels)" 0 "nor is there a link when it has stopped"
# The same by another's hand: a link there is, where the rule does not hold.
loop=$(losetup -f --show -r /tmp/hostile.ext4)
truncate -s 1M /tmp/hostile.cow
cow=$(losetup -f --show /tmp/hostile.cow)
check "a snapshot of somebody else's, of the same image" \
	dmsetup create hostile --table "0 32768 snapshot $loop $cow P 8"
udevadm settle -t 60
is "$(udevadm info -q symlink -n /dev/mapper/hostile)" "*disk/by-label/HOSTILE*" "has its link"
dmsetup remove --retry hostile
losetup -d "$loop" "$cow"
rm /tmp/hostile.cow
check "it goes, and its image" eval "banger vm delete hostile && banger image delete hostile"

# ---- a table that all share ----
most=$(sysctl -n net.netfilter.nf_conntrack_max)
sysctl -q -w net.netfilter.nf_conntrack_max=1
row=$(banger doctor -o json | jq -r '.[] | select(.name == "flows") | "\(.verdict) \(.text)"')
sysctl -q -w net.netfilter.nf_conntrack_max="$most"
is "$row" "FAIL *of 1 in use*new connections of guests are dropped" \
	"the table of flows is full: doctor says so"
is "$(banger doctor -o json | jq -r '.[] | select(.name == "flows").verdict')" PASS \
	"and not when there is room again"

# ---- systemd's own opinion ----
is "$(systemd-analyze security --no-pager banger | tail -n 1)" "*banger.service: 4.2 OK*" \
	"systemd-analyze security"
systemd-analyze security --no-pager banger | tail -n 1 | sed 's/^/# /'

# ---- a configuration that can not be read ----
cp /etc/banger/banger.conf /tmp/banger.conf
printf '[slots]\nnonsense = 1\n' >>/etc/banger/banger.conf
systemctl restart banger 2>/dev/null
sleep 2
is "$(systemctl show -P ExecMainStatus banger) $(systemctl is-active banger)" "78 failed" \
	"a bad configuration is told once, and not tried again"
journalctl --sync
is "$(journalctl -u banger -n 20 --no-pager)" "*banger.conf*nonsense*" "with the line"
check "the VM runs all the while" kill -0 "$vmm"
cp /tmp/banger.conf /etc/banger/banger.conf
check "once it is mended, the service starts" systemctl restart banger
survives "a bad configuration"

# ---- off this host ----
refuses "uninstall refuses while a VM runs" make -C "$ROOT" --no-print-directory uninstall
survives "a refused uninstall"
check "the VM is deleted" banger vm delete run
check "uninstall" make -C "$ROOT" --no-print-directory uninstall
is "$(pgrep -c '^banger-')" 0 "no process of ours is left"
is "$(ls -d /usr/bin/banger /usr/sbin/banger-* /usr/libexec/banger /run/banger \
	/sys/fs/cgroup/banger $LIB/systemd/system/*banger* $LIB/*.d/*banger* \
	$LIB/udev/rules.d/*banger* $LIB/systemd/network/*banger* \
	/usr/lib/NetworkManager/conf.d/*banger* \
	/etc/logrotate.d/banger /etc/blkid.conf /etc/systemd/system/*/*banger* \
	/usr/share/selinux/packages/banger.pp 2>/dev/null)" "" "no file of ours is left"
is "$(nft list tables | grep -c banger)/$(ip -j link |
	jq '[.[] | select(.ifname | test("^banger|^bgr"))] | length')" 0/0 "no table, bridge or tap"
no_disk() { [ "$(dmsetup ls | grep -c ^bgr-)/$(loops)" = 0/0 ]; }
check "no disk" wait_for 60 no_disk
is "$(ls /etc/banger /var/lib/banger | xargs)" "*banger.conf*banger.db*images*" \
	"what people made is kept"
check "installed again" \
	eval 'make -C "$ROOT" --no-print-directory install && systemctl enable --now banger'
is "$(banger image list -o json | jq -r '.[].name')" tiny "their images are there again"
check "uninstall with PURGE=1" make -C "$ROOT" --no-print-directory uninstall PURGE=1
is "$(ls -d /etc/banger /var/lib/banger /var/log/banger 2>/dev/null)" "" "takes those too"
done_testing
