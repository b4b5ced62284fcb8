#!/bin/bash
# bench_agent.sh [COUNT] - measures `exec true` by the agent and by ssh, in one warm Debian guest.
# No result passes or fails.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/integration/lib.sh"
COUNT=${1:-30}
in_ns "$@"
. "$(dirname "$0")/integration/lib_set.sh"
trap 'set_stop; umount /etc/passwd; cleanup_bench' EXIT
cleanup_bench() { finish >/dev/null; }

image=$ROOT/build/cache/root.ext4
[ -s "$image" ] || {
	echo "bench: build/cache/root.ext4 is missing: make demo builds it" >&2
	exit 1
}
set_prepare >/dev/null
conf_make slots=2 per_owner=2
set_start || { cat "$T/set.err" >&2; exit 1; }
begin_guest() {
	cp "$ROOT/build/cache/kernel.deb" "$T/kernel.deb" && chmod 644 "$T/kernel.deb" &&
		as 0 kernel import debian --deb "$T/kernel.deb" &&
		as 0 image import debian <(cat "$image") --kernel debian &&
		as $ALICE create web --image debian --memory 384M && as $ALICE start web
}
begin_guest >/dev/null || { cat "$T/err" >&2; exit 1; }

rounds() { # rounds WORD OPTION...: COUNT commands, their times in milliseconds, sorted
	local i before
	for ((i = 0; i < COUNT; i++)); do
		before=${EPOCHREALTIME/./}
		as $ALICE exec -n --timeout 120s "$@" web -- true || { cat "$T/err" >&2; return 1; }
		echo $((${EPOCHREALTIME/./} - before))
	done | sort -n
}
row() { # row TEXT: p50 and p90 of the times on standard input
	awk -v what="$1" '
		function at(share) { return t[int(NR * share + 0.5)] }
		{ t[NR] = $1 / 1000 }
		END { if (NR) printf "%-52s %10.1f %10.1f\n", what, at(0.5), at(0.9) }'
}
began=${EPOCHREALTIME/./}
as $ALICE exec -n --timeout 300s web -- true || { cat "$T/err" >&2; exit 1; }
first=$((${EPOCHREALTIME/./} - began))
as $ALICE exec -n --ssh --timeout 300s web -- true || { cat "$T/err" >&2; exit 1; }
printf '%-52s %10s %10s\n' "milliseconds for one \`exec true\`" p50 p90
rounds | row "by the agent"
rounds --ssh | row "by ssh"
printf '%-52s %10.1f\n' "the first one after the start, by the agent" \
	"$(awk -v f=$first 'BEGIN { print f / 1000 }')"
