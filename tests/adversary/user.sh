#!/bin/bash
# user.sh - lets ten hostile users attack the control socket (user.c) while an honest user lists her
# VMs.
#
# USER_CONNECTIONS: the least number of connections of each hostile user (1000).  USER_SEED: seed of
# the first one (1).
. "$(dirname "$0")/../integration/lib.sh"
needs jq setpriv
[ -n "$(cgroup_mount)" ] || skip_all "needs cgroup v2"
in_ns "$@"
[ -x "$B/user" ] || skip_all "user is not built"
. "$(dirname "$0")/../integration/lib_set.sh"
attackers=()
trap 'kill -9 "${attackers[@]}" 2>/dev/null; set_stop; finish' EXIT
connections=${USER_CONNECTIONS:-1000} seed=${USER_SEED:-1}
mount -t tmpfs run /run && mkdir -p /run/netns
conf_make slots=3

list_ms() { # how long the list takes, in ms; nothing when it is not served
	local from=${EPOCHREALTIME/./}
	timeout 60 setpriv --reuid $ALICE --regid $ALICE --clear-groups env \
		-i BANGER_SOCKET="$T/run/control.sock" \
		"$B/banger" vm list -o json >/dev/null 2>"$T/err" || return 1
	echo $(((${EPOCHREALTIME/./} - from) / 1000))
}
many() { # many N: N times, sorted, one a line; "x" for one that is not served
	local i
	for ((i = 0; i < $1; i++)); do
		list_ms || { echo x; sed 's/^/# not served: /' "$T/err" >&2; }
	done | sort -n
}
median() { sed -n "$((($(wc -l <"$1") + 1) / 2))p" "$1"; }

if set_start; then
	ok "the set comes up"
else
	not_ok "the set comes up" "$(cat "$T/set.err")"; exit 1
fi
controller=$(child controller)
many 20 >"$T/idle"
# The first backup, ten seconds after the start, leaves a descriptor to the next one: SQLite closes
# none while another connection has locks of that file.
check "the state database has its first backup" wait_for 120 test -e "$T/state/banger.db.backup"
# shellcheck disable=SC2034 # the eval below
threads=$(status_value "$controller" Threads) fds=$(fds_of "$controller") \
	rss=$(status_value "$controller" VmRSS)

# ---- ten users, all that they can think of ----
for ((u = 0; u < 10; u++)); do
	setpriv --reuid $((65001 + u)) --regid $((65001 + u)) --clear-groups "$B/user" \
		"$T/run/control.sock" "$connections" $((seed + u)) >"$T/user.$u" 2>&1 &
	attackers+=($!)
done
check "all of them are at it" \
	wait_for 60 eval '[ "$(running "${attackers[@]}")" = 10 ] && grep -q "uid 650" "$T/set.err"'
: >"$T/busy"
for ((asked = 0; asked < 20; asked++)); do many 1 >>"$T/busy"; done # they go on until they are told
kill -USR1 "${attackers[@]}"
for (( ; asked < 100 && $(running "${attackers[@]}") > 2; asked++)); do many 1 >>"$T/busy"; done
sort -n -o "$T/busy" "$T/busy"
is "$(grep -c x "$T/busy")" 0 "an honest user is served each of $asked times meanwhile (seed $seed)"
echo "# list: $(median "$T/idle") ms idle, $(median "$T/busy") ms under attack," \
	"$(tail -n 1 "$T/busy") ms at the most"
wait "${attackers[@]}"
awk '{ c += $2; a += $4; r += $6 }
	END { print "# " c " connections, " a " answered, " r " refused" }' "$T"/user.[0-9]
is "$(awk '{ c += $2 } END { print (c > 9 * '"$connections"') }' "$T"/user.[0-9])" 1 \
	"nine connections of ten were taken, if only to be refused"

# ---- what it left ----
is "$(child controller)" "$controller" "the controller lives"
check "it has as many descriptors as before" \
	wait_for 60 eval '[ "$(fds_of $controller)" -le "$fds" ]'
check "its closer threads have ended" \
	wait_for 60 eval '[ "$(status_value $controller Threads)" -le "$threads" ]'
is "$(($(status_value "$controller" VmRSS) < rss + 32768))" 1 \
	"its memory has not grown by 32 MiB ($rss to $(status_value "$controller" VmRSS) KB)"
is "$(($(grep -c "uid 650" "$T/set.err") <= 2 + SECONDS / 10))" 1 \
	"one line in ten seconds tells about them ($(grep -c "uid 650" "$T/set.err"))"
is "$(as $ALICE vm list -o json | jq -c .)" "[[][]]" "the honest user's list is right"
is "$(as 0 image list -o json | jq -c .)" "[[][]]" "nothing was imported"
did "the set stops" set_stop
