#!/bin/bash
# The test guest is what the other scenarios take it for: without that, what they prove is worth
# nothing.
. "$(dirname "$0")/../lib.sh"
is "$(cat /proc/1/comm)" systemd "PID 1 is systemd"
wait_for 120 eval '[[ $(systemctl is-system-running) =~ running|degraded ]]'
is "$(systemctl --failed --no-legend --plain | xargs)" "" "no unit failed"
is "$(getenforce)" Enforcing "SELinux enforces"
is "$(cat /proc/1/attr/current | tr -d '\0')" "system_u:system_r:init_t:*" \
	"PID 1 is in its own domain"
is "$(id -Z)" "unconfined_u:unconfined_r:unconfined_t:*" "we are an unconfined administrator"
check "denials are recorded" audit_says mark-0
for m in dm_snapshot loop tun bridge nf_tables nft_chain_nat; do
	check "the kernel has $m" modprobe "$m"
done
check "device-mapper knows snapshots" eval 'dmsetup targets | grep -q ^snapshot'
check "KVM is there, nested in the emulator" eval 'modprobe kvm_amd && [ -c /dev/kvm ]'
check "cgroup v2 is mounted where systemd has it" mountpoint -q /sys/fs/cgroup
is "$(stat -f -c %T /sys/fs/cgroup)" cgroup2fs "and is the only one"
# What keeps one VMM from using up the files of the slots' tmpfs, which has no limit of its own.
# Who is at his limit gets no further, and is killed in the end.
g=/sys/fs/cgroup/banger-files
mkdir $g /run/files && mount -t tmpfs -o size=1M,nr_inodes=0 files /run/files &&
	echo 8M >$g/memory.max && echo 0 >$g/memory.swap.max
many_files='mkfifo("/run/files/$_", 0600) or exit 7 for 1 .. 30000'
timeout -s KILL 20 bash -c 'echo $$ >$0/cgroup.procs && exec perl -MPOSIX -e "$1"' \
	$g "$many_files" 2>/dev/null
status=$? files=$(ls -U /run/files | wc -l) held=$(awk '$1 == "slab" { print $2 }' $g/memory.stat)
echo "# $files files, $held bytes of its group's"
is "$status $((files > 500 && files < 15000)) $((held > files * 500))" "137 1 1" \
	"files in a tmpfs count against the memory of whoever makes them"
umount /run/files; rmdir /run/files $g
check "the programs are built" test -x "$ROOT/build/release/banger-privhelper"
done_testing
