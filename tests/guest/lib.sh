# lib.sh - what the scenarios share, in the guest.  Source it first; done_testing is the last line.
#
#	. "$(dirname "$0")/../lib.sh"
#	installed                                   # banger is there and active
#	# the expectation is a pattern
#	is "$(dmsetup table bgr-0)" "0 * snapshot *" "a snapshot is made"
#	done_testing
#
# Assertions count in the shell that runs them: keep them out of ( ), $( ) and pipelines.
# shellcheck shell=bash
set -u
exec 3>&1 # for what is said amid a test
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
# shellcheck disable=SC2034
PHASE=${1:-1} TESTS=0 FAILED=0

# ---- TAP ----
ok() { # ok NAME
	TESTS=$((TESTS + 1))
	echo "ok $TESTS - $*"
}

not_ok() { # not_ok NAME [DETAIL...]
	TESTS=$((TESTS + 1)) FAILED=$((FAILED + 1))
	echo "not ok $TESTS - $1"
	shift
	[ $# = 0 ] || printf '%s\n' "$@" | sed 's/^/# /'
}

is() { # is GOT PATTERN NAME
	# shellcheck disable=SC2053
	if [[ $1 == $2 ]]; then ok "$3"; else not_ok "$3" "got:  $1" "want: $2"; fi
}

check() { # check NAME COMMAND...: succeeds; status 95 ends the scenario, which is then run again
	local name=$1 out rc=0
	shift
	out=$("$@" 2>&1) || rc=$?
	case $rc in
	0) ok "$name" ;;
	95) echo "# $name: $out"; exit 95 ;;
	*) not_ok "$name" "$* : $out" ;;
	esac
}

need() { # need NAME COMMAND...: as check, and without it the rest has no meaning
	check "$@"
	[ $FAILED = 0 ] || done_testing
}

refuses() { # refuses NAME COMMAND...: fails, and not by a signal
	local name=$1 out rc
	shift
	out=$("$@" 2>&1)
	rc=$?
	if [ $rc != 0 ] && [ $rc -lt 128 ]; then
		ok "$name"
	else
		not_ok "$name" "$* : status $rc $out"
	fi
}

skip() { # skip NAME WHY
	TESTS=$((TESTS + 1))
	echo "ok $TESTS - $1 # SKIP $2"
}

# What is waited for is asked ever less often, down to once a second: under the emulator the asking
# alone takes a processor.
wait_for() { # wait_for SECONDS COMMAND...: until it succeeds; status 1 when it never does
	local end=$((SECONDS + $1)) pause=2
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep "$((pause / 10)).$((pause % 10))"
		pause=$((pause < 8 ? pause + 2 : 10))
	done
}

# shellcheck disable=SC2120
# the end of a phase; done_testing [93|94] asks for a reboot, a power cut, and the next phase
done_testing() {
	echo "1..$TESTS"
	[ $FAILED = 0 ] || [ -n "${1-}" ] || exit 1
	exit "${1:-0}"
}

# ---- banger ----
installed() { # installed as an administrator would, and active; at once when it is so already
	systemctl is-active -q banger 2>/dev/null && return 0
	make -C "$ROOT" --no-print-directory install >/tmp/install.log 2>&1 || {
		not_ok "make install" "$(tail -n 20 /tmp/install.log)"
		done_testing
	}
	systemctl enable -q --now banger || {
		not_ok "banger.service starts" \
			"$(journalctl -u banger -n 30 --no-pager)"
		done_testing
	}
}

# The number of loops of ours.  The kernel shows the path of a file from the mount by which it was
# opened: when the controller that had this mount has ended, the path begins below the state's
# folder.
loops() {
	losetup -J -l | jq '[.loopdevices[]? |
		select(."back-file" | test("^(/var/lib/banger)?/(slots|images)/"))] | length'
}

# part NAME: the pid of that process of ours: privhelper, role-net, role-blk, role-spawn, controller
part() {
	case $1 in
	privhelper) systemctl show -P MainPID banger ;;
	*) pgrep -o -f "^banger-$1\$" ;; # the oldest: the launcher of role-spawn has its name
	esac
}

# ---- SELinux ----
POLICY=$ROOT/build/selinux/banger.pp
# has_policy: the module was built, and the guest is enforcing; else nothing here has a meaning
has_policy() {
	[ -e "$POLICY" ] || {
		skip "the policy module" \
			"it was not built: the host has no selinux-policy-dev"
		done_testing
	}
	need "SELinux is enforcing" eval '[ "$(getenforce)" = Enforcing ]'
	pkill -USR2 -x auditd # resume: a scenario that filled the disk has suspended it
	audit_mark
}


confined() { # confined: the module is loaded, and banger runs in its domains
	semodule -l | grep -qx banger ||
		need "make install-selinux" make -C "$ROOT" --no-print-directory install-selinux
	need "banger is restarted" systemctl restart banger
	is "$(domain_of "$(part controller)")" banger_t "the controller is in banger_t"
}

domain_of() { ps -o label= -p "$1" | cut -d: -f3; }
level_of() { ps -o label= -p "$1" | cut -d: -f4-; }
audit_all() { # the oldest file has the highest number
	local f=(/var/log/audit/audit.log*) i
	for ((i = ${#f[@]} - 1; i >= 0; i--)); do cat "${f[i]}"; done
}
audit_has() { audit_all | grep -qaF "$1"; }
# then what came before is in the log too
audit_says() { auditctl -m "$1" && wait_for 120 audit_has "$1"; }
audit_mark() { AUDIT_MARK=mark-$EPOCHREALTIME; audit_says "$AUDIT_MARK"; }
# audit_since: what was recorded since the last audit_mark; a log that records nothing is no proof
# of anything
audit_since() {
	local end=end-$EPOCHREALTIME
	audit_says "$end" || {
		echo "avc:  denied: nothing is recorded, of banger or of others"
		return
	}
	audit_all | sed -n "/$AUDIT_MARK/,/$end/p"
}
# what was denied to us, or to others because of us
denials() { # what concerns us; Debian 13 denies its own semodule(8) to relabel a module's folder
	audit_since | grep -aE 'avc: +denied|SELINUX_ERR' | grep -a banger |
		grep -av 'comm="semodule"'
}

# ---- VMs ----
# tiny_image: image "tiny" with kernel "debian" is there, and /tmp/tiny.ext4, which no reboot
# leaves.  It is a root disk with busybox alone.  What its guest does follows from the VM's name;
# it says it on its console.
tiny_image() {
	[ -e /tmp/tiny.ext4 ] || tiny_disk || { not_ok "the tiny image can be made"; done_testing; }
	banger image list -o json | jq -e '.[] | select(.name == "tiny")' >/dev/null && return 0
	{ banger kernel list -o json | jq -e '.[] | select(.name == "debian")' >/dev/null ||
		banger kernel import debian --deb "$ROOT/build/cache/light-kernel.deb"; } \
		>/dev/null 2>/tmp/tiny.err &&
		banger image import tiny /tmp/tiny.ext4 --kernel debian \
			>/dev/null 2>>/tmp/tiny.err ||
		{ not_ok "the tiny image can be imported" "$(cat /tmp/tiny.err)"; done_testing; }
}

# tiny_vm NAME [OPTION...]: a VM of the tiny image; tiny_started likewise, and it is started.
tiny_vm() { banger vm create "$1" --image tiny --memory 128M "${@:2}"; }
tiny_started() { tiny_vm "$@" && banger vm start "$1"; }
one_by_one() { # one_by_one VERB VM...: four monitors at once are slow to answer under the emulator
	local vm
	for vm in "${@:2}"; do banger vm "$1" "$vm" || return; done
}

tiny_disk() {
	local d=/tmp/tiny
	mkdir -p $d/{bin,sbin,dev,proc,sys,etc,root,tmp}
	cp /bin/busybox $d/bin/
	cat >$d/sbin/init <<-'INIT'
		#!/bin/busybox sh
		export PATH=/bin
		/bin/busybox --install -s /bin
		n=$(cat /etc/boots 2>/dev/null || echo 0); n=$((n + 1))
		echo $n >/etc/boots && sync || echo "WRITE-FAILED"
		# The power button ends the guest, as it does a Debian: else each stop waits for
		# its time.
		off_by() {
			dd if="$1" of=/dev/null bs=24 count=1 2>/dev/null && sync && poweroff -f
		}
		for e in /dev/input/event*; do
			[ ! -c "$e" ] || off_by "$e" &
		done
		echo "GUEST-UP boot $n $(hostname) $(cat /proc/sys/kernel/random/boot_id)"
		case $(hostname) in
		fill)
			dd if=/dev/urandom of=/root/fill bs=64k 2>/dev/null; sync
			rm /root/fill; sync
			dd if=/dev/urandom of=/root/fill bs=64k 2>/dev/null; sync
			echo "FILLED"
			dd if=/dev/urandom of=/dev/vda bs=64k 2>/dev/null; sync
			echo "OVERWRITTEN" ;;
		calm) # writes no more, nor does its file system: inode tables, its journal
			mount -o remount,ro none / && echo "CALM" ;;
		far) # says whether it reaches the outside
			while :; do
				if printf 'GET / HTTP/1.0\r\n\r\n' |
					nc -w 2 198.51.100.1 8080 2>/dev/null |
					grep -q outside; then
					echo "REACHED"
				else
					echo "LOST"
				fi
				sleep 1
			done ;;
		diary) # says what it has written, once that is on its disk
			d=$(tail -n 1 /root/diary 2>/dev/null || echo 0)
			echo "FOUND $d in boot $n"
			while :; do
				d=$((d + 1))
				echo $d >>/root/diary && sync && echo "SYNCED $d"
				usleep 100000
			done ;;
		hostile) # puts another label on its disk, where its file system was
			mkswap -L REWRITTEN /dev/vda >/dev/null && sync && echo "LABELLED" ;;
		full)
			sleep 15
			fill() { dd if=/dev/urandom of=/root/fill bs=64k count=100 conv=fsync; }
			while fill 2>/dev/null; do :; done
			echo "WRITE-FAILED"; dmesg | tail -n 5 ;;
		esac
		while :; do echo "BEAT $(cat /proc/sys/kernel/random/boot_id)"; sleep 1; done
	INIT
	chmod 755 $d/sbin/init
	mke2fs -q -t ext4 -d $d -E root_owner=0:0 /tmp/tiny.ext4 16M
}

vm_field() { banger vm show "$1" -o json | jq -r ".$2"; }
state_of() { vm_field "$1" state; }
slot_of() { vm_field "$1" slot; }
console_has() { banger vm logs "$1" | grep -q "$2"; }
# says SECONDS VM TEXT: its guest does, on its console, in time; else what there was instead
says() {
	local try
	for try in 1 2 3; do
		wait_for "$1" said_or_stopped "$2" "$3"
		console_has "$2" "$3" && return 0
		never_up "$2" || { wait_for $((2 * $1)) said_or_stopped "$2" "$3"; break; }
		echo "# $2's guest did not come up, try $try of 3: $(vmm_state "$2")" >&3
		banger vm kill "$2" >/dev/null 2>&1
		banger vm start "$2" || break
	done
	console_has "$2" "$3" && return 0
	echo "$2: $(vmm_state "$2"); its console:"
	banger vm logs "$2" | tail -n 25
	return 1
}
said_or_stopped() { console_has "$1" "$2" || [ "$(state_of "$1")" = stopped ]; }
# QEMU 7.2 emulates nested guests badly: about 1 boot of 30 resets or spins before init's first
# word.  Such a VMM has ended by itself, or works on; one that we ended, or that waits for us, is
# another matter.
never_up() {
	! banger vm logs "$1" | tac | sed '/^--- banger: started/q' | grep -q GUEST-UP || return 1
	case "$(state_of "$1"), $(vm_field "$1" reason)" in
	"stopped, the VMM ended" | "stopped, the kernel of its guest panicked") return 0 ;;
	esac
	[ "$(vm_field "$1" accel)" != tcg ] || return 1 # that works all the time, and is slow
	ps -o etimes=,times= -p "$(vmm_of "$1")" 2>/dev/null |
		awk '{ spins = $2 * 2 > $1 } END { exit !spins }'
}
vmm_state() { # its state and reason; its VMM's pid, state, age and CPU time in seconds
	local pid said
	pid=$(vmm_of "$1")
	said="$(state_of "$1"), $(vm_field "$1" reason)"
	[ -z "$pid" ] || said+=", VMM $(ps -o pid=,stat=,etimes=,times= -p "$pid")"
	echo "$said"
}
vmm_of() { # by its uid
	local slot
	slot=$(slot_of "$1")
	[ "$slot" = null ] || ps -eo pid=,ruid=,comm= |
		awk -v u=$((1879048192 + slot)) '$2 == u { print $1; exit }'
}
# the guest's boot id
boot_of() { banger vm logs "$1" | sed -n 's/.*BEAT \([0-9a-f-]\{36\}\).*/\1/p' | tail -n 1; }
# beats VM BOOT-ID: that very boot of its guest is at work now
beats() { says_more 20 "$1" "BEAT $2" 1 && [ "$(boot_of "$1")" = "$2" ]; }

# Under QEMU 7.2 a nested guest now and then stands still for minutes, and then goes on: it has the
# time that it needs.  If it has not gone on by then, the scenario is run again.
says_more() { # says_more SECONDS VM TEXT N: its guest says so N times from now on
	local before
	before=$(times_said "$2" "$3")
	wait_for "$1" said_more "$2" "$3" $((before + $4)) && return 0
	stands_still "$2" || {
		# It may have gone on just then.
		wait_for "$1" said_more "$2" "$3" $((before + $4))
		return
	}
	wait_for 480 said_more "$2" "$3" $((before + $4)) || return 95
}
times_said() { banger vm logs "$1" | grep -c "$2"; }
said_more() { [ "$(times_said "$1" "$2")" -ge "$3" ]; }

# A guest that speaks each second says nothing for 30 s, though no signal and no freezer holds up
# its VMM.
stands_still() { # stands_still VM: it is so, and what was seen is said
	local pid size group
	pid=$(vmm_of "$1")
	[ -n "$pid" ] || return 1
	size=$(banger vm logs "$1" | wc -c)
	sleep 30
	group=/sys/fs/cgroup$(cut -d: -f3 "/proc/$pid/cgroup")
	[ "$(banger vm logs "$1" | wc -c)" = "$size" ] && [[ $(ps -o stat= -p "$pid") == [RS]* ]] &&
		[ "$(cat "$group/cgroup.freeze")" = 0 ] || return 1
	echo "# $1's guest stands still: $(vmm_state "$1"), $(xargs <"$group/cpu.stat")" >&3
}
