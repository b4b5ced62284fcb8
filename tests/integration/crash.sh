#!/bin/bash
# The exhaustive crash test: each verb, each failpoint on its way, each victim.  See crash.c.
#	crash.sh                                          what `make check` runs; CRASH_FULL=1: the whole product
#	crash.sh VERB                                     one verb
#	crash.sh VERB PROGRAM:NAME[:N] VICTIM EFFECT      one case, as a failing one prints itself
BANGER_BUILD=${BANGER_BUILD:-$(dirname "$0")/../../build/fail}
. "$(dirname "$0")/lib.sh"
for tool in nft ip losetup sqlite3; do
	command -v $tool >/dev/null || { [ "$(id -u)" = 0 ] && skip_all "needs $tool"; }
done
[ -n "$(cgroup_mount)" ] || skip_all "needs cgroup v2"
in_ns "$@"

# The disks of this test are memory: it is about order, and a sync would only take time.
mkdir "$T/mem" && mount -t tmpfs -o size=512m,mode=711 crash "$T/mem"
vmm=/usr/local/src
mount -t tmpfs -o mode=755 crash-vmm $vmm && install -m 755 "$B/crash_vmm" $vmm/vmm
T0=$T T=$T/mem
conf() { conf_make slots=8 per_owner=8 "$@"; }
conf qemu=$vmm/vmm firecracker=$vmm/vmm accel=kvm && cp "$T/banger.conf" "$T/banger.conf.fc"
conf qemu=$vmm/vmm accel=auto && cp "$T/banger.conf" "$T/banger.conf.auto"
conf qemu=$vmm/vmm accel=tcg
sed -i 's/^creates_per_second.*/creates_per_second = 1000/' "$T"/banger.conf*
trap 'rc=$?; for l in $(losetup -n -O NAME -j "$T/work/decoy.loop"); do losetup -d "$l"; done; T=$T0; rmdir "$CGROUP-decoy" 2>/dev/null; (exit $rc); finish' EXIT
mkdir -p "$T/work/sys"
mount -t sysfs -o ro crash-sys "$T/work/sys" # the old one shows the old network namespace
chmod 711 "$T/work"
unshare --pid --fork --kill-child --mount-proc -- "$B/crash" "$T/banger.conf" "$T/work" "$@" >"$T/out"
rc=$?
cat "$T/out"
is $rc 0 "the crash test ends well"
[ $rc = 0 ] || tail -n 20 "$T/work/set.err" | sed 's/^/# /'
