#!/bin/bash
# The model test: long random sequences by several users, with kills and vandalism, against a small
# model.  See model.c.
#	model.sh                 what `make check` runs: the seeds MODEL_SEEDS, MODEL_STEPS steps
#	                         each, side by side
#	model.sh SEED [STEPS]    one seed
#	model.sh replay FILE     the steps in FILE, as a failing sequence is printed
#	model.sh soak            seeds from the clock for SOAK_SECONDS, or SEEDS of them with
#	                         STEPS steps each
# A failing sequence is left in build/fail/model-SEED as well, and what was said about it in
# model-SEED.out.
BANGER_BUILD=${BANGER_BUILD:-$(dirname "$0")/../../build/fail}
. "$(dirname "$0")/lib.sh"
needs nft ip losetup sqlite3
[ "$(id -u)" = 0 ] || skip_all "needs root"
[ -n "$(cgroup_mount)" ] || skip_all "needs cgroup v2"
STEPS=${STEPS:-${MODEL_STEPS:-1500}}
side_by_side=$(($(nproc) + 1))
[ ! -e /sys/class/misc/device-mapper ] || side_by_side=1 # its names and minors are the whole host's

# ---- many: each in namespaces of its own ----
one_seed() { # one_seed SEED: its output into $out/SEED
	bash "$0" "$1" "$STEPS" >"$out/$1" 2>&1
	echo $? >"$out/$1.rc"
}

told() { # told SEED: its outcome as one test
	if [ "$(cat "$out/$1.rc")" = 0 ]; then
		steps=$(grep -oE '[0-9]+ steps' "$out/$1" | tail -n 1)
		ok "seed $1: $steps, kernel, ledger and states agree"
		grep -E '^# [0-9]+ ms' "$out/$1"
	else
		not_ok "seed $1: $STEPS steps"
		cp "$out/$1" "$ROOT/build/fail/model-$1.out"
		sed 's/^[^#]/# &/' "$out/$1"
	fi
}

many() { # many SEED...
	local s
	for s in "$@"; do
		while [ "$(jobs -rp | wc -l)" -ge "$side_by_side" ]; do wait -n; done
		one_seed "$s" &
	done
	wait
	for s in "$@"; do told "$s"; done
}

if [ $# = 0 ] || [ "$1" = soak ]; then
	out=$(mktemp -d)
	trap 'rm -rf "$out"' EXIT
	if [ $# = 0 ]; then
		# shellcheck disable=SC2086
		many ${MODEL_SEEDS:-1 2 3}
	elif [ -n "${SEEDS-}" ]; then
		first=$(date +%s)
		# shellcheck disable=SC2046
		many $(seq "$first" $((first + SEEDS - 1)))
	else
		end=$((SECONDS + ${SOAK_SECONDS:-3600}))
		while [ $SECONDS -lt $end ]; do
			first=$(date +%s%N)
			# shellcheck disable=SC2046
			many $(seq "$first" $((first + side_by_side - 1)))
		done
	fi
	echo "1..$TESTS"
	[ $FAILED = 0 ]
	exit
fi

# ---- one ----
[ "$1" != replay ] || set -- replay "$(realpath "$2")"
in_ns "$@"
crash_places slots=8 per_owner=3
unshare --pid --fork --kill-child --mount-proc -- "$B/model" "$T/banger.conf" "$T/work" "$1" \
	"${2:-$STEPS}"
rc=$?
is $rc 0 "the model test ends well"
if [ -s "$T/work/failing" ]; then
	cp "$T/work/failing" "$ROOT/build/fail/model-$(basename "$1")"
	echo "# model.sh replay build/fail/model-$(basename "$1") does it again"
fi
