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

wanted() { # wanted NAME
	[[ $1 == *"$pattern"* ]]
}

run() { # run FILE NAME COMMAND...: what it says into FILE.out and FILE.err, its status into FILE.rc
	local file=$1 name=$2 seconds=${TEST_TIMEOUT:-600}
	[[ $name != *crash.sh ]] || seconds=$((3 * seconds)) # thousands of starts: minutes on an idle machine
	shift 2
	CMOCKA_MESSAGE_OUTPUT=tap timeout -k 10 "$seconds" "$@" >"$file.out" 2>"$file.err" </dev/null
	echo $? >"$file.rc"
}

show() { # show FILE NAME: its TAP, counted
	local out=$1.out err=$1.err name=$2 rc ok bad skip
	rc=$(cat "$1.rc")
	echo "# $name"
	grep -E '^(ok|not ok|#)' "$out"
	# cmocka writes a skip as "not ok N # SKIP name".
	skip=$(grep -ciE '^(not )?ok .*# *skip' "$out")
	ok=$(grep -E '^ok ' "$out" | grep -ciEv '# *skip')
	bad=$(grep -E '^not ok ' "$out" | grep -ciEv '# *skip')
	if [ $bad = 0 ] && { [ $rc != 0 ] || [ $((ok + skip)) = 0 ]; }; then
		echo "not ok - $name ended with status $rc"
		bad=1
	elif [ $bad = 0 ] && grep -q 'WARNING: ThreadSanitizer' "$err"; then # of a program that was killed later
		echo "not ok - $name: data race"
		bad=1
	fi
	[ $bad = 0 ] || { grep -vE '^(ok|not ok|#)' "$out" | tail -n 40; tail -n 60 "$err"; } | sed 's/^/  | /'
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

one() { # one NAME COMMAND...
	wanted "$1" || return 0
	run "$tmp/one" "$@"
	show "$tmp/one" "$1"
}

# Some side by side: they wait more than they compute.  Without randomized addresses, of which ThreadSanitizer's run-time
# takes fewer bits than newer kernels give.
tsan() {
	local t fixed=() ours=()
	setarch -R true 2>/dev/null && fixed=(setarch -R)
	for t in build/tsan/unit/test_*; do
		[ -x "$t" ] && [ ! -d "$t" ] && case $t in *.*) ;; *) wanted "tsan ${t##*/}" && ours+=("${t##*/}") ;; esac
	done
	for t in "${ours[@]}"; do
		[ "$(jobs -rp | wc -l)" -lt 4 ] || wait -n
		run "$tmp/$t" "tsan $t" "${fixed[@]}" "build/tsan/unit/$t" &
	done
	wait
	for t in "${ours[@]}"; do
		show "$tmp/$t" "tsan $t"
	done
}

export ASAN_OPTIONS=${ASAN_OPTIONS-detect_leaks=1:abort_on_error=0} UBSAN_OPTIONS=print_stacktrace=1
for t in build/check/unit/test_*; do
	[ -x "$t" ] && [ ! -d "$t" ] && case $t in *.*) ;; *) one "unit ${t##*/}" "$t" ;; esac
done
tsan
for t in tests/integration/*.sh; do
	case ${t##*/} in lib*.sh) ;; *) one "integration ${t##*/}" bash "$t" ;; esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
