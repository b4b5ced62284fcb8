#!/bin/bash
# Images made of tars and of container layers, as an ordinary user, and real guests that start from them.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
needs qemu-system-x86_64 mke2fs jq dpkg-deb tar
[ -n "$(cgroup_mount)" ] || skip_all "needs cgroup v2"
in_ns "$@"
. "$(dirname "$0")/lib_set.sh"
trap 'set_stop; umount /etc/passwd; finish' EXIT

banger() { as $ALICE "$@"; }

set_prepare
conf_make slots=3 per_owner=3
guest_image
did "the set comes up" set_start
did "kernel and image" set_images

# ---- a tar with an init ----
tar -C "$T/guest" -czf "$T/root.tar.gz" .
check "a tar becomes an image" banger image import fromtar "$T/root.tar.gz" --kernel debian --size 64M
check "from standard input" eval 'banger image import piped - --kernel debian --size 64M <"$T/root.tar.gz"'
is "$(banger image list -o json | jq -r '.[] | select(.name == "fromtar" or .name == "piped") | .digest' | sort | uniq -c | awk '{ print $1 }')" 2 \
	"the same input is the same image"
is "$(banger run --rm --timeout 120s --image fromtar --memory 192M -- /bin/busybox echo hello; echo $?)" $'hello\n0' "a guest starts from it"
