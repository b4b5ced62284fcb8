#!/bin/bash
# The serial console of a real guest, both ways: what is typed and what comes back, each way in
# which a session ends, and who may have one.  The VMs have no port to an agent.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh" script

# A guest whose init asks for lines and answers them.  "past" and a reply to it are put together
# here, so that the echo of what is typed is never taken for the answer.
asking_guest() {
	guest_image
	cat >"$T/guest/sbin/init" <<-'INIT'
		#!/bin/busybox sh
		export PATH=/bin
		/bin/busybox --install -s /bin
		n=$(cat /etc/boots 2>/dev/null || echo 0); n=$((n + 1)); echo $n >/etc/boots; sync
		echo "GUEST-UP boot $n"
		# its terminal has an answer to this, which would be typed
		printf 'past\033[6nline\n'
		while printf 'boot%s> ' "$n" && read -r line; do
			case $line in
			off) poweroff -f ;;
			again) reboot -f ;;
			mode) stty -F /dev/console raw -echo; echo RAW-NOW
				head -c 3 | od -An -tx1 ;;
			deaf) stty -F /dev/console raw -echo; echo DEAF-NOW
				sleep 100000 ;;
			*) echo "answer=$line=$n" ;;
			esac
		done
	INIT
	mke2fs -q -F -t ext4 -d "$T/guest" -E root_owner=0:0 "$T/guest.ext4" 16M
}

# ---- a terminal of Alice's, in which a script runs ----
TERM_IN='' TERM_PID='' TERM_LOG=''
terminal() { # terminal SCRIPT: what it prints is in $TERM_LOG; type() types into it
	rm -f "$T/tty.in"
	mkfifo "$T/tty.in"
	exec {TERM_IN}<>"$T/tty.in"
	TERM_LOG=$T/tty.log
	: >"$TERM_LOG"
	printf '%s\n' "$1" >"$T/tty.sh"
	setpriv --reuid $ALICE --regid $ALICE --clear-groups env -i \
		--default-signal=INT,QUIT,HUP PATH="$B:$PATH" \
		HOME="$T/home.$ALICE" BANGER_SOCKET="$T/run/control.sock" TERM=xterm \
		script -qfec "sh $T/tty.sh" /dev/null <"$T/tty.in" >"$TERM_LOG" 2>&1 &
	TERM_PID=$!
}
type() { printf "$1" >&"$TERM_IN"; }
shows() { tr -d '\r' <"$TERM_LOG" | grep -q -- "$1"; }
appears() { wait_for 120 shows "$1"; }
# type_until TEXT PATTERN: a guest may throw away what comes while it sets its line up
type_until() {
	local end=$((SECONDS + 120))
	until shows "$2"; do
		[ $SECONDS -lt $end ] || return 1
		type "$1"
		wait_for 5 shows "$2"
	done
}
ended() { # the script in the terminal has ended, or is ended
	wait_for 60 eval '! kill -0 $TERM_PID' || kill -KILL "$TERM_PID"
	exec {TERM_IN}>&-
	wait "$TERM_PID"
}
alice() { # alice COMMAND... &: $! is banger itself
	exec setpriv --reuid $ALICE --regid $ALICE --clear-groups env -i PATH="$PATH" \
		HOME="$T/home.$ALICE" BANGER_SOCKET="$T/run/control.sock" "$B/banger" "$@" \
		2>>"$T/alice.err"
}
job_ends() { # job_ends PID STATUS NAME: it ends so by itself
	wait_for 60 eval "! kill -0 $1" || kill -KILL "$1"
	wait "$1"
	is "$?" "$2" "$3"
}
pid_in_terminal() { sed -n 's/^pid=\([0-9]*\).*/\1/p' "$TERM_LOG" | tail -n 1; }
pid_of_vm() { as $ALICE vm show web -o json | jq .runtime.pid; }
ME='a=$(stty -g); '
CONSOLE='sh -c "echo pid=\$\$; exec banger console web"; echo rc=$?'
BACK='
until [ "$(stty -g)" = "$a" ]; do sleep 0.05; done; echo TERMINAL-AS-BEFORE'

set_prepare
conf_make slots=3 per_owner=3
sed -i 's/^accel.*/&\nagent_ports = 0/' "$CONF"
asking_guest
did "the set comes up" set_start
did "kernel and image" set_images
check "a VM" banger create web --image tiny --memory 192M
is "$(status_of banger console web)" 5 "the console of a VM that does not run: 5"
banger console web >/dev/null
is "$(cat "$T/err")" "banger: web: it is created"$'\n'"hint: banger vm start web*" "and why"
is "$(status_of banger console --escape ctrl web)" 2 "an odd escape character: 2"
check "it starts" banger start web
check "its guest asks" wait_for 120 console_has $ALICE web "boot1>"

# ---- both ways ----
terminal "$ME$CONSOLE$BACK"
check "the past of the console is shown" appears "GUEST-UP boot 1"
check "without escape sequences" eval 'shows pastline && ! shows "$(printf "\\033\\[6n")"'
check "its escape character is named" appears "Ctrl-\] leaves it"
check "what is typed reaches the guest, and its answer comes back" \
	type_until 'hello\r' 'answer=hello=1'
check "the service keeps it all the same" console_has $ALICE web 'answer=hello=1'
# A byte that a terminal would turn into a signal or an end of file goes to the guest too.
type 'mode\r'
check "the guest's line is raw" appears RAW-NOW
type '\003\004\032'
check "Ctrl-C, Ctrl-D and Ctrl-Z are typed" appears "03 04 1a"
type '\035'
check "Ctrl-] leaves the console" appears rc=0
check "and the terminal is as before" appears TERMINAL-AS-BEFORE
ended
check "what happens to the VM is said" shows "left the console of web, which goes on"
is "$(field $ALICE web state)" running "the VM goes on"

# ---- other escape characters, and input that is no terminal ----
check "a VM for that" eval 'banger kill web && banger start web &&
	wait_for 120 console_has $ALICE web "boot2>"'
out=$(printf 'one\rx' | banger console --escape x web)
is "$?" 0 "typed by a program, with an escape character of its own: 0"
check "it was typed" wait_for 60 console_has $ALICE web 'answer=one=2'
is "$out" "*boot2> *" "and the past was shown"
alice console --escape none web < <(printf 'no\035ne\r') >"$T/none" &
job=$!
check "without an escape character all is typed" wait_for 60 console_has $ALICE web 'answer=no.ne=2'
check "the end of the input does not end the session" eval \
	'wait_for 60 grep -q "answer=no.ne=2" "$T/none" && kill -0 $job'
kill -TERM $job
job_ends $job 143 "SIGTERM does: 128 + 15"

# ---- two at once ----
alice console --escape none web >"$T/second" </dev/null &
job=$!
terminal "$CONSOLE"
check "a second one" appears 'boot2>'
check "may type" type_until 'both\r' 'answer=both=2'
check "and the first one sees it" wait_for 60 grep -q 'answer=both=2' "$T/second"
type '\035'
ended
kill -TERM $job
job_ends $job 143 "the first one is ended"

# ---- whoever is killed ----
terminal "$ME$CONSOLE$BACK"
check "at the console again" type_until 'three\r' 'answer=three=2'
kill -KILL "$(pid_in_terminal)"
check "kill -9 of the client" appears "rc=137"
check "the terminal is as before" appears TERMINAL-AS-BEFORE
ended
is "$(field $ALICE web state)" running "the VM goes on"
for sig in TERM HUP; do
	terminal "$ME$CONSOLE$BACK"
	check "$sig: at the console" type_until "$sig\\r" "answer=$sig=2"
	kill -$sig "$(pid_in_terminal)"
	check "$sig to the client" appears "rc=$((128 + $(kill -l $sig)))"
	check "$sig: the terminal is as before" appears TERMINAL-AS-BEFORE
	ended
done

# ---- a restart of the service ----
vmm=$(pid_of_vm)
terminal "$CONSOLE"
check "a session before a restart of the service" type_until 'before\r' 'answer=before=2'
did "the service ends" set_stop
type 'mean'
check "the session says so, and waits" appears "the service does not answer"
did "and starts again" set_start
type 'while\r'
check "the session goes on, also with what was typed meanwhile" appears 'answer=meanwhile=2'
type '\035'
check "and is left as ever" appears rc=0
ended
is "$(pid_of_vm)" "$vmm" "by the same VMM"
terminal "$CONSOLE"
check "so does a new one" type_until 'after\r' 'answer=after=2'
type '\035'
ended

# ---- who may ----
is "$(status_of as $BOB console web)" 3 "another user's VM is not found"
is "$(status_of as $BOB console "$ALICE/web")" 3 "nor by its owner's uid"
id=$(field $ALICE web id)
is "$(as $BOB console "$id" </dev/null; echo $?)" 3 "nor by its id"
is "$(grep -c 'answer\|web' "$T/err")" 0 "and nothing is said of it"
is "$(stat -c '%a %u' "$T/state/consoles/$(field $ALICE web slot).in")" "600 $CTL_ID" \
	"the FIFO is the service's alone"
check "root may, by the owner's uid" eval 'printf "root\r\035" | as 0 console $ALICE/web &&
	wait_for 60 console_has $ALICE web answer=root=2'

# ---- a guest that does not read ----
type_deaf() { printf 'deaf\r\035' | banger console web >/dev/null; }
check "a guest that reads no more" eval 'type_deaf && wait_for 60 console_has $ALICE web DEAF-NOW'
alice console --escape none web < <(head -c 200000 /dev/zero | tr '\0' x) >/dev/null &
job=$!
terminal "$CONSOLE"
check "holds up no session" appears DEAF-NOW
type 'xxxx\035'
check "which can be left" appears rc=0
ended
check "nor the service" banger ps
kill -TERM $job
job_ends $job 143 "what types without end is ended by a signal"

# ---- a new start has a new line ----
slot=$(field $ALICE web slot)
exec {old}<>"$T/state/consoles/$slot.in"
check "a reader of the line of an earlier start" eval 'banger kill web && banger start web'
check "asks" wait_for 120 console_has $ALICE web "boot3>"
check "types to the new one" eval 'printf "fresh\r\035" | banger console web &&
	wait_for 60 console_has $ALICE web answer=fresh=3'
is "$(timeout 1 cat <&"$old" | grep -c fresh)" 0 \
	"what is typed now is not read there"
printf 'stale\r' >&"$old"
check "types again" eval 'printf "later\r\035" | banger console web &&
	wait_for 60 console_has $ALICE web answer=later=3'
is "$(banger logs web | grep -c stale)" 0 "and what is written there is not typed"
exec {old}>&-

# ---- the guest's end ----
terminal "$ME$CONSOLE$BACK"
check "a session" type_until 'last\r' 'answer=last=3'
type 'again\r'
check "goes on over a reboot" appears 'boot4>'
check "with the guest that is there now" type_until 'four\r' 'answer=four=4'
type 'off\r'
check "ends with the guest" appears rc=0
check "and says how" appears "web is stopped: its guest powered off"
check "the terminal is as before then" appears TERMINAL-AS-BEFORE
ended

# ---- of an earlier banger: without the FIFO ----
check "a start" banger start web
did "whose service ends" set_stop
rm "$T/state/consoles/$slot.in"
did "and starts again" set_start
is "$(field $ALICE web state)" running "goes on"
is "$(status_of banger console web)" 5 "and has no input: 5"
banger console web </dev/null >/dev/null
is "$(cat "$T/err")" "*no console input*hint:*vm restart web*" "the message says why"
check "its output is there" wait_for 120 console_has $ALICE web "boot5>"
check "it ends" banger kill web
banger rm web >/dev/null
is "$(ls -A "$T/state/consoles")" "" "a deleted VM leaves neither FIFO"
