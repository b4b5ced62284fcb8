#!/bin/bash
# Held runs: `banger run` ends its VM in whatever way it ends itself, and a restart of the service does not end the VM.
# What is gone is read from the kernel, the database and the files, by other tools.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
needs qemu-system-x86_64 mke2fs jq dpkg-deb sqlite3 script
[ -n "$(cgroup_mount)" ] || skip_all "needs cgroup v2"
in_ns "$@"
. "$(dirname "$0")/lib_set.sh"
trap 'set_stop; umount /etc/passwd; finish' EXIT

WAIT=60
PREFIX=(setpriv --reuid $ALICE --regid $ALICE --clear-groups env -i --default-signal=INT,QUIT,HUP PATH="$PATH" HOME="$T/home.$ALICE" BANGER_SOCKET="$T/run/control.sock")
RUN=(run --image tiny --memory 192M --timeout 300s)

run_up() { # run_up ARGUMENTS...: a run in the background, and wait until its command runs; $client is its pid
	: >"$T/out"
	"${PREFIX[@]}" "$B/banger" "${RUN[@]}" "$@" -- 'echo up; exec sleep 10000' </dev/null >"$T/out" 2>"$T/run.err" &
	client=$!
	wait_for $WAIT is_up
}
is_up() { grep -q '^up' "$T/out"; }
ended() { # ended SIGNAL: end the client so, and wait for it
	kill -"$1" "$client"
	wait "$client" 2>/dev/null
}
rows() { sqlite3 "$T/state/banger.db" "SELECT count(*) FROM vms"; }
row() { sqlite3 "$T/state/banger.db" "SELECT state, hold FROM vms WHERE name = '$1'"; }
files() { find "$T/state/slots" "$T/run/slots" -type f -o -type s | grep -c .; }
gone() { [ "$(rows)" = 0 ] && nothing_of_vms; } # no row, no kernel object

# The shell and sleep are there before init: a command may come before it.
agent_guest() {
	guest_image
	ln -s busybox "$T/guest/bin/sh" && ln -s busybox "$T/guest/bin/sleep"
	mke2fs -q -F -t ext4 -d "$T/guest" -E root_owner=0:0 "$T/guest.ext4" 16M
}

set_prepare
conf_make slots=3 per_owner=3
agent_guest
did "the set comes up" set_start
did "kernel and image" set_images

# ---- the ends of a client ----
did "a run" run_up --rm --name one
is "$(row one)" "running|2" "its VM runs, and is held"
ended KILL
check "SIGKILL: the VM is deleted" wait_for $WAIT gone
is "$(files)" 0 "SIGKILL: so are its files"
