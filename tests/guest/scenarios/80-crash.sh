#!/bin/bash
# The crash test where disks are snapshots: what the development host lacks of it, that is every
# step of the blk role and of the controller towards it.  See tests/integration/crash.c.
. "$(dirname "$0")/../lib.sh"
# Names and minors of device-mapper are the whole host's: the service and its VMs make room.
systemctl stop banger 2>/dev/null
is "$(dmsetup ls | grep -c '^bgr-')" 0 "no snapshot of ours is there"
export BANGER_BUILD=$ROOT/build/fail
points="blk:loop blk:snapshot blk:dm. blk:disknode"
points+=" controller:request.loop controller:request.snapshot controller:disk.cow"
verbs="create start kill delete first-start"
verbs+=" reconcile-dead reconcile-orphan reconcile-start reconcile-stop reconcile-adopt"
CRASH_DM=1 CRASH_SECONDS=300 CRASH_SAMPLE=3 CRASH_POINTS=$points CRASH_VERBS=$verbs \
	timeout 840 bash "$ROOT/tests/integration/crash.sh" >/tmp/crash.out 2>/tmp/crash.err
rc=$?
grep -E '^(ok|not ok|#)' /tmp/crash.out | grep -v '^1\.\.' >/tmp/crash.tap
sed -i '/^ok/s/^ok [0-9]* - /# /' /tmp/crash.tap
cat /tmp/crash.tap
echo "# $SECONDS s"
cases=$(grep -oE '[0-9]+ of [0-9]+ cases.*' /tmp/crash.tap | tail -n 1)
is "$rc" 0 "the crash test ends well: $cases"
is "$(dmsetup ls | grep -c '^bgr-')/$(losetup -n | grep -c banger-test)" 0/0 \
	"dmsetup, losetup: nothing of it is left"
systemctl start banger 2>/dev/null
done_testing
