#!/bin/bash
# The exhaustive crash test: each verb, each failpoint on its way, each victim.  See crash.c.
#	crash.sh          what `make check` runs; CRASH_FULL=1: the whole product
#	crash.sh VERB     one verb
#	crash.sh ways     no case, but what is on the way of each verb
#	crash.sh VERB PROGRAM:NAME[:N] VICTIM EFFECT
#	                  one case, as a failing one prints itself
# CRASH_VERBS: some verbs alone.  CRASH_POINTS: those alone that begin so, as PROGRAM:NAME:N.
# CRASH_PARTS: how many run side by side, each in namespaces of its own.  CRASH_SAMPLE=N: one case
# of N.  CRASH_SECONDS=N: about so long, each verb its share.  CRASH_DM=1: the chosen verbs must
# pass every failpoint that needs device-mapper.
BANGER_BUILD=${BANGER_BUILD:-$(dirname "$0")/../../build/fail}
. "$(dirname "$0")/lib.sh"
needs nft ip losetup sqlite3
[ -n "$(cgroup_mount)" ] || skip_all "needs cgroup v2"

# ---- all of it: some parts at once, since a case waits for the kernel more than it computes ----
if [ $# = 0 ]; then
	[ "$(id -u)" = 0 ] || skip_all "needs root"
	for program in banger banger-controller banger-privhelper banger-role-net banger-role-blk \
		banger-role-spawn; do
		is "$(grep -ciE 'failpoint' "$ROOT/build/release/$program")" 0 \
			"nothing of failpoints is in the release's $program"
	done
	parts=${CRASH_PARTS:-$((3 * $(nproc)))}
	# device-mapper's names and minors are the whole host's
	[ ! -e /sys/class/misc/device-mapper ] || parts=1
	out=$(mktemp -d)
	mkdir "$out/ways"
	trap 'rm -rf "$out"' EXIT
	cut_short() {
		grep -h "^verb" "$out"/[0-9]* | sed "s/^/# cut short: /"
		# shellcheck disable=SC2046
		kill $(jobs -p)
		exit 143
	}
	trap cut_short TERM
	for ((k = 0; k < parts; k++)); do
		CRASH_WAYS=$out/ways bash "$0" part $k "$parts" >"$out/$k" 2>"$out/$k.err" &
	done
	wait
	grep -hE '^# (FAULT|  |not reached)|^# .*way of no verb|^# [a-z_]+ v:|^not ok - ' \
		"$out"/[0-9]*
	for ((k = 0; k < parts; k++)); do
		grep -q '^total ' "$out/$k" || {
			not_ok "part $k comes to its end" "$(tail -n 20 "$out/$k" "$out/$k.err")"
			continue
		}
		grep -E '^not ok' -A 5 "$out/$k" | sed 's/^/# /'
	done
	is "$(cat "$out"/[0-9]* | grep -c '^ok .* request logs of all crashes are whole')" \
		"$parts" "the request logs of each part are whole"
	while read -r verb cases points faults ms lost late whole; do
		said="$verb: $cases of $whole cases at $points failpoints"
		if [ "$faults" != 0 ]; then
			not_ok "$said, $faults faults" \
				"$(grep -hE "^# FAULT $verb " -A 3 "$out"/[0-9]* | head -n 40)"
		elif [ "$cases" = 0 ] || { [ "$lost" != 0 ] && [ -z "${CRASH_POINTS-}" ]; }; then
			not_ok "$said, $lost not reached" \
				"none may be, but for those that crash.c names (may_be_late)"
		else
			ok "$said"
		fi
		each=$((ms / (cases ? cases : 1)))
		echo "# $each ms a case, $lost not reached, $late more as may be"
	done < <(awk -v some="${CRASH_POINTS-}" '
		$1 == "verb" && ($3 || !some) {
			if (!($2 in c)) name[n++] = $2
			p[$2] = $4
			c[$2] += $3; f[$2] += $5; m[$2] += $6; l[$2] += $7; e[$2] += $8; w[$2] += $9
		}
		END {
			for (i = 0; i < n; i++) {
				v = name[i]
				print v, c[v], p[v], f[v], m[v], l[v], e[v], w[v]
			}
		}' "$out"/[0-9]*)
	[ -n "${CRASH_VERBS-}" ] && [ -z "${CRASH_DM-}" ] ||
		is "$(grep -hE '^(not )?ok .* failpoints in the programs' "$out/0")" "ok *" \
		"$(grep -hoE 'of [0-9]+ failpoints in.*' "$out/0")"
	is "$(cat "$out"/[0-9] "$out"/[0-9][0-9] 2>/dev/null | grep -c '^ok .*nothing is left')" \
		"$parts" "nothing is left behind by any part"
	read -r cases leaks lies twice again whole < <(awk '
		$1 == "total" { c += $2; l += $3; i += $4; t += $5; a += $6; w += $7 }
		END { print c + 0, l + 0, i + 0, t + 0, a + 0, w + 0 }' "$out"/[0-9]*)
	if [ -n "${CRASH_POINTS-}" ] || [ "$again" -gt 0 ]; then
		ok "$again recoveries were crashed in turn"
	else
		not_ok "no recovery was crashed in turn"
	fi
	said="$cases of $whole cases (verb, failpoint, victim, effect)"
	is "$leaks $lies $twice" "0 0 0" \
		"$said: $leaks leaks, $lies lies, $twice double allocations"
	echo "1..$TESTS"
	[ $FAILED = 0 ]
	exit
fi
in_ns "$@"
crash_places slots=8 per_owner=8
unshare --pid --fork --kill-child --mount-proc -- "$B/crash" "$T/banger.conf" "$T/work" "$@"
rc=$?
is $rc 0 "the crash test ends well"
# Some cases set the clock back.
verify=$("$B/banger" audit verify --logs "$T/log" 2>&1)
is "$(grep '^REFUSED' <<<"$verify" | grep -v '^REFUSED clock')" "" \
	"the request logs of all crashes are accepted"
lost=$(grep -c '^missing lost' <<<"$verify")
is "$(grep -c '^[a-z]*: [0-9]* records' <<<"$verify")" 3 \
	"the request logs of all crashes are whole: $lost records lost"
[ $rc = 0 ] || tail -n 20 "$T/work/set.err" | sed 's/^/# /'
