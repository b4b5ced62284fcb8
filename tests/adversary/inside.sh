#!/bin/bash
# inside.sh [PROCESS] - takes each locked process over: makes the calls of inside.c in the live
# process, and checks that each call is stopped.  The name of a test says what stops the call.
# Processes: net blk spawn launcher vmm controller supervisor.
. "$(dirname "$0")/../integration/lib.sh"
needs jq pgrep
[ -n "$(cgroup_mount)" ] || skip_all "needs cgroup v2"
in_ns "$@"
[ -x "$B/inside" ] || skip_all "inside is not built"
. "$(dirname "$0")/../integration/lib_set.sh"
trap 'set_stop; finish' EXIT
mapfile -t attacks < <("$B/inside" --list)
mkdir -p /usr/local/src && mount -t tmpfs -o mode=755 inside-vmm /usr/local/src &&
	install -m 755 "$B/evil_vmm" /usr/local/src/vmm

# The calls that a process may make, because its task needs them.
declare -A may=(
	[vmm:map-code]="QEMU translates the guest's code"
	[vmm:protect-code]="QEMU translates the guest's code"
	[vmm:execve]="another program of its root, as confined as before"
	[vmm:dumpable]="no other process has its uid"
	[vmm:open-kvm]="it is given /dev/kvm" [vmm:unappend-log]="the flags of its own console"
	[launcher:map-code]="its VMMs need it" [launcher:protect-code]="its VMMs need it"
	[launcher:execve]="it starts VMMs"
	[launcher:open-kvm]="its VMMs need it" [launcher:dumpable]="its VMMs need it"
	[launcher:overwrite-log]="it has no log" [launcher:unappend-log]="it has no log"
	[controller:unappend-log]="the flags of its own sockets: it has no log"
)

# comes_through PROCESS PID: a call that each may make, or the rest would prove nothing
comes_through() {
	is "$("$B/inside" "$2" clock 2>&1)" "DONE: 0" "$1: a call that it may make succeeds"
}

# try PROCESS PID DESCRIPTOR ATTACK: one attack and its line; false when it was the end of the
# process
try() {
	local got
	got=$("$B/inside" "$2" "$4" "$3" 2>&1)
	if [[ $got == "stopped: "* ]]; then ok "$1: $4: $got"
	elif [[ $got == "DONE: "* ]] && [ -n "${may[$1:$4]-}" ]; then
		ok "$1: $4 is allowed: ${may[$1:$4]}"
	else not_ok "$1: $4" "$got"; fi
	[[ $got != *"killed by"* && $got != *"ended with"* ]]
}

# ---- a role: the next attack has a new one where the last one was the end ----
role_pid() { pgrep -P "${PEER_PID[$1]}"; }
launcher_pid() { pgrep -P "$(role_pid spawn)" | head -n 1; }
roles() { # roles ROLE [launcher]: the role, or its launcher
	local a who=${2:-$1}
	peer_start "$1"
	if [ "$(ask "$1" run)" != ok ]; then
		skip "$who: taken over" "the role does not start here: $(tail -n 1 "$T/$1.err")"
		return
	fi
	victim() { if [ "$who" = launcher ]; then launcher_pid; else role_pid "$1"; fi; }
	[ "$who" != launcher ] ||
		is "$(readlink "/proc/$(launcher_pid)/fd/"* | grep -c "/spawn.log$")" 0 \
		"launcher: none of its descriptors is a request log"
	comes_through "$who" "$(victim "$1")"
	for a in "${attacks[@]}"; do
		try "$who" "$(victim "$1")" 5 "$a" && continue
		ask "$1" restart >/dev/null
		[ "$(ask "$1" run)" = ok ] || {
			not_ok "$1: it starts again" "$(tail -n 1 "$T/$1.err")"
			break
		}
	done
	is "$(ask "$1" ping)" ok "$1: what lives after all of it still answers"
	peer_stop "$1"
}

# ---- a VMM: a static program in QEMU's place, with all that surrounds QEMU ----
vmm_start() {
	local said
	gen=$((gen + 1))
	said=$(ask spawn vmm_spawn slot=0 gen=$gen vmm=0 accel=2 disk=1 vcpus=1 mem_mib=64 \
		"fd=$T/input:rw" "fd=$T/console:rw")
	[[ $said =~ pid=([0-9]+) ]] && vmm=${BASH_REMATCH[1]}
	wait_for 60 grep -qs evil\\\|vmm "/proc/$vmm/comm"
	sleep 0.05 # until it waits
}
vmms() {
	local a gen=0 vmm=
	mkfifo "$T/input" "$T/console"
	peer_start spawn
	[ "$(ask spawn run)" = ok ] || {
		skip "vmm: taken over" "role spawn does not start here"
		return
	}
	vmm_start
	comes_through vmm "$vmm"
	for a in "${attacks[@]}"; do
		try vmm "$vmm" 1 "$a" && continue
		wait_for 60 eval '[ "$(ask spawn vmm_kill slot=0 gen=$gen)" = ok ]'
		vmm_start || { not_ok "vmm: it starts again"; break; }
	done
	wait_for 60 eval '[ "$(ask spawn vmm_kill slot=0 gen=$gen)" = ok ]'
	peer_stop spawn
}

# ---- the whole set, for the two that have no peer: it is started again where it ended ----
sets() { # sets controller|supervisor
	local a pid
	for a in "${attacks[@]}"; do
		[ -n "$SET" ] || set_start || {
			not_ok "$1: the set comes up" "$(tail -n 3 "$T/set.err")"
			return
		}
		pid=$SET
		[ "$1" = supervisor ] || pid=$(child "$1")
		[ "$a" != "${attacks[0]}" ] || comes_through "$1" "$pid"
		try "$1" "$pid" 5 "$a" && continue
		set_gone || { not_ok "$1: the set ends with it"; set_stop; }
	done
	set_stop
}

mount -t tmpfs run /run && mkdir -p /run/netns
conf_make slots=2 qemu=/usr/local/src/vmm
places_make || skip_all "no cgroup v2"
for process in ${1:-net blk spawn launcher vmm controller supervisor}; do
	case $process in
	vmm) vmms ;;
	launcher) roles spawn launcher ;;
	controller | supervisor) sets "$process" ;;
	*) roles "$process" ;;
	esac
done
