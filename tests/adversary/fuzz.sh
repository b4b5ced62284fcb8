#!/bin/bash
# fuzz.sh SECONDS [TARGET] - runs each fuzz target with libFuzzer for that time, as `make fuzz`.
# fuzz.sh --merge - reduces corpus/ to the smallest set of inputs with the same coverage.
#
# New inputs are kept in build/fuzz/corpus/, an input that ends the target in build/fuzz/found/.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=build/fuzz
status=0

merge() { # merge TARGET: a set that is whole before it takes the place of the old one
	local new=$B/merged/$1 inputs
	rm -rf "$new"
	mkdir -p "$new" "$B/corpus/$1" "tests/adversary/corpus/$1"
	"$B/fuzz/$1" -merge=1 -max_len=1500 -artifact_prefix="$B/merge-" "$new" "$B/seeds/$1" \
		"tests/adversary/corpus/$1" "$B/corpus/$1" >"$B/merge.log" 2>&1 ||
		{ tail -n 20 "$B/merge.log"; return 1; }
	rm -rf "tests/adversary/corpus/$1"
	mv "$new" "tests/adversary/corpus/$1"
	inputs=$(find "tests/adversary/corpus/$1" -type f | wc -l)
	echo "$1: $inputs inputs, $(du -sb "tests/adversary/corpus/$1" | cut -f1) bytes"
}

fuzz() { # fuzz TARGET SECONDS
	local found
	mkdir -p "$B/corpus/$1" "$B/found"
	"$B/fuzz/$1" -max_total_time="$2" -timeout=20 -rss_limit_mb=2000 -max_len=4096 \
		-artifact_prefix="$B/found/$1-" \
		"$B/corpus/$1" "tests/adversary/corpus/$1" >"$B/found/$1.log" 2>&1
	found=$?
	grep -E '^#[0-9]+[[:space:]]+DONE' "$B/found/$1.log" | sed "s/^/# $1: /"
	if [ $found = 0 ]; then
		echo "ok - fuzz target $1: $2 s"
	else
		grep -vE '^#[0-9]' "$B/found/$1.log" | tail -n 40
		echo "not ok - fuzz target $1: its input is in $B/found/; repeat: $B/fuzz/$1 FILE"
		status=1
	fi
}

rm -rf $B/seeds
$B/seeds-writer $B/seeds || exit 1
for t in "$B"/fuzz/*; do
	t=${t##*/}
	if [ "$1" = --merge ]; then
		merge "$t" || status=1
	elif [[ $t == *"${2-}"* ]]; then
		fuzz "$t" "$1"
	fi
done
exit $status
