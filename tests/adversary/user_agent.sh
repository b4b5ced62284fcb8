#!/bin/bash
# user_agent.sh - lets three processes of a hostile user attack the ports of the agent in his own
# VM (user.c) while another user lists her VMs.  Afterwards the controller, the VMM and the agent
# are as before.
#
# USER_CONNECTIONS: the least number of connections of each process (60).  USER_SEED: seed of the
# first one (1).
. "$(dirname "$0")/../integration/lib_guest.sh" setpriv
[ -x "$B/user" ] || skip_all "user is not built"
attackers=() sessions=()
trap 'kill -9 "${attackers[@]}" 2>/dev/null; set_stop; umount /etc/passwd; finish' EXIT
connections=${USER_CONNECTIONS:-60} seed=${USER_SEED:-1}
set_prepare
conf_make slots=3
guest_image
did "the set comes up" set_start
did "kernel and image" set_images
check "a VM starts" eval 'as $BOB create web --image tiny --memory 192M && as $BOB start web'
runs() { [ "$(as $BOB exec --timeout 300s -n web -- echo ran)" = ran ]; }
# A command may come before the guest's init has made its programs.
check "its agent answers" wait_for 60 runs
controller=$(child controller) vmm=$(cat "$CGROUP"/vm/0.1.$BOB/cgroup.procs)
# The first backup, ten seconds after the start, leaves a descriptor to the next one: SQLite closes
# none while another connection has locks of that file.
check "the state database has its first backup" wait_for 120 test -e "$T/state/banger.db.backup"
# shellcheck disable=SC2034 # the evals below
threads=$(status_value "$controller" Threads) fds=$(fds_of "$controller") \
	of_vmm=$(fds_of "$vmm") rss=$(status_value "$controller" VmRSS)

for ((u = 0; u < 3; u++)); do
	setpriv --reuid $BOB --regid $BOB --clear-groups "$B/user" \
		"$T/run/control.sock" "$connections" $((seed + u)) web >"$T/user.$u" 2>&1 &
	attackers+=($!)
done
have_sessions() { grep -q "gets a session of its agent" "$T/set.err"; }
check "all of them are at it" \
	wait_for 60 eval '[ "$(running "${attackers[@]}")" = 3 ] && have_sessions'
unserved=0
ask() { as $ALICE vm list -o json >/dev/null || unserved=$((unserved + 1)); }
for ((asked = 0; asked < 20; asked++)); do ask; done # they go on until they are told
kill -USR1 "${attackers[@]}"
for (( ; asked < 100 && $(running "${attackers[@]}") > 0; asked++)); do ask; done
is "$unserved" 0 "another user is served each of $asked times meanwhile (seed $seed)"
wait "${attackers[@]}"
awk '{ c += $2; a += $4; r += $6 }
	END { print "# " c " connections, " a " answered, " r " refused" }' "$T"/user.[0-9]
is "$(awk '{ a += $4 } END { print (a > 0) }' "$T"/user.[0-9])" 1 \
	"they got ports, and did with them what they wanted"

# ---- what it left ----
is "$(child controller) $(cat "$CGROUP"/vm/0.1.$BOB/cgroup.procs)" "$controller $vmm" \
	"controller and VMM live"
check "the controller has as many descriptors as before" \
	wait_for 60 eval '[ "$(fds_of $controller)" -le "$fds" ]'
check "its closer threads have ended" \
	wait_for 60 eval '[ "$(status_value $controller Threads)" -le "$threads" ]'
now=$(status_value "$controller" VmRSS)
is "$((now < rss + 32768))" 1 "its memory has not grown by 32 MiB ($rss to $now KB)"
check "the VMM has as many descriptors as before" \
	wait_for 60 eval '[ "$(fds_of $vmm)" -le "$of_vmm" ]'
check "the agent answers again" wait_for 60 runs
for i in 1 2 3 4; do
	as $BOB exec --timeout 300s -n web -- 'echo up; exec sleep 1000' >"$T/session.$i" 2>&1 &
	sessions+=($!)
done
check "by all four of its ports" \
	wait_for 60 eval '[ "$(cat "$T"/session.? | grep -c "^up")" = 4 ]'
check "the VM goes" as $BOB vm delete web
wait "${sessions[@]}"
did "the set stops" set_stop
