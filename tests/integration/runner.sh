#!/bin/bash
# Tests that a run of the tests which is ended from outside leaves no process behind, not even below
# timeout(1).  The trees of this test have the real tests/run.sh and .ci/run, with tests in them
# that never end.
. "$(dirname "$0")/lib.sh"
T=$(mktemp -d)
trap finish EXIT
mkdir -p "$T/.ci" "$T/tests/integration" "$T/tests/guest"
cp "$ROOT/.ci/run" "$T/.ci/"
cp "$ROOT/tests/run.sh" "$ROOT/tests/end_trees.sh" "$T/tests/"
printf 'check-programs check-vm-programs:\n\t@true\n' >"$T/Makefile"
cat >"$T/tests/integration/polite.sh" <<'X'
sleep 7001 & sleep 7002
X
cat >"$T/tests/integration/deaf.sh" <<'X'
trap '' TERM
sleep 7003
X
cat >"$T/tests/guest/run.sh" <<'X'
#!/bin/bash
timeout 7004 sleep 7004
X
printf '#!/bin/sh\n' >"$T/tests/kernel.sh"
chmod +x "$T/tests/kernel.sh" "$T/tests/guest/run.sh"

ours() { # the processes that run in this test's folder
	local p
	for p in /proc/[0-9]*; do
		[ "$(readlink "$p/cwd" 2>/dev/null)" != "$T" ] || echo "${p#/proc/}"
	done
}

sleepers() { # the commands of our processes that sleep
	local p
	for p in $(ours); do
		tr '\0' ' ' <"/proc/$p/cmdline" | grep -oE '^sleep 700[0-9]'
	done 2>/dev/null | sort
}

finish() {
	# shellcheck disable=SC2046
	kill -KILL $(ours) 2>/dev/null
	rm -rf "$T"
}

# end_run SLEEPERS COMMAND...: ends COMMAND with SIGTERM once so many of its processes sleep
end_run() {
	local n=$1 pid
	shift
	(cd "$T" && exec "$@" >"$T/said" 2>&1 </dev/null) &
	pid=$!
	wait_for 60 eval '[ "$(sleepers | wc -l)" = '"$n"' ]' ||
		not_ok "the tests of $1 run" "$(sleepers)" "$(cat "$T/said")"
	kill -TERM $pid
	wait $pid
	is $? 143 "$1 ends by SIGTERM"
	is "$(sleepers)" "" "$1 leaves no process of a test behind"
}

end_run 3 tests/run.sh
end_run 4 .ci/run
echo "1..$TESTS"
[ $FAILED = 0 ]
