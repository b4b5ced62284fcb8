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
as_bounded() { # as_bounded COMMAND...: banger as Alice, for 30 s at most
	timeout --foreground 30 setpriv --reuid $ALICE --regid $ALICE --clear-groups env -i PATH="$PATH" HOME="$T/home.$ALICE" \
		BANGER_SOCKET="$T/run/control.sock" "$B/banger" "$@"
}

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

# ---- an image without an init ----
tiny_tree() { # tiny_tree FOLDER: a root file system that has busybox, and no init
	mkdir -p "$1/bin" && cp /bin/busybox "$1/bin/" && ln -s busybox "$1/bin/sh"
}
tiny_tree "$T/bare"
tar -C "$T/bare" --zstd -cf "$T/bare.tar.zst" .
check "a tar without an init becomes an image" banger image import bare "$T/bare.tar.zst" --kernel debian --size 64M
check "a guest of it starts" eval 'banger create bare --image bare --memory 192M && banger start bare'
bare() { banger exec --timeout 120s -n bare -- "$@"; }
# A command right at the start of a guest is agent.sh's to test.
answers() { as_bounded exec --timeout 120s -n "$1" -- /bin/busybox true; }
check "it answers" wait_for 120 answers bare
is "$(bare /bin/busybox sed 's/\x0.*//' /proc/1/cmdline | tr -d '\0')" "@banger-agent" "the agent is process 1"
is "$(bare 'busybox awk "\$2 ~ /^\\/(|proc|sys|dev|dev\\/pts|dev\\/shm|sys\\/fs\\/cgroup)$/ { print \$2 \":\" \$3 }" /proc/mounts | busybox sort | busybox paste -sd " " -')" \
	"*/:ext4 /dev/pts:devpts /dev/shm:tmpfs /dev:devtmpfs /proc:proc /sys/fs/cgroup:cgroup2 /sys:sysfs" "file systems are mounted"
is "$(bare 'busybox ip -4 -o addr show eth0' | awk '{ print $4 }')" "$(field $ALICE bare ip)/*" "the network is up"
is "$(banger exec -n -t bare -- busybox tty | tr -d '\r')" /dev/pts/0 "a terminal"
check "an orphan is reaped" eval 'bare "busybox setsid sh -c \"busybox true & exec busybox true\"" && wait_for 60 eval "bare \"! busybox grep -l ^State:.Z /proc/[0-9]*/status\""'
is "$(status_of banger run --rm --timeout 120s --image bare --memory 192M -- busybox false)" 1 "run --rm: the command's status"
is "$(banger stop --timeout 60s bare -o json | jq '.[0].forced')" false "the power button ends it"
check "the console says so" console_has $ALICE bare "reboot: Power down"
check "it starts again" banger start bare
check "and answers" wait_for 120 answers bare
check "a program that ignores SIGTERM does not keep it" eval 'bare "trap \"\" TERM; busybox sleep 9999 >/dev/null 2>&1 </dev/null & :" && bare busybox poweroff; wait_for 60 state_is $ALICE bare stopped'
banger rm bare >/dev/null
