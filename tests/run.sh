#!/bin/bash
# run.sh [PATTERN] - run unit (sanitized) and integration tests, count their TAP, end with
# "N passed, N failed, N skipped".
#
# TEST_JOBS of them run side by side, since most wait more than they compute; the long ones are
# started first.  The TAP of each is printed whole, and always in the same order; one that fails is
# named as soon as it has ended.  A test whose file has a line "# alone: WHY" runs when all others
# have ended.  The times of all come before the closing line.
#
# A program that ends badly, or without having said what it tested, is a failure of its own.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/end_trees.sh
pattern=${1-}
width=${TEST_JOBS:-$((2 * $(nproc) + 1))}
passed=0 failed=0 skipped=0
tmp=$(mktemp -d)
end() {
	trap '' INT TERM
	# shellcheck disable=SC2046
	end_trees $(jobs -p)
	rm -rf "$tmp"
}
trap end EXIT
trap 'exit 143' INT TERM
# The longest, longest first; the others follow as they are listed.
long="integration crash.sh, integration model.sh, integration exhaustion.sh, integration db.sh,"
long+=" integration system.sh, integration net.sh,"

# ---- what there is to run, in the order in which it is shown ----
names=() commands=() alone=()
add() { # add NAME FILE COMMAND...: if it is wanted
	[[ $1 == *"$pattern"* ]] || return 0
	names+=("$1") commands+=("${*:3}")
	alone+=("$(grep -c '^# alone: ' "$2")")
}

programs() { # programs FOLDER: the test programs in it
	find "$1" -maxdepth 1 -type f -name 'test_*' ! -name '*.*' -perm -100 \
		-printf '%f\n' 2>/dev/null | sort
}

list() {
	local t fixed=
	for t in $(programs build/check/unit); do
		add "unit $t" "tests/unit/$t.c" "build/check/unit/$t"
	done
	for t in $(find build/check/fuzz -maxdepth 1 -type f -printf '%f\n' 2>/dev/null | sort); do
		add "fuzz $t" "tests/adversary/fuzz_$t.c" "build/check/fuzz/$t" "$t" \
			"tests/adversary/corpus/$t" 20
	done
	for t in tests/adversary/*.sh; do
		case ${t##*/} in
		fuzz.sh | coverage.sh) ;;
		*) add "adversary ${t##*/}" "$t" bash "$t" ;;
		esac
	done
	# Without randomized addresses, of which ThreadSanitizer's run-time takes fewer bits than
	# newer kernels give.
	setarch -R true 2>/dev/null && fixed="setarch -R"
	for t in $(programs build/tsan/unit); do
		add "tsan $t" "tests/unit/$t.c" $fixed "build/tsan/unit/$t"
	done
	for t in tests/integration/*.sh; do
		case ${t##*/} in lib*.sh) ;; *) add "integration ${t##*/}" "$t" bash "$t" ;; esac
	done
}

# ---- one of them ----
# run N: what it says into N.out and N.err, its times into N.time, its status, last, into N.rc
run() {
	local name=${names[$1]} file=$tmp/$1 seconds=${TEST_TIMEOUT:-600} took ok bad skip why
	local TIMEFORMAT='%R %U %S'
	[[ $name != *crash.sh ]] || seconds=$((3 * seconds)) # thousands of starts
	# shellcheck disable=SC2086
	{ time CMOCKA_MESSAGE_OUTPUT=tap timeout -k 10 "$seconds" ${commands[$1]} \
		>"$file.out" 2>"$file.err" </dev/null; } 2>"$file.time"
	echo $? >"$file.rc.part"
	mv "$file.rc.part" "$file.rc"
	judge "$1"
	took=$(cut -d' ' -f1 "$file.time")
	[ $bad = 0 ] || echo "# FAILED: $name after $took s; what it said follows in its turn"
}

# judge N: its TAP counted into ok, bad and skip; why it is bad if no line of its own says so
judge() {
	local out=$tmp/$1.out rc
	rc=$(cat "$tmp/$1.rc") why=
	# cmocka writes a skip as "not ok N # SKIP name".
	skip=$(grep -ciE '^(not )?ok .*# *skip' "$out")
	ok=$(grep -E '^ok ' "$out" | grep -ciEv '# *skip')
	bad=$(grep -E '^not ok ' "$out" | grep -ciEv '# *skip')
	[ $bad = 0 ] || return 0
	if [ $rc != 0 ] || [ $((ok + skip)) = 0 ]; then
		why="${names[$1]} ended with status $rc"
	elif grep -q 'WARNING: ThreadSanitizer' "$tmp/$1.err"; then
		# of a program that was killed later
		why="${names[$1]}: data race"
	fi
	[ -z "$why" ] || bad=1
}

show() { # show N: its TAP, counted
	local ok bad skip why
	echo "# ${names[$1]}"
	grep -E '^(ok|not ok|#)' "$tmp/$1.out"
	judge "$1"
	[ -z "$why" ] || echo "not ok - $why"
	[ $bad = 0 ] || {
		grep -vE '^(ok|not ok|#)' "$tmp/$1.out" | tail -n 40
		tail -n 60 "$tmp/$1.err"
	} | sed 's/^/  | /'
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

# ---- all of them ----
shown=0
show_ended() { # those that have ended, and all before them
	while [ $shown -lt ${#names[@]} ] && [ -e "$tmp/$shown.rc" ]; do
		show $shown
		shown=$((shown + 1))
	done
}

begin() { # begin N: beside others, once there is room for it
	while [ "$(jobs -rp | wc -l)" -ge "$width" ]; do
		wait -n
		show_ended
	done
	run "$1" &
}

start_order() { # numbers of tests: the long ones, the others, those that run alone
	local i before
	for i in "${!names[@]}"; do
		before=${long%%"${names[i]},"*}
		[ "$before" != "$long" ] && echo "${alone[i]} ${#before} $i" ||
			echo "${alone[i]} 100000 $i"
	done | sort -k1,1n -k2,2n -k3,3n | cut -d' ' -f3
}

run_all() {
	local i
	for i in $(start_order); do
		[ "${alone[i]}" = 0 ] || width=1
		begin "$i"
	done
	while [ $shown -lt ${#names[@]} ]; do
		wait -n
		show_ended
	done
}

times() { # the times of all, the longest first
	local i
	for i in "${!names[@]}"; do
		awk -v name="${names[i]}" 'END {
			printf "# %7.1f s, %6.1f s of processors: %s\n", $1, $2 + $3, name
		}' "$tmp/$i.time"
	done | sort -k2,2nr
}

export ASAN_OPTIONS=${ASAN_OPTIONS-detect_leaks=1:abort_on_error=0} UBSAN_OPTIONS=print_stacktrace=1
list
# The guests' kernel is fetched here: the network namespaces of the integration tests do not reach
# any server.
[ "$(id -u)" != 0 ] || [[ " ${names[*]}" != *" integration "* ]] || tests/kernel.sh >/dev/null
run_all
times
echo "# all of it: $SECONDS s, $width side by side"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
