#!/bin/bash
# Held runs: `banger run` ends its VM in whatever way it ends itself, and a restart of the service
# does not end the VM. What is gone is read from the kernel, the database and the files, by other
# tools.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh" sqlite3 script

WAIT=300
# shellcheck disable=SC2054 # the commas are env's
PREFIX=(setpriv --reuid "$ALICE" --regid "$ALICE" --clear-groups env -i
	--default-signal=INT,QUIT,HUP PATH="$PATH" HOME="$T/home.$ALICE" \
	BANGER_SOCKET="$T/run/control.sock")
RUN=(run --image tiny --memory 192M --timeout 300s)

# run_up ARGUMENTS...: a run in the background, and wait until its command runs; $client is its pid
run_up() {
	: >"$T/out"
	"${PREFIX[@]}" "$B/banger" "${RUN[@]}" "$@" -- 'echo up; exec sleep 10000' \
		</dev/null >"$T/out" 2>"$T/run.err" &
	client=$!
	wait_for $WAIT is_up
}
is_up() { grep -q '^up' "$T/out"; }
ended() { # ended SIGNAL: end the client so, and wait for it
	kill -"$1" "$client"
	{ wait "$client"; } 2>/dev/null
}
rows() { sqlite3 "$T/state/banger.db" "SELECT count(*) FROM vms"; }
row() { sqlite3 "$T/state/banger.db" "SELECT state, hold FROM vms WHERE name = '$1'"; }
stopped() { [ "$(row "$1")" = "stopped|0" ]; }
no_files() { [ -z "$(find "$T/state/slots" "$T/run/slots" ! -type d)" ]; }
gone() { [ "$(rows)" = 0 ] && nothing_of_vms; } # no row, no kernel object

# The shell and sleep are there before init: a command may come before it.
agent_guest() {
	guest_image
	ln -s busybox "$T/guest/bin/sh" && ln -s busybox "$T/guest/bin/sleep"
	mke2fs -q -F -t ext4 -d "$T/guest" -E root_owner=0:0 "$T/guest.ext4" 16M
}

set_prepare
GRACE=10
conf_make slots=3 per_owner=3 grace=$GRACE
agent_guest
did "the set comes up" set_start
did "kernel and image" set_images

# ---- the ends of a client ----
did "a run" run_up --rm --name one
is "$(row one)" "running|2" "its VM runs, and its row has the hold"
is "$(field $ALICE one hold) $(as $ALICE ps | awk '$1 == "one" { print $2 $3 }')" \
	"delete @(running|ready),held" "inspect and ps say so"
is "$(status_of as $BOB vm delete one) $(grep -c 'no such VM' "$T/err")" "3 1" \
	"another user does not see it"
ended KILL
check "SIGKILL: the VM is deleted, with all that it had in the kernel" wait_for $WAIT gone
check "SIGKILL: so are its files" wait_for $WAIT no_files
for sig in QUIT HUP TERM SEGV; do
	did "SIG$sig: a run" run_up --rm
	ended $sig
	check "SIG$sig: the VM is deleted" wait_for $WAIT gone
done

did "without --rm: a run" run_up --name kept
is "$(row kept)" "running|1" "without --rm: it is to be stopped"
ended KILL
check "without --rm, SIGKILL: the VM is stopped" wait_for $WAIT stopped kept
check "without --rm, SIGKILL: nothing of it is left in the kernel" wait_for $WAIT nothing_of_vms
check "without --rm, SIGKILL: it says why" \
	wait_for $WAIT eval '[ "$(field $ALICE kept reason)" = "the command that held it ended" ]'
check "without --rm, SIGKILL: it can be started and deleted" \
	eval 'as $ALICE start kept && as $ALICE rm kept'
"${PREFIX[@]}" "$B/banger" "${RUN[@]}" --name goes-on -- 'exit 7' </dev/null >/dev/null 2>&1
is "$?" 7 "without --rm: the command's status"
is "$(row goes-on)" "running|0" \
	"without --rm: after the end of the command the VM goes on, and is not held"
check "it is deleted" as $ALICE rm goes-on
is "$(as $ALICE run -d --image tiny --memory 192M --name apart; row apart)" $'apart\nrunning|0' \
	"--detach: the VM is not held"
check "it is deleted" as $ALICE rm apart

# A terminal that is lost: script(1) has its other end.
: >"$T/out"
words=("${PREFIX[@]}" "$B/banger" "${RUN[@]}" --rm -- 'echo up; exec sleep 10000')
HOLD_ARGS="$(printf '%q ' "${words[@]}")" \
	setsid script -qfc 'eval "exec $HOLD_ARGS"' "$T/out" </dev/null >/dev/null 2>&1 &
terminal=$!
# The line of the stages comes before it, without an end.
check "at a terminal: a run" wait_for $WAIT grep -q up "$T/out"
kill -9 $terminal
{ wait $terminal; } 2>/dev/null
check "a lost terminal: the VM is deleted" wait_for $WAIT gone

# A parent that is killed, and takes the client along.
: >"$T/out"
bash -c '"$@" </dev/null >"$0" 2>/dev/null & wait' "$T/out" setpriv --pdeathsig KILL \
	"${PREFIX[@]:1}" "$B/banger" "${RUN[@]}" --rm -- 'echo up; exec sleep 10000' &
parent=$!
check "with a parent: a run" wait_for $WAIT is_up
kill -9 $parent
{ wait $parent; } 2>/dev/null
check "a killed parent: the VM is deleted" wait_for $WAIT gone

"${PREFIX[@]}" "$B/banger" "${RUN[@]}" --rm -- 'while echo line; do sleep 0.1; done' \
	</dev/null 2>/dev/null | head -n 1 >"$T/out"
is "$(cat "$T/out")" line "a reader of the output that goes away: it has run"
check "a reader of the output that goes away: the VM is deleted" wait_for $WAIT gone
"${PREFIX[@]}" "$B/banger" "${RUN[@]}" -- 'while echo line; do sleep 0.1; done' \
	</dev/null 2>/dev/null >/dev/full
is "$?" 141 "a full disk under the output: it fails, as by SIGPIPE"
check "a full disk under the output: the VM does not run on" wait_for $WAIT nothing_of_vms
for name in $(as $ALICE ps -q); do as $ALICE rm "$name" >/dev/null; done
check "all is deleted" wait_for $WAIT gone

# At each stage of a start.
for stage in reserve disk network vmm boot; do
	"${PREFIX[@]}" "$B/banger" "${RUN[@]}" --rm --progress plain -- true </dev/null >/dev/null \
		2>"$T/stages" &
	client=$!
	check "stage $stage is reached" wait_for $WAIT grep -q "^ *$stage\b" "$T/stages"
	ended KILL
	check "SIGKILL at stage $stage: the VM is deleted" wait_for $WAIT gone
done

# ---- the service ends, and starts again ----
for way in controller stop; do
	did "$way: a run" run_up --rm --name one
	was=$(vmm_pid)
	: >"$T/set.err"
	if [ $way = stop ]; then did "$way: the set ends" set_stop
	else kill -9 "$(child controller)" && did "$way: the set ends" set_gone; fi
	is "$(vmm_pid) $(row one)" "$was running|2" \
		"$way: the VM lives on, and its row has the hold"
	did "$way: the set comes up again" set_start
	check "$way: the client holds it again" \
		wait_for $WAIT grep -q "one: its holder has come back" "$T/set.err"
	sleep $((GRACE + 1))
	is "$(vmm_pid) $(row one)" "$was running|2" "$way: it lives behind the grace"
	kill -0 "$client" && ok "$way: the client too" || not_ok "$way: the client too"
	ended KILL
	check "$way: then SIGKILL of the client: the VM is deleted" wait_for $WAIT gone
done
did "client and service are killed: a run" run_up --rm --name one
was=$(vmm_pid)
kill -9 "$(child controller)"
did "client and service are killed: the set ends" set_gone
ended KILL
is "$(vmm_pid) $(row one)" "$was running|2" "client and service are killed: the VM lives on"
did "client and service are killed: the set comes up again" set_start
check "client and service are killed: the VM is deleted when the grace is over" wait_for $WAIT gone
check "its files too" wait_for $WAIT no_files
