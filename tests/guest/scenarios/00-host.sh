#!/bin/bash
# The test guest is what the other scenarios take it for: without that, what they prove is worth nothing.
. "$(dirname "$0")/../lib.sh"
is "$(cat /proc/1/comm)" systemd "PID 1 is systemd"
wait_for 120 eval '[[ $(systemctl is-system-running) =~ running|degraded ]]'
is "$(systemctl --failed --no-legend --plain | xargs)" "" "no unit failed"
is "$(getenforce)" Enforcing "SELinux enforces"
is "$(cat /proc/1/attr/current | tr -d '\0')" "system_u:system_r:init_t:*" "PID 1 is in its own domain"
is "$(id -Z)" "unconfined_u:unconfined_r:unconfined_t:*" "we are an unconfined administrator"
is "$(systemctl is-active auditd)" active "denials are recorded"
for m in dm_snapshot loop tun bridge nf_tables nft_chain_nat; do
	check "the kernel has $m" modprobe "$m"
done
check "device-mapper knows snapshots" eval 'dmsetup targets | grep -q ^snapshot'
check "KVM is there, nested in the emulator" eval 'modprobe kvm_amd && [ -c /dev/kvm ]'
check "cgroup v2 is mounted where systemd has it" mountpoint -q /sys/fs/cgroup
is "$(stat -f -c %T /sys/fs/cgroup)" cgroup2fs "and is the only one"
check "the programs are built" test -x "$ROOT/build/release/banger-privhelper"
done_testing
