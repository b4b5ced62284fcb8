# lib.sh - shared by the integration tests: TAP, private namespaces, a private configuration, roles
# under test, and a search for leftovers at the end.  Source it first:
#
#	. "$(dirname "$0")/lib.sh"
#	in_ns "$@"             # from here on: root, own network, mount and ipc namespaces
#	conf_make              # $T/banger.conf, every place below $T, numeric accounts;
#	                       # VARIABLE=value lines may override
#	peer_start net         # a role with peer(1) as its controller
#	is "$(ask net run)" ok "the role gets ready"
#	# the expectation is a pattern
#	is "$(ask net tap_create slot=1)" "ok ifindex=*" "a tap is made"
#
# Assertions count in the shell that runs them: keep them out of ( ), $( ) and pipelines.
# shellcheck shell=bash
set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
B=${BANGER_BUILD:-$ROOT/build/release}
T='' TESTS=0 FAILED=0 ENDED=''
PIDS=()
declare -A PEER_IN PEER_OUT PEER_PID

# ---- TAP ----
ok() { # ok NAME
	TESTS=$((TESTS + 1))
	echo "ok $TESTS - $*"
}

not_ok() { # not_ok NAME [DETAIL...]
	TESTS=$((TESTS + 1)) FAILED=$((FAILED + 1))
	echo "not ok $TESTS - $1"
	shift
	[ $# = 0 ] || printf '# %s\n' "$@"
}

is() { # is GOT PATTERN NAME: bash pattern, so quote nothing but what is literal
	# shellcheck disable=SC2053
	if [[ $1 == $2 ]]; then ok "$3"; else not_ok "$3" "got:  $1" "want: $2"; fi
}

check() { # check NAME COMMAND...: succeeds
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then ok "$name"; else not_ok "$name" "$* : $out"; fi
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

# needs TOOL...: nothing here can be tested without them; a user without root hears of that first
needs() {
	local tool
	[ "$(id -u)" = 0 ] || return 0
	for tool in "$@"; do
		command -v "$tool" >/dev/null || skip_all "needs $tool"
	done
}
skip_all() { # skip_all WHY: nothing here can be tested
	echo "1..0 # SKIP $*"
	echo "ok 1 - ${0##*/} # SKIP $*"
	ENDED=yes
	exit 0
}

wait_for() { # wait_for SECONDS COMMAND...: until it succeeds; status 1 when it never does
	local end=$((SECONDS + $1 + 1)) # SECONDS is whole
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

# ---- namespaces ----
in_ns() { # in_ns "$@": run this script again in namespaces of its own, once
	[ "$(id -u)" = 0 ] || skip_all "needs root"
	if [ -z "${BANGER_TEST_NS-}" ]; then
		BANGER_TEST_NS=1 exec unshare --net --mount --ipc --propagation private -- \
			bash "$0" "$@"
	fi
	mount --make-rshared / # as on a host with systemd; it does not leave this namespace
	ip link set lo up
	T=$(mktemp -d /tmp/banger-test.XXXXXX)
	chmod 711 "$T"
	# Run from a copy: the tree may be in a folder that only its owner may enter, and it may be
	# built again meanwhile.
	find "$B" -maxdepth 1 -type f -perm -100 -exec install -D -m 755 -t "$T/bin" {} +
	B=$T/bin
	trap finish EXIT
	trap 'exit 130' INT TERM PIPE
}

# ---- configuration: numeric accounts and a range of slots that no account of the host has ----
conf_make() { # conf_make [NAME=VALUE...]: NAMEs as below
	local slots=8 uid_base=1879048192 users=''
	local bridge=bgtest uplink='' subnet=10.97.0.0/24 dns=10.97.0.1
	local qemu=/usr/bin/qemu-system-x86_64 firecracker='' accel=tcg
	local flows=4096 per_owner=4 rate=1000 grace=10 cgroup_dir kv
	cgroup_dir=$(cgroup_mount)/banger-test-$$
	for kv in "$@"; do
		local "${kv?}"
	done
	CONF=$T/banger.conf CGROUP=$cgroup_dir UID_BASE=$uid_base SLOTS=$slots
	NET_ID=64101 BLK_ID=64102 SPAWN_ID=64103 CTL_ID=64104 SUP_ID=64105
	(umask 022 && cat >"$CONF") <<EOF
[slots]
count = $slots
uid_base = $uid_base
[network]
bridge = $bridge
uplink = $uplink
subnet = $subnet
dns = $dns
[accounts]
net = $NET_ID:$NET_ID
blk = $BLK_ID:$BLK_ID
spawn = $SPAWN_ID:$SPAWN_ID
controller = $CTL_ID:$CTL_ID
supervisor = $SUP_ID:$SUP_ID
users = $users
[places]
state_dir = $T/state
run_dir = $T/run
log_dir = $T/log
cgroup_dir = $cgroup_dir
libexec_dir = $B
[vmm]
qemu = $qemu
firecracker = $firecracker
accel = $accel
[limits]
max_vcpus = 4
max_mem_mib = 1024
max_disk_mib = 4096
max_vms_per_owner = $per_owner
max_flows_per_vm = $flows
creates_per_second = $rate
hold_grace_s = $grace
EOF
}

cgroup_mount() { # where cgroup v2 is mounted; nothing when it is not
	awk '{
		for (i = 7; i < NF && $i != "-"; i++);
		if ($(i + 1) == "cgroup2") print $5
	}' /proc/self/mountinfo | head -n 1
}

# Makes what the supervisor would make, for tests of one role without it.
places_make() {
	local i
	mkdir -p "$T/log" "$T/run" "$T/state"
	chmod 755 "$T/run" "$T/log"
	mkdir -p "$T/run/slots"
	mount -t tmpfs -o size=16m,mode=711,nosuid,noexec banger-slots "$T/run/slots"
	install -d -m 711 -o $CTL_ID -g $CTL_ID "$T/state"
	install -d -m 711 "$T/state/slots"
	for i in images kernels volumes consoles; do
		install -d -m 700 -o $CTL_ID -g $CTL_ID "$T/state/$i"
	done
	for ((i = 0; i < SLOTS; i++)); do
		install -d -o $CTL_ID -g $((UID_BASE + i)) "$T/state/slots/$i"
		chmod 2750 "$T/state/slots/$i"
		install -d -o $((UID_BASE + i)) -g $CTL_ID "$T/run/slots/$i"
		chmod 2770 "$T/run/slots/$i"
	done
	cgroup_make
}

# the delegated subtree, as the supervisor makes it; false where the kernel has no cgroup v2
cgroup_make() {
	[ -n "$(cgroup_mount)" ] || return 1
	mkdir -p "$CGROUP/spawn" "$CGROUP/vm"
	chown $SPAWN_ID:$SPAWN_ID "$CGROUP/vm" "$CGROUP/cgroup.procs"
}

# ---- a role with peer as its controller ----
peer_start() { # peer_start ROLE: its log is $T/ROLE.log, its standard error $T/ROLE.err
	local role=$1
	rm -f "$T/peer.$role.in" "$T/peer.$role.out"
	mkfifo "$T/peer.$role.in" "$T/peer.$role.out"
	"$B/peer" --role "$role" --config "$CONF" --log "$T/$role.log" "$B/banger-role-$role" \
		<"$T/peer.$role.in" >"$T/peer.$role.out" 2>>"$T/$role.err" &
	PEER_PID[$role]=$!
	# shellcheck disable=SC1083
	exec {PEER_IN[$role]}>"$T/peer.$role.in" {PEER_OUT[$role]}<"$T/peer.$role.out"
}

ask() { # ask ROLE COMMAND...: one command to it, prints its one line of answer
	local role=$1 line
	shift
	kill -0 "${PEER_PID[$role]}" 2>/dev/null || {
		echo "peer ended: $(tail -n 1 "$T/$role.err")"
		return
	}
	echo "$*" >&"${PEER_IN[$role]}"
	read -r -t "${ASK_SECONDS:-120}" line <&"${PEER_OUT[$role]}" || line="no answer"
	echo "$line"
}

peer_stop() { # peer_stop ROLE
	local role=$1
	[ -n "${PEER_PID[$role]-}" ] || return 0
	# shellcheck disable=SC1083,SC2093
	exec {PEER_IN[$role]}>&- {PEER_OUT[$role]}<&-
	wait "${PEER_PID[$role]}"
	unset "PEER_PID[$role]"
}

# ---- for crash.c and model.c ----
# Their disks are in memory, because these tests are about the order of steps and a sync would only
# take time.  $T becomes a folder in memory, with three configurations that differ in the VMM, and
# with a sysfs of its own, since the old one shows the old network namespace.
crash_places() { # crash_places [NAME=VALUE...]: as conf_make
	local vmm=/usr/local/src
	mkdir "$T/mem" && mount -t tmpfs -o size=512m,mode=711 crash "$T/mem"
	mount -t tmpfs -o mode=755 crash-vmm $vmm && install -m 755 "$B/crash_vmm" $vmm/vmm
	T0=$T T=$T/mem
	conf_make "$@" grace=1 qemu=$vmm/vmm firecracker=$vmm/vmm accel=kvm &&
		cp "$T/banger.conf" "$T/banger.conf.fc"
	conf_make "$@" grace=1 qemu=$vmm/vmm accel=auto && cp "$T/banger.conf" "$T/banger.conf.auto"
	conf_make "$@" grace=1 qemu=$vmm/vmm accel=tcg
	sed -i 's/^creates_per_second.*/creates_per_second = 1000/' "$T"/banger.conf*
	trap crash_end EXIT
	mkdir -p "$T/work/sys"
	mount -t sysfs -o ro crash-sys "$T/work/sys"
	chmod 711 "$T/work"
}

crash_end() {
	local rc=$? l
	for l in $(losetup -n -O NAME -j "$T/work/decoy.loop"); do losetup -d "$l"; done
	rmdir "$CGROUP-decoy" 2>/dev/null
	T=$T0
	(exit $rc)
	finish
}

# ---- the end ----
background() { # background COMMAND...: ended with the test
	"$@" &
	PIDS+=($!)
}

# pids of processes whose real uid is a slot's; of this test alone, whatever else runs on the host
slot_processes() {
	local p
	for p in $(ps -eo pid=,ruid= |
		awk -v lo="$UID_BASE" -v n="$SLOTS" '$2 >= lo && $2 < lo + n { print $1 }'); do
		[ "$(readlink "/proc/$p/ns/ipc")" != "$(readlink /proc/self/ns/ipc)" ] || echo "$p"
	done
}

our_loops() { # loop devices over files below $T
	losetup -J -l 2>/dev/null | jq -r --arg t "$T/" \
		'.loopdevices[]? | select(."back-file" | startswith($t)) | .name'
}

our_cgroups() {
	[ -n "${CGROUP-}" ] && [ -d "$CGROUP/vm" ] && find "$CGROUP/vm" -mindepth 1 -type d
}

leftovers() { # one line for each thing that a test should have had removed
	local p
	[ -n "${CONF-}" ] || return 0
	for p in $(slot_processes); do
		echo "process $p: $(tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null)"
	done
	our_loops | sed 's/^/loop /'
	our_cgroups | sed 's/^/cgroup /'
	ip -j link | jq -r '.[].ifname | select(test("^bgr[0-9]"))' | sed 's/^/interface /'
}

clean() { # remove processes, loops, cgroups, mounts and files of this test
	local p d
	for p in "${PIDS[@]}"; do kill "$p" 2>/dev/null; done
	[ -z "${CONF-}" ] || for p in $(slot_processes); do kill -9 "$p" 2>/dev/null; done
	wait 2>/dev/null
	[ -z "${CONF-}" ] || for d in $(our_loops); do losetup -d "$d"; done
	if [ -n "${CGROUP-}" ] && [ -d "$CGROUP" ]; then
		find "$CGROUP" -depth -type d -exec rmdir {} \; 2>/dev/null
		[ ! -d "$CGROUP" ] || {
			sleep 0.5; find "$CGROUP" -depth -type d -exec rmdir {} \;
		}
	fi
	awk -v t="$T/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
		while read -r d; do umount -l "$d"; done
	rm -rf "$T"
}

finish() {
	local rc=$? role left
	trap - EXIT
	for role in "${!PEER_PID[@]}"; do peer_stop "$role"; done
	if [ -z "$ENDED" ]; then
		# The kernel may finish the end of a process or of a loop a little later.
		wait_for 60 eval '[ -z "$(leftovers)" ]'
		left=$(leftovers)
		if [ -z "$left" ]; then
			ok "nothing is left"
		else
			not_ok "nothing is left" "$left"
		fi
		[ $rc = 0 ] || not_ok "the script ends with status 0" "status $rc"
		echo "1..$TESTS"
	fi
	[ -z "$T" ] || clean
	[ "$FAILED" = 0 ] || exit 1
	exit "$rc"
}
