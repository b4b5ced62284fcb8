#!/bin/bash
# Tests the blk role against a scripted peer: which files it accepts as disks, and what it leaves
# behind.  Loops are real and global; each loop of this test goes with its processes.  Device-mapper
# has a test of its own, blk_dm_guest.sh.
# alone: its loops have our tag, and loops are the whole host's: another set would adopt them
set -u
cd "$(dirname "$0")/../.." || exit 1
[ -e tests/integration/lib.sh ] && . tests/integration/lib.sh
build=${BANGER_BUILD:-build/${MODE:-release}}
peer=$build/peer role=$build/banger-role-blk
n=0 failed=0
say() { n=$((n + 1)); echo "$1 $n - $2"; [ "$1" = ok ] || failed=1; }
is() { # is WANT GOT NAME
	if [ "$1" = "$2" ]; then
		say ok "$3"
	else
		say 'not ok' "$3"; echo "  | want: $1"; echo "  | got:  $2"
	fi
}
like() { # like PATTERN GOT NAME
	# shellcheck disable=SC2053
	if [[ $2 == $1 ]]; then
		say ok "$3"
	else
		say 'not ok' "$3"; echo "  | want: $1"; echo "  | got:  $2"
	fi
}
skip_all() { echo "ok 1 - blk # SKIP $1"; echo 1..1; exit 0; }
[ "$(id -u)" = 0 ] || skip_all "needs root"
[ -w /dev/loop-control ] || skip_all "this kernel has no loop devices"
[ -x $peer ] && [ -x $role ] || skip_all "$peer or $role is not built"
for tool in losetup jq perl; do command -v $tool >/dev/null || skip_all "needs $tool"; done

dir=$(mktemp -d) ctl=64101
foreign='' PEER_PID=''
cleanup() {
	[ -n "${PEER_PID-}" ] && kill "$PEER_PID" 2>/dev/null
	[ -n "$foreign" ] && losetup -d "$foreign"
	# A role that is wrong may leave some of ours.
	losetup -J -l -O NAME,BACK-FILE |
		jq -r ".loopdevices[]? | select(.\"back-file\" | startswith(\"$dir/\")) | .name" |
		while read -r l; do losetup -d "$l"; done
	mountpoint -q "$dir/other" && umount "$dir/other"
	rm -rf "$dir"
}
trap cleanup EXIT
mkdir -p "$dir/state" "$dir/run/slots" "$dir/log"
cat >"$dir/conf" <<-END
	[slots]
	count = 8
	uid_base = 700000
	[accounts]
	net = 64111:64111
	blk = 64112:64112
	spawn = 64113:64113
	controller = $ctl:$ctl
	supervisor = 64114:64114
	users =
	[places]
	state_dir = $dir/state
	run_dir = $dir/run
	log_dir = $dir/log
	libexec_dir = $(realpath "$build")
	[limits]
	max_disk_mib = 64
	max_vms_per_owner = 100
	creates_per_second = 1000
END
chmod 644 "$dir/conf"; chown -R 0:0 "$dir"; chmod 755 "$dir"
s=$dir/state
file() { truncate -s "$2" "$s/$1" && chown "${3-$ctl}" "$s/$1"; }
file base 4M; file base2 4M; file cow0 8M; file cow1 8M; file cow2 8M
file small 1048064; file odd 2097153; file large 65M; file largecow 67M; file root 4M 0
file foreign 4M 0; file empty 0
mkdir "$s/folder"; mkfifo "$s/fifo"; ln -s base "$s/link"; chown $ctl "$s/folder" "$s/fifo"
echo x >"$s/foreign"; truncate -s 4M "$s/foreign"
foreign=$(losetup -f --show "$s/foreign") || skip_all "no loop device to play the foreign one"

start() {
	coproc PEER {
		exec $peer --role blk --config "$dir/conf" --log "$dir/log/blk.log" $role \
			2>>"$dir/err"
	}
}
ask() { # one line to the peer, its answer in $answer
	answer='peer is gone'
	echo "$*" >&"${PEER[1]}" && read -r -t 30 answer <&"${PEER[0]}"
}
stop() { # the peer's standard input ends, so does it, so does the role
	local in=${PEER[1]} pid=$PEER_PID
	exec {in}>&-
	wait "$pid" 2>/dev/null
}
try() { ask "$2"; is "$1" "$answer" "$3"; }
bound() {
	losetup -J -l -O NAME,BACK-FILE,RO,AUTOCLEAR,OFFSET,SIZELIMIT,BACK-INO |
		jq -c ".loopdevices[]? | select(.\"back-file\" | startswith(\"$s/\"))"
}
count() { bound | grep -vc "$s/foreign"; }
of() { bound | jq -r "select(.\"back-file\" == \"$s/$1\") | $2"; }
tag() { # struct loop_info64: lo_file_name is at 56
	perl -e '
		open(F, "<", $ARGV[0]) or exit 1;
		$b = "\0" x 232;
		ioctl(F, 0x4c05, $b) or exit 1; # LOOP_GET_STATUS64
		print unpack("x56 Z64", $b)' "$1"
}
settled() { # autoclear works after the last close has returned
	for _ in $(seq 50); do [ "$(count)" = "$1" ] && break; sleep 0.1; done
	is "$1" "$(count)" "$2"
}

# ---- binding ----
start
ask run; is ok "$answer" "the role starts, locks itself down and says hello"
ask "loop_attach part=0 fd=$s/base:ro"; like 'ok loop=*' "$answer" "a base is attached"
base=${answer#ok loop=}
is "/dev/loop$base true true 0 $(stat -c %s "$s/base")" \
	"$(of base '[.name, .ro, .autoclear, .offset, .sizelimit] | map(tostring) | join(" ")')" \
	"losetup: read-only, autoclear, the whole file, and limited to it"
is banger-base "$(tag "/dev/loop$base")" "its tag says that it is a base"
try "ok loop=$base" "loop_attach part=0 fd=$s/base:ro" "attaching it again is the same loop"
try "ok loop=$base" "loop_attach slot=1 part=0 fd=$s/base:ro" "another slot shares it"
try "ok loop=$base" "loop_attach slot=2 part=0 fd=$s/link:ro" "the file counts, not its name"
is 1 "$(of base .name | wc -l)" "losetup: one loop for three slots"
ask "loop_attach slot=3 part=0 fd=$s/base2:ro"
like 'ok loop=*' "$answer" "another file is another loop"
[ "${answer#ok loop=}" != "$base" ]; is 0 $? "with another number"
ask "loop_attach part=1 gen=1 fd=$s/cow0:rw"; like 'ok loop=*' "$answer" "a CoW store is attached"
cow=${answer#ok loop=}
is "/dev/loop$cow false true" "$(of cow0 '[.name, .ro, .autoclear] | map(tostring) | join(" ")')" \
	"losetup: writable, autoclear"
is banger:0:1:1000 "$(tag "/dev/loop$cow")" "its tag has slot, generation and owner"
try busy "loop_attach part=1 fd=$s/cow1:rw" "one CoW store a slot"
ask list
held="4,0,1,1000,$base,5,0,1,1000,$cow,4,1,1,1000,$base,4,2,1,1000,$base,4,3,1,1000,*"
like "ok next=0 objects=$held" "$answer" "list shows what is held"
try busy "loop_attach slot=0 gen=2 part=1 fd=$s/cow0:rw" "a newer VM waits until its slot is empty"
try denied "loop_attach slot=0 owner=1001 part=1 fd=$s/cow0:rw" "another owner is refused"
if grep -q device-mapper /proc/devices; then
	echo "# this kernel has device-mapper: see blk_dm_guest.sh"
else
	try kernel "snapshot_create" "no device-mapper: snapshot_create says so"
fi
try ok "snapshot_remove slot=5" "removing what never was succeeds"

# ---- descriptors that are no disk ----
mkdir "$dir/other" && mount -t tmpfs -o size=8m other "$dir/other"
truncate -s 4M "$dir/other/file"; chown $ctl "$dir/other/file"
a="loop_attach slot=4 part=0"
try denied "$a fd=$s/folder:ro" "a folder"
try denied "$a fd=$s/fifo:ro" "a FIFO"
try denied "$a fd=$s/base:path" "an O_PATH descriptor"
try denied "$a fd=$s/base:rw" "a base that could be written"
try denied "$a fd=$s/small:ro" "a file below the least size"
try denied "$a fd=$s/odd:ro" "a file with half a sector"
try denied "$a fd=$s/large:ro" "a file above the limit"
try denied "$a fd=$s/empty:ro" "an empty file"
try denied "$a fd=$s/root:ro" "a file of another user"
try denied "$a fd=/proc/self/status:ro" "a file of /proc"
try denied "$a fd=/dev/null:ro" "a character device"
try denied "$a fd=$foreign:ro" "a block device"
try denied "$a fd=$dir/other/file:ro" "a file of another file system"
a="loop_attach slot=4 part=1"
try denied "$a fd=$s/cow2:ro" "a CoW store that can not be written"
try denied "$a fd=$s/largecow:rw" "a CoW store above the limit"
try denied "$a fd=$dir/other/file:rw" "a CoW store of another file system"
is '' "$(of cow2 .name)$(of small .name)$(of large .name)" "losetup: nothing came of these"
ask "loop_attach slot=9 part=0 fd=$s/base:ro"
is denied "$answer" "a slot that this host does not have"

# ---- letting go ----
try ok "loop_detach part=1" "the CoW store is detached"
settled 2 "losetup: it is gone"
try ok "loop_detach part=1" "detaching it again succeeds"
try ok "loop_detach slot=0 part=0" "one slot lets go of the base"
is "/dev/loop$base" "$(of base .name)" "losetup: the others keep it"
try ok "loop_detach slot=1 part=0" "so does the second"
try ok "loop_detach slot=2 part=0" "and the third"
settled 1 "losetup: now it is gone"
ask "loop_attach slot=0 gen=2 owner=1001 part=1 fd=$s/cow0:rw"
like 'ok loop=*' "$answer" "the slot's next VM"
is banger:0:2:1001 "$(tag "/dev/loop${answer#ok loop=}")" "has its own tag"
try denied "loop_detach slot=0 gen=1 part=1" "a late request of the one before touches nothing"
is 1 "$(of cow0 .name | wc -l)" "losetup: it is there"

# ---- the ends of the role ----
r=$(pgrep -P "$PEER_PID" -x banger-role-blk)
privileges=$(awk '/^(Uid|Gid|CapEff|CapBnd|NoNewPrivs|Seccomp):/ { print $2 }' \
	"/proc/$r/status" | paste -sd' ')
is "64112 64112 0000000000200000 0000000000000000 1 2" "$privileges" \
	"the role holds CAP_SYS_ADMIN and nothing else"
is "$(seq 0 4095 | sed 's/^/loop/' | sort | sha256sum)" \
	"$(ls "/proc/$r/root/" | sort | sha256sum)" "its root holds loop nodes alone"
is ro "$(awk '$5 == "/" {print substr($6, 1, 2)}' "/proc/$r/mountinfo")" "which nobody can change"
is 1 "$(wc -l <"/proc/$r/mountinfo")" "no other mount is left"
for ns in net ipc uts; do
	[ "$(readlink "/proc/$r/ns/$ns")" != "$(readlink "/proc/self/ns/$ns")" ]
	is 0 $? "the role has an $ns namespace of its own"
done
kill -9 "$r"
settled 0 "kill -9 of the role: nothing of it is left"
ask ping; like 'signal 9' "$answer" "the peer sees its end"
ask restart; ask run; is ok "$answer" "another role starts"
try 'ok next=0 objects=' list "and finds nothing"
ask "loop_attach slot=0 gen=1 part=0 fd=$s/base:ro"; like 'ok loop=*' "$answer" "and serves"
ask "loop_attach slot=0 gen=1 part=1 fd=$s/cow0:rw"; like 'ok loop=*' "$answer" "both parts"

# ---- what somebody else keeps open outlives the role, and is found again ----
cow=/dev/loop${answer#ok loop=}
exec {hold}<"$cow"
ask close; like 'exit 0' "$answer" "the role ends when its peer does"
ask restart; ask run
ask list; like "ok next=0 objects=5,0,1,1000,${cow#/dev/loop}" "$answer" \
	"a loop that was kept open is found by its tag"
try busy "loop_detach part=1" "and is busy"
try busy "loop_attach slot=0 gen=2 part=1 fd=$s/cow1:rw" "so the slot is not free"
try denied "loop_detach owner=1001 part=1" "nor another's"
exec {hold}<&-
settled 0 "the last close frees it"
try ok "loop_detach part=1" "then the detach succeeds"
try 'ok next=0 objects=' list "nothing is left"
ask "raw 00"; is 'exit 70' "$answer" "a packet that is none ends the role"
stop
settled 0 "nothing is bound at the end"
is "$s/foreign" "$(losetup -n -O BACK-FILE "$foreign")" "the foreign loop was never touched"
[ $failed = 0 ] || sed 's/^/  | /' "$dir/err"
echo "1..$n"
exit $failed
