#!/bin/bash
# run.sh [PATTERN] - run unit (sanitized) and integration tests, count their TAP, end with "N passed, N failed, N skipped".
#
# A program that ends badly, or without having said what it tested, is a failure of its own.
set -u
cd "$(dirname "$0")/.." || exit 1
pattern=${1-}
passed=0 failed=0 skipped=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

one() { # one NAME COMMAND...: run it, show its TAP, count
	local name=$1 out=$tmp/out rc ok bad skip seconds=${TEST_TIMEOUT:-600}
	[[ $name != *crash.sh ]] || seconds=$((3 * seconds)) # thousands of starts: minutes on an idle machine
	shift
	[[ $name == *"$pattern"* ]] || return 0
	echo "# $name"
	CMOCKA_MESSAGE_OUTPUT=tap timeout -k 10 "$seconds" "$@" >"$out" 2>"$tmp/err" </dev/null
	rc=$?
	grep -E '^(ok|not ok|#)' "$out"
	# cmocka writes a skip as "not ok N # SKIP name".
	skip=$(grep -ciE '^(not )?ok .*# *skip' "$out")
	ok=$(grep -E '^ok ' "$out" | grep -ciEv '# *skip')
	bad=$(grep -E '^not ok ' "$out" | grep -ciEv '# *skip')
	if [ $bad = 0 ] && { [ $rc != 0 ] || [ $((ok + skip)) = 0 ]; }; then
		echo "not ok - $name ended with status $rc"
		bad=1
	fi
	[ $bad = 0 ] || { grep -vE '^(ok|not ok|#)' "$out" | tail -n 40; tail -n 60 "$tmp/err"; } | sed 's/^/  | /'
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

export ASAN_OPTIONS=${ASAN_OPTIONS-detect_leaks=1:abort_on_error=0} UBSAN_OPTIONS=print_stacktrace=1
for t in build/check/unit/test_*; do
	[ -x "$t" ] && [ ! -d "$t" ] && case $t in *.*) ;; *) one "unit ${t##*/}" "$t" ;; esac
done
for t in tests/integration/*.sh; do
	case ${t##*/} in lib*.sh) ;; *) one "integration ${t##*/}" bash "$t" ;; esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
