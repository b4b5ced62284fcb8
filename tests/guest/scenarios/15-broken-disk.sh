#!/bin/bash
# The disk under the state directory: a quota that is used up, then a disk that fails for real
# (dm-error).
. "$(dirname "$0")/../lib.sh"
installed
B=/var/lib/banger
nothing_of_dm() { [ "$(dmsetup ls | grep -c ^bgr-)/$(loops)" = 0/0 ]; }
db_is_whole() { [ "$(sqlite3 -readonly $B/banger.db 'PRAGMA integrity_check')" = ok ]; }

# ---- a file system of its own, with quotas, on a disk that can be made to fail ----
disk_on() { # disk_on [FORMAT]: mounted, the service is to have its state there
	disk=$(losetup -f --show /var/tmp/broken.img)
	sectors=$(blockdev --getsz "$disk")
	dmsetup create broken --table "0 $sectors linear $disk 0"
	[ -z "${1-}" ] || mke2fs -q -t ext4 -O quota -E quotatype=usrquota /dev/mapper/broken
	e2fsck -fy /dev/mapper/broken >/tmp/fsck.log 2>&1
	is "$?" "[01]" "e2fsck: the file system is whole, or was mended"
	mount -o usrquota,errors=remount-ro /dev/mapper/broken $B
	systemd-tmpfiles --create banger.conf
	restorecon -R $B
}
if [ "$PHASE" = 2 ]; then
	systemctl stop banger
	disk_on
	check "after a reboot, on a disk that works, the service comes back" systemctl start banger
	check "sqlite3: the database is whole" db_is_whole
	is "$(banger vm list -o json | jq -r '[.[] | "\(.name) \(.state)"] | sort | join(", ")')" \
		"late created, runs stopped" \
		"the VMs are those that were there, and none is said to run"
	check "one starts, with its data" \
		eval 'banger vm start runs && says 120 runs "GUEST-UP boot 3"'
	check "both can be deleted" banger vm delete runs late
	check "nothing is left" wait_for 60 nothing_of_dm
	systemctl stop banger
	umount $B && dmsetup remove broken && losetup -d "$disk" && rm /var/tmp/broken.img
	check "the service has its old state again" systemctl start banger
	done_testing
fi
banger vm list --all -o json | jq -r '.[].name' | xargs -r banger vm delete >/dev/null 2>&1
systemctl stop banger
truncate -s 700M /var/tmp/broken.img
disk_on format
need "the service has its state there" systemctl start banger
tiny_image
need "a VM runs" eval 'tiny_started runs && says 120 runs "GUEST-UP boot 1"'
check "one more is there" tiny_vm rests

# ---- the account's quota is used up ----
used=$(repquota -u -p $B | awk '$1 == "banger" { print $3 }')
need "repquota: what the account has" [ "$used" -gt 1000 ]
setquota -u banger 0 "$((used + 64))" 0 0 $B
vmm=$(vmm_of runs)
out=$(banger vm create more --image tiny --memory 128M 2>&1)
is "$? $out" "9 *banger: *: no room left*" \
	"nothing is created above the quota, and the command line says why"
is "$(banger vm list -o json | jq -r '[.[].name] | sort | join(" ")')" "rests runs" \
	"nor is anything left of it"
is "$(vmm_of runs) $(state_of runs)" "$vmm running" "the VM that runs runs on"
check "it can be killed" banger vm kill runs
check "one can be deleted" banger vm delete rests
check "nothing of them is left" wait_for 60 nothing_of_dm
setquota -u banger 0 0 0 0 $B
check "without the quota it starts again" \
	eval 'banger vm start runs && says 120 runs "GUEST-UP boot 2"'

# ---- the disk fails ----
check "the database is written to it" banger vm create --image tiny --memory 128M late
sync
dmsetup suspend --noflush broken && dmsetup load broken --table "0 $sectors error" &&
	dmsetup resume broken
echo 3 >/proc/sys/vm/drop_caches
refuses "its blocks can not be read" \
	dd if=/dev/mapper/broken of=/dev/null bs=4096 count=1 iflag=direct
out=$(banger vm create more --image tiny --memory 128M 2>&1)
is "$? $out" "9 *banger: *" "nothing is created on a disk that fails, and the command line says so"
out=$(timeout 60 banger vm kill runs 2>&1)
is "$? $out" "9 *banger: runs: *disk fails*" \
	"nor can be ended what no row can be read of: it is said"
is "$(banger doctor -o json | jq -r '.[] | select(.verdict == "FAIL") | .name' | xargs)" \
	"*database*" "doctor names it"
done_testing 93
