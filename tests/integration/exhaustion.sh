#!/bin/bash
# Tests a host that runs out of a resource, with the whole set and real VMs: disks, request logs,
# the run folder, processes, open files.  New operations are refused with a hint.  Running VMs can
# be ended.  Nothing is lost and nothing is left behind. tests/README.md has the rest of the list.
. "$(dirname "$0")/lib_guest.sh" sqlite3 prlimit
set_prepare
conf_make slots=5 per_owner=5
guest_image

# Separate small file systems that the test can fill, instead of the host's disk.
mkdir "$T/state" "$T/log"
mount -t tmpfs -o size=500m,mode=711 state "$T/state"
mount -t tmpfs -o size=512k,mode=750 log "$T/log"
fill() {
	dd if=/dev/zero of="$1/filler" bs="${2-1M}" status=none 2>/dev/null
	dd if=/dev/zero bs=1 count=4096 status=none >>"$1/filler" 2>/dev/null; sync
}
free_kib() { df --output=avail -k "$1" | tail -n 1 | tr -d ' '; }
LIMIT=6 UNREACHABLE=8 HOST=9 # exit statuses: enum fail in common/error.h
refused() { # refused STATUS TEXT COMMAND...: with that exit status, a reason and what to do
	local want=$1 text=$2
	shift 2
	as $ALICE "$@" >/dev/null
	is "$? $(grep -v '^ ' "$T/err" | tr '\n' ' ')" "$want *banger: *$text*" \
		"refused with $want, and why: $*"
}
rows() { as 0 vm list --all -o json | jq -r 'map("\(.name) \(.state)") | sort | join(", ")'; }
whole() { sqlite3 "file:$T/state/banger.db?mode=ro" 'PRAGMA integrity_check'; }
cpu_of() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

did "the set comes up" set_start
check "root brings kernel and image" set_images
for vm in one two three; do as $ALICE vm create $vm --image tiny --memory 128M >/dev/null; done
check "alice starts one, with NAT" eval 'as $ALICE vm set one --nat && as $ALICE vm start one'

# ---- the disk of database, log and root disks ----
fill "$T/state"
is "$(free_kib "$T/state")" 0 "the state's disk is full"
refused $HOST "MiB*make room*" vm create four --image tiny
refused $HOST "MiB*make room*" vm start two
refused $HOST "MiB*make room*" vm set two --memory 256M
refused $HOST "*" image import other "$T/guest.ext4" --kernel debian
check "one can be stopped" as $ALICE vm stop one --timeout 1s
check "and nothing of it is left" nothing_of_vms
check "three can be deleted" as $ALICE vm delete three
is "$(rows)" "one stopped, two created" "and that is on record"
check "a hundred more ends go on record" \
	eval 'for i in $(seq 100); do as $ALICE vm stop two >/dev/null || exit 1; done'
is "$(as 0 doctor --db -o json |
	jq -r '[.[] | select(.verdict == "FAIL") | "\(.name): \(.hint)"] | join(" ")')" \
	"space: *stop and delete work*" "doctor --db names the space, and nothing else"
kill -9 "$SET"
did "kill -9 of the set on the full disk" set_gone
did "it comes up on the full disk" set_start
is "$(rows)" "one stopped, two created" "with all that was on record"
check "where two can be deleted" as $ALICE vm delete two
is "$(whole)" ok "the database is whole"
rm "$T/state/filler"
create_start_kill() {
	as $ALICE vm create "$1" --image tiny --memory 128M && as $ALICE vm start "$1" &&
		as $ALICE vm kill "$1"
}
check "with room again all is as ever" create_start_kill two

# ---- a root disk that does not fit half-way ----
head -c 120M /dev/urandom >"$T/state/filler" # cheap, and never the last
fallocate -l $(($(free_kib "$T/state") - 100 * 1024))KiB "$T/state/filler2"
cp "$T/guest.ext4" "$T/big.ext4" && truncate -s 90M "$T/big.ext4" &&
	dd if=/dev/urandom of="$T/big.ext4" bs=1M seek=17 count=70 conv=notrunc status=none
rm "$T/state/filler"
check "a large image fits" as 0 image import big "$T/big.ext4" --kernel debian
fallocate -l $(($(free_kib "$T/state") - 66 * 1024))KiB "$T/state/filler"
before=$(free_kib "$T/state")
refused $HOST "no room left*free some" vm create four --image big
is "$(rows)" "one stopped, two stopped" "no row is left of it"
is "$(($(free_kib "$T/state") - before >= -64))" 1 "and no file"
rm "$T"/state/filler*
as 0 image delete big >/dev/null

# ---- request logs ----
check "alice starts one" as $ALICE vm start one
fill "$T/log" 4k
# The last page of a log has room for some lines more.
for _ in 1 2 3 4 5 6 7 8 9; do
	as $ALICE vm start two >/dev/null || break
	as $ALICE vm kill two >/dev/null
done
refused $HOST "can not write its request log*free some" vm start two
check "one can be killed" as $ALICE vm kill one
check "and nothing is left" nothing_of_vms
rm "$T/log/filler"
check "with room again two starts" as $ALICE vm start two

# ---- the run folder: sockets of VMMs ----
fill "$T/run/slots" 4k
touch "$T/run/slots/"{1..2000} 2>/dev/null
refused $HOST "no room*run/slots*" vm start one
is "$(rows)" "one stopped, two running" "one is not said to run"
is "$(taps)/$(slot_processes | wc -l)" 1/1 "and nothing of it is left"
check "two can be killed" as $ALICE vm kill two
check "and nothing is left" nothing_of_vms
find "$T/run/slots" -maxdepth 1 -type f -delete
check "with room again one starts" as $ALICE vm start one

# ---- processes ----
if [ -e "$CGROUP/vm/pids.max" ]; then
	is "$(cat "$CGROUP"/vm/*.*.*/pids.max)" 129 "a VM has a limit of processes"
	echo 1 >"$CGROUP/vm/pids.max"
	refused $LIMIT "no room for its processes*TasksMax*" vm start two
	is "$(taps)/$(slot_processes | wc -l)" 1/1 "nothing of it is left"
	echo max >"$CGROUP/vm/pids.max"
	check "without the limit two starts" as $ALICE vm start two
	as $ALICE vm kill two >/dev/null
else
	skip "a limit of processes" "the pids controller is not delegated"
fi

# ---- open files of the controller: it waits, and does not turn in circles ----
files() { # files PID ACCOUNT LIMIT: how many it may have from now on; "": no more than it has
	local n=0
	while [ -e "/proc/$1/fd/$n" ]; do n=$((n + 1)); done
	setpriv --reuid "$2" --regid "$2" --clear-groups prlimit --pid "$1" --nofile="${3:-$n}:"
}
# A client's connection is closed a moment after the client has ended.
settled() { local n; n=$(fds_of "$1") && sleep 0.5 && [ "$(fds_of "$1")" = "$n" ]; }
ctl=$(child controller)
check "the agent of the VM that runs has answered, so that no question opens a file" \
	as $ALICE vm wait --for ready --timeout 300s one
# The backup ten seconds after the start opens one, and keeps it.
check "the state database has its first backup" wait_for 120 test -e "$T/state/banger.db.backup"
wait_for 60 settled "$ctl"
check "the controller may open no more files" files "$ctl" $CTL_ID ""
timeout 120 setpriv --reuid $ALICE --regid $ALICE --clear-groups \
	env BANGER_SOCKET="$T/run/control.sock" "$B/banger" vm list -o name >"$T/waited" &
waiter=$!
check "the controller says that there are too many" \
	wait_for 60 grep -q "control socket: Too many open files" "$T/set.err"
used=$(cpu_of "$ctl")
sleep 3
is "$(($(cpu_of "$ctl") - used < 100))" 1 "a client waits, and the controller uses no processor"
is "$(slot_processes | wc -l)" 1 "the VM runs on"
check "with descriptors again" files "$ctl" $CTL_ID 8192
wait $waiter
is "$(xargs <"$T/waited")" "one two" "the client is served"
# The command's connection takes the last descriptor, so the start has none.
wait_for 60 settled "$ctl"
n=0
while [ -e "/proc/$ctl/fd/$n" ]; do n=$((n + 1)); done
files "$ctl" $CTL_ID $((n + 1))
refused $HOST "Too many open files*" vm start two
files "$ctl" $CTL_ID 8192
is "$(rows)" "one running, two stopped" "no row lies"
is "$(taps)/$(slot_processes | wc -l)" 1/1 "nothing of it is left"
check "and it starts with descriptors again" as $ALICE vm start two

# ---- open files of a role ----
# Only a hostile controller can bring it there; the set starts again, and adopts.
spawn=$(child spawn)
check "the spawn role may open no more files" files "$spawn" $SPAWN_ID ""
check "alice creates three" as $ALICE vm create three --image tiny --memory 128M
refused $UNREACHABLE "it ended before it answered*" vm start three
did "the set ends" set_gone
did "and comes up again" set_start
is "$(rows)" "one running, three created, two running" "its VMs are adopted, the start is undone"
is "$(taps)/$(slot_processes | wc -l)" 2/2 "and nothing of it is left"
check "it starts now" as $ALICE vm start three
check "all can be killed" as $ALICE vm kill one two three
check "and deleted" as $ALICE vm delete one two three
check "nothing is left" nothing_of_vms
is "$(find "$T/state/slots" -mindepth 2)" "" "no file either"
is "$(whole)" ok "the database is whole"
set_stop
