#!/bin/bash
# The model test where disks are snapshots, and an administrator can detach loops.  See
# tests/integration/model.c.
. "$(dirname "$0")/../lib.sh"
systemctl stop banger 2>/dev/null # as in 80-crash.sh
export BANGER_BUILD=$ROOT/build/fail MODEL_SEEDS="${MODEL_SEEDS:-11 12}" \
	MODEL_STEPS="${MODEL_STEPS:-300}" SHRINK_SECONDS=60
timeout 600 bash "$ROOT/tests/integration/model.sh" >/tmp/model.out 2>/tmp/model.err
rc=$?
grep -E '^(ok|not ok|#)' /tmp/model.out | sed '/^ok/s/^ok [0-9]* - /# /'
is "$rc" 0 "the model test ends well: $MODEL_STEPS steps from each of the seeds $MODEL_SEEDS"
is "$(dmsetup ls | grep -c '^bgr-')/$(losetup -n | grep -c banger-test)" 0/0 \
	"dmsetup, losetup: nothing of it is left"
systemctl start banger 2>/dev/null
done_testing
