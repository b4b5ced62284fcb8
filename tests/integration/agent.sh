#!/bin/bash
# The agent in a real guest that has no sshd and no network of its own: exec, run and shell, every
# way in which a client ends.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh"

# Init that does nothing: no network is configured by it, and nothing listens.
quiet_guest() {
	local applet
	guest_image
	# Not by init: a command may come before it.
	for applet in $("$T/guest/bin/busybox" --list); do
		[ $applet = busybox ] || ln -sf /bin/busybox "$T/guest/bin/$applet"
	done
	cat >"$T/guest/sbin/init" <<-'INIT'
		#!/bin/busybox sh
		export PATH=/bin
		mkdir -p /dev/pts && mount -t devpts devpts /dev/pts
		ip link set eth0 down
		echo GUEST-UP
		while :; do sleep 1; done
	INIT
	printf 'root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000::/tmp:/bin/sh\n' \
		>"$T/guest/etc/passwd"
	printf 'root:x:0:\nstaff:x:50:guest\n' >"$T/guest/etc/group"
	mke2fs -q -F -t ext4 -d "$T/guest" -E root_owner=0:0 "$T/guest.ext4" 16M
}

set_prepare
conf_make slots=3 per_owner=3
quiet_guest
did "the set comes up" set_start
did "kernel and image" set_images
check "a VM starts" eval 'banger create web --image tiny --memory 192M && banger start web'

# ---- what a command is given, and what comes back ----
is "$(banger exec --timeout 300s -n web -- echo hello; echo $?)" $'hello\n0' \
	"exec right after the start waits for the guest"
# A command may come before init, which takes the interface down.
check "the guest has no network" \
	wait_for 60 eval '[ "$(in_guest cat /sys/class/net/eth0/operstate)" = down ]'
is "$(status_of in_guest true)" 0 "true: 0"
is "$(status_of in_guest sh -c 'exit 7')" 7 "exit 7: 7"
is "$(status_of in_guest sh -c 'kill -TERM $$')" 143 \
	"a command that a signal ends: 128 and its number"
is "$(status_of in_guest nosuch)" 127 "no such program: 127"
is "$(status_of in_guest /etc)" 126 "a folder is no program: 126"
is "$(in_guest 'echo $((6 * 7))')" 42 "one word is a line for the shell"
is "$(in_guest echo 'a  b' '$HOME' "c'd")" "a  b \$HOME c'd" \
	"several words are a command and its arguments"
is "$(in_guest sh -c 'echo out; echo err >&2' 2>"$T/e2")" out "standard output"
is "$(cat "$T/err")" err "standard error is apart"
is "$(in_guest 'echo $HOME $USER $PWD $0')" "/root root /root sh" \
	"home, user, folder and shell are root's"
is "$(banger exec -n -u guest -w /etc -e 'A=b  c' -e B= web -- \
	'echo "$(id -u):$(id -G):$PWD:$HOME:$A:${B-unset}"')" \
	"1000:1000 50:/etc:/tmp:b  c:" "--user, --workdir and --env"
is "$(banger exec -n -u 1000 web -- id -un)" guest "--user takes a uid"
is "$(status_of banger exec -n -u nobody web -- true)" 126 \
	"a user that the guest does not have: 126"
is "$(status_of banger exec -n -w /nosuch web -- true)" 126 \
	"a folder that the guest does not have: 126"
is "$(in_guest readlink /proc/self/fd/1)" "pipe:*" "without -t there is no terminal"
is "$(in_guest sh -c 'cat /proc/self/oom_score_adj')" 0 "a command is not spared by the OOM killer"
is "$(in_guest sh -c 'sleep 300 & echo started')" started \
	"a process in the background does not hold exec"
is "$(printf 'a\nb\n' | banger exec web -- wc -l)" 2 "standard input ends where it ends"
is "$(printf 'exit 3\n' | status_of banger exec web -- sh)" 3 "a script by standard input"

# ---- bytes ----
head -c 10485760 /dev/urandom >"$T/data"
sum=$(sha256sum <"$T/data")
is "$(banger exec web -- sha256sum <"$T/data")" "$sum" "10 MiB to the guest"
is "$(banger exec web -- cat <"$T/data" | sha256sum)" "$sum" "10 MiB to the guest and back"
written=$(in_guest 'head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2' | wc -c)
is "$written/$(wc -c <"$T/err")" 3000000/3000000 "both output streams"
check "the program's own bytes, with the mark of a session in them" \
	eval '[ "$(banger exec web -- sha256sum <"$B/banger")" = "$(sha256sum <"$B/banger")" ]'
is "$(banger exec -n web -- cat /dev/zero | head -c 1000000 | wc -c)" 1000000 \
	"a reader that goes away ends it"
check "and what it ran" wait_for 60 eval '[ -z "$(in_guest pidof cat)" ]'

# ---- a terminal ----
is "$(banger exec -n -t web -- 'tty; stty size; echo $TERM' | tr -d '\r')" \
	$'/dev/pts/0\n24 80\nlinux' "-t: a terminal with a size and a type"
is "$(printf 'one\n' | banger exec -t web -- 'cat; echo rc $?' | tr -d '\r' | tail -n 1)" "rc 0" \
	"-t: the end of the input is the terminal's"
is "$(printf abc | banger exec -t web -- 'stty -echo; cat; echo " rc $?"' | tr -d '\r' |
	tail -c 9)" "abc rc 0" "-t: also behind a line that is not complete"

# ---- the end of a client is the end of what it ran ----
sleeps() { in_guest sh -c 'ps | grep -c "[s]leep 77"'; }
for sig in KILL TERM INT HUP QUIT; do
	setpriv --reuid $ALICE --regid $ALICE --clear-groups env -i --default-signal=INT,QUIT,HUP \
		PATH="$PATH" HOME="$T" BANGER_SOCKET="$T/run/control.sock" \
		"$B/banger" exec -n web -- sh -c 'trap "" HUP; sleep 77 & sleep 77' \
		>/dev/null 2>&1 &
	client=$!
	check "SIG$sig: it runs" wait_for 60 eval '[ "$(sleeps)" = 2 ]'
	kill -$sig $client
	check "SIG$sig to the client: nothing runs any more" wait_for 60 eval '[ "$(sleeps)" = 0 ]'
	wait $client
done

# A second process that polls a port can take its news from the one that sleeps for it.
watched() { # the number of ports that the agent itself waits at
	in_guest 'set -- $(ps | grep "[@]banger-agent"); cd "/proc/$1" || exit
		for fd in $(cat fdinfo/* | sed -n "s/^tfd: *\([0-9]*\).*/\1/p"); do
			readlink "fd/$fd"
		done | grep -c vport'
}
check "one command: the agent waits at the three other ports" \
	wait_for 60 eval '[ "$(watched)" = 3 ]'
setpriv --reuid $ALICE --regid $ALICE --clear-groups env -i PATH="$PATH" HOME="$T" \
	BANGER_SOCKET="$T/run/control.sock" "$B/banger" exec -n --timeout 300s web -- sleep 300 \
	>/dev/null 2>&1 &
client=$!
check "two commands: at two" wait_for 60 eval '[ "$(watched)" = 2 ]'
kill -TERM $client
wait $client
check "and at three again" wait_for 60 eval '[ "$(watched)" = 3 ]'

# ---- many ----
many() { # many N: the number of commands of N at once that succeed
	local i pids=() good=0
	for i in $(seq "$1"); do
		setpriv --reuid $ALICE --regid $ALICE --clear-groups env -i PATH="$PATH" HOME="$T" \
			BANGER_SOCKET="$T/run/control.sock" \
			"$B/banger" exec -n --timeout 300s web -- true 2>>"$T/many.err" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" && good=$((good + 1)); done
	echo $good
}
is "$(many 100)" 100 "a hundred commands at once: a hundred zeros ($(head -n 1 "$T/many.err"))"
# And that of this command; a session without a command ends a moment after its client.
check "one process waits at all ports" wait_for 60 eval \
	'[[ $(in_guest "ls /proc/1/root >/dev/null; ps | grep -c \"[@]banger-agent\"") == [12] ]]'

# ---- who may ----
is "$(status_of as $BOB exec -n web -- true)" 125 "another user's VM is not found"
check "root may, by the owner's number" as 0 exec -n $ALICE/web -- true
banger stop --timeout 1s web >/dev/null
is "$(status_of in_guest true)" 125 "a stopped VM"
is "$(grep -c 'it is stopped' "$T/err")" 1 "a stopped VM: it says so"

# ---- run ----
is "$(banger run --rm --timeout 300s --image tiny --memory 192M -u guest -e X=in -- \
	'echo $X $(id -u)'; echo $?)" $'in 1000\n0' "run --rm: no network, no key"
is "$(banger list -q | tr '\n' ' ')" "web " "run --rm leaves nothing"
banger rm web >/dev/null
is "$(find "$T/run/slots/0" -mindepth 1 | wc -l)" 0 "a deleted VM leaves no socket"
