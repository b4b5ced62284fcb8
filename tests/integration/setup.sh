#!/bin/bash
# Tests the failure of each step of each process's lock-down (SETUP_FAILS() of common/failpoint.h):
# the process exits, all others exit with it, and READY is never sent.  The build MODE=fail prints
# the list of steps, so none can be forgotten.
BANGER_BUILD=${BANGER_BUILD:-$(dirname "$0")/../../build/fail}
. "$(dirname "$0")/lib.sh"
in_ns "$@"
[ -n "$(cgroup_mount)" ] || skip_all "no cgroup v2"
conf_make slots=4
# Run from a copy: root's programs must be in a folder of root's, wherever the tests are built.
mkdir -m 755 "$T/libexec"
install -m 755 "$B"/banger-{privhelper,controller,kvmprobe} "$B"/banger-role-* "$T/libexec/"
sed -i "s#^libexec_dir.*#libexec_dir = $T/libexec#" "$CONF"
is "$(nm -a "$ROOT/build/release/banger-role-net" 2>/dev/null | grep -c failpoint)" 0 \
	"a release has no such steps"

page=$T/failpoints
# make_page [PROGRAM STEP]: struct failpoint_page as it is before a test, but for the step
make_page() {
	rm -f "$page"
	printf 'frgb%s' "${1-}${1:+ }${2-}" >"$page"
	truncate -s 4M "$page"
	chmod 666 "$page"
}
perl -e '
	use Socket;
	my $s;
	socket($s, AF_UNIX, SOCK_DGRAM, 0) && bind($s, pack_sockaddr_un($ARGV[0])) or die;
	$| = 1;
	while (defined(recv($s, my $m, 256, 0))) { print "$m\n" }' \
	"$T/notify" >"$T/notified" 2>/dev/null &
receiver=$!
# shellcheck disable=SC2034 # lib.sh ends it
PIDS=("$receiver")
check "a service manager listens" wait_for 60 test -S "$T/notify"

# start PROGRAM STEP: the set, until it is ready or ends; its status is in $rc, "ready" if it has to
# be ended
start() {
	make_page "$@"
	: >"$T/set.err"
	: >"$T/notified"
	BANGER_FAILPOINTS=$page NOTIFY_SOCKET=$T/notify "$T/libexec/banger-privhelper" \
		--config "$CONF" 2>"$T/set.err" &
	local set=$!
	wait_for 60 eval "grep -q READY=1 $T/notified || ended $set"
	if grep -q READY=1 "$T/notified"; then
		rc=ready
		kill -TERM $set
		wait $set
	else
		wait $set
		rc=$?
	fi
}
ended() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status"; }
left() { # processes of the set in this test's IPC or network namespace, or out of its folder
	find /proc -maxdepth 2 -name exe -lname "$T/libexec/*" 2>/dev/null | wc -l
}
gone() { [ "$(left)" = 0 ]; }

start
is "$rc" ready "without a fault the set gets ready"
# A process without the step starts; the step is another process's.
none="banger-privhelper descriptors
banger-privhelper status
banger-privhelper parent
banger-launcher config
banger-launcher prepare
banger-launcher bind
banger-launcher scan
banger-launcher no return
banger-role-spawn landlock"
steps_of() { # steps_of PROGRAM; the launcher is forked by the spawn role
	"$B/banger-${1/#launcher/role-spawn}" --setup-steps | sort -u
}
for program in privhelper role-net role-blk role-spawn launcher controller; do
	while read -r step; do
		start "banger-$program" "$step"
		if grep -qx "banger-$program $step" <<<"$none"; then
			is "$rc" ready "banger-$program: $step is no step of it"
			continue
		fi
		# the kernel ends the children of a supervisor that exits, but not at once
		wait_for 60 gone
		is "$rc $(left)" "[1-9]* 0" \
			"banger-$program: without \"$step\" it exits before READY, and all with it"
		[ "$rc" != ready ] || sed 's/^/# /' "$T/set.err"
	done < <(steps_of "$program")
done
is "$(steps_of role-net | wc -l)" 21 "steps of the net role"
