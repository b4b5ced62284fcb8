#!/bin/bash
# Tests faults of the state database with the whole set and running VMs: a restored copy of
# yesterday, damage, a cut file, a lock, a read-only file, newer and older schemas, a torn log.
# Each fault is reported with a remedy, and loses nothing.
. "$(dirname "$0")/lib_guest.sh" sqlite3
set_prepare
conf_make slots=6 per_owner=6
guest_image
DB=$T/state/banger.db

row() { # row NAME [UID]: what doctor --db says of it
	as "${2-0}" doctor --db --config "$CONF" -o json | jq -r --arg n "$1" \
		'[.[] | select(.name == $n)][0] | "\(.verdict) \(.where): \(.text): \(.hint)"'
}
doctor_fails() {
	as 0 doctor --db --config "$CONF" -o json |
		jq -r '[.[] | select(.verdict == "FAIL") | .name] | join(" ")'
}
slot_of() { field $ALICE "$1" slot; }
mark_of() { cut -d' ' -f3 "$T/state/slots/$1/owner"; }
# an empty log is none
sums() {
	find "$T/state" -maxdepth 1 \( -name banger.db -o -name banger.db-wal -size +0 \) \
		-exec sha256sum {} + | sort
}
as_controller() { setpriv --reuid $CTL_ID --regid $CTL_ID --clear-groups "$@"; }
put_back() { # put_back FILE: what the README says: the file, and no log of another one
	rm -f "$DB-wal" "$DB-shm"
	cp "$1" "$DB" && chown $CTL_ID:$CTL_ID "$DB" && chmod 600 "$DB"
}
# refused NAME WHY HINT: the set does not come up, says so by its file, and the VM that runs goes on
refused() {
	local before pid
	before=$(sums) pid=$(slot_processes)
	did "$1: the set does not come up" set_refuses
	is "$(cat "$T/set.err")" "*banger-controller: $DB: *$2*banger-controller: hint: *$3*" \
		"$1: it says why, and what to do"
	is "$(sums)" "$before" "$1: the files are as they were"
	is "$(slot_processes)" "$pid" "$1: VMs run on"
}

# ---- a good day ----
did "the set comes up" set_start
check "root brings kernel and image" set_images
for vm in stays again rests gone; do
	as $ALICE vm create $vm --image tiny --memory 128M >/dev/null
done
check "alice starts two VMs" eval 'as $ALICE vm start stays && as $ALICE vm start again'
stays=$(field $ALICE stays runtime.pid)
is "$(as $ALICE doctor --db -o json |
	jq -r '[.[] | select(.where != "daemon" or .verdict == "FAIL")] | length')/$?" 0/0 \
	"doctor --db: by the daemon anybody hears that all is well"
for name in folder database schema log space slots images volumes ledger; do
	is "$(row $name $ALICE)" "PASS daemon: *" "doctor --db: $name"
done
rm -f "$DB.backup" # on a slow host there is one of before they were created
check "a copy is made by itself" wait_for 60 test -s "$DB.backup"
is "$(row backup)" "PASS daemon: banger.db.backup: whole, of 20*Z, schema *, 4 VMs: " \
	"doctor --db: the backup, and what is in it"

# ---- yesterday's database is put back ----
# What it knows is adopted or released, what it does not know is removed, disks stay.
cp "$DB.backup" "$T/yesterday.db"
since_then() {
	as $ALICE vm kill again && as $ALICE vm start again && as $ALICE vm start rests &&
		as $ALICE vm delete gone
}
check "since then: one was restarted, one started, one deleted" since_then
gone=$(sqlite3 "$T/yesterday.db" "SELECT slot FROM vms WHERE name = 'gone'")
for vm in b1 b2 b3; do as $BOB vm create $vm --image tiny --memory 128M >/dev/null; done
is "$(mark_of "$gone")" $BOB "bob has the slot of the deleted one"
check "and starts two of his" eval 'as $BOB vm start b1 && as $BOB vm start b3'
theirs=$(sha256sum "$T/state/slots/$gone/disk")
generation=$(cut -d' ' -f2 "$T/state/slots/$gone/owner")
did "a clean stop" set_stop
cp "$DB" "$T/today.db"
# over it: owner and mode stay, and so does the log, which everybody forgets
cp "$T/yesterday.db" "$DB"
did "the set comes up with yesterday's database" set_start
is "$(as 0 vm list --all -o json | jq -r 'map("\(.name) \(.state)") | join(", ")')" \
	"again stopped, gone failed, rests created, stays running" \
	"no VM is told of that it does not know, and none lies"
is "$(slot_processes)" "$stays" "who ran then and runs now was adopted, all others are gone"
is "$(taps)/$(nft_elems bridge guest)/$(our_cgroups | wc -l)" 1/1/1 "with all that was theirs"
is "$(field $ALICE gone reason)" "*another VM*database is older*" \
	"the one whose slot was given away says so"
is "$(status_of as $ALICE vm start gone) $(cat "$T/err")" \
	"5 *gone: *another VM*newer state database*" "and does not start with another one's disk"
is "$(doctor_fails)" slots "doctor --db says so"
check "one that rests starts again" as $ALICE vm start rests
check "and ends" as $ALICE vm kill rests
check "it can be deleted" as $ALICE vm delete gone
is "$(sha256sum "$T/state/slots/$gone/disk")" "$theirs" "which leaves the other one's disk alone"
is "$(row slots)" "WARN daemon: slots have files without a VM: 3, first: slot [0-9]*host gc*" \
	"doctor --db counts the files that no VM has"
is "$(as 0 host reconcile)" "0 found*" "reconcile leaves them"
did "a clean stop" set_stop
put_back "$T/today.db"
did "with today's database again" set_start
is "$(as 0 vm list --all -o json | jq -r 'map(.name) | join(" ")')" "again b1 b2 b3 rests stays" \
	"nothing was lost in between"
check "bob's VM starts with his disk" as $BOB vm start b1
as $BOB vm kill b1 >/dev/null
did "a clean stop" set_stop
put_back "$T/yesterday.db"
did "yesterday's once more" set_start
as $ALICE vm delete gone >/dev/null
is "$(as 0 host gc --dry-run)" \
	"*slot $gone: files of VM *, generation $generation, of uid $BOB*3 found, 0 mended*" \
	"gc --dry-run names them"
check "new VMs take slots" eval \
	'for i in 1 2 3; do as $ALICE vm create new$i --image tiny --memory 128M || exit 1; done'
is "$(sqlite3 "$DB" "SELECT count(*) FROM vms WHERE slot = $gone AND generation > $generation")" 1 \
	"each above the generation that was there"
is "$(as 0 host gc)" "0 found*" "and gc finds nothing more"
is "$(doctor_fails)" "" "doctor --db: all is well"
check "alice deletes them" as $ALICE vm delete new1 new2 new3
did "a clean stop" set_stop

# ---- damaged, cut, foreign: refused, kept, and a backup in its place is all that it takes ----
cp "$DB" "$T/good.db"
printf 'this is not what was here' |
	dd of="$DB" bs=1 seek=$((2 * 4096 + 8)) conv=notrunc status=none
refused "damaged" "is damaged: " "put a backup in its place"
is "$(row database)" "FAIL here: $DB is damaged: *put a backup in its place*" \
	"doctor --db says it without the daemon"
is "$(row backup)" "PASS here: banger.db.backup: whole*" "and that there is a backup"
is "$(row database $ALICE; as $ALICE doctor --db -o json | jq -r '.[].hint')" \
	"null*root can run this*" "to root alone"
is "$(find "$T/state" -maxdepth 1 -user root ! -name slots)" "" "and leaves nothing of root's there"
cp "$DB" "$T/damaged.db"
rm -f "$DB-wal" "$DB-shm" "$DB"
install -m 600 "$DB.backup" "$DB" # as root does it, and forgets whose it is
refused "a copy of root's" "Permission denied" "chown"
is "$(row database)" "FAIL here: *Permission denied: chown*" "doctor --db says it too"
chown $CTL_ID:$CTL_ID "$DB"
did "with the backup in its place it comes up" set_start
is "$(field $ALICE stays runtime.pid)" "$stays" "the VM is adopted"
did "a clean stop" set_stop
head -c 10000 "$T/good.db" >"$DB"
refused "cut" "damaged" "put a backup in its place"
: >"$DB"
refused "cut to nothing" "it was cut" "put a backup in its place"
is "$(row database)" "FAIL here: *it was cut*" "doctor --db says it too"
rm -f "$DB" "$DB-wal" "$DB-shm"
as_controller mkfifo "$DB"
did "no file at all: the set does not come up" set_refuses
is "$(row database)" "FAIL here: *is not a regular file*" \
	"doctor --db says it, and does not wait for it"
rm -f "$DB"
put_back "$T/good.db"

# ---- locked, read-only ----
mkfifo "$T/hold"
as_controller sqlite3 "$DB" <"$T/hold" >"$T/held" &
holder=$!
exec {hold}>"$T/hold"
printf '%s\n' ".timeout 5000" "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; SELECT 'locked';" \
	>&$hold
check "another program holds it" wait_for 60 grep -qx locked "$T/held"
refused "locked" "another program holds" "fuser"
exec {hold}>&-
wait $holder
mount --bind "$T/state" "$T/state" && mount -o remount,bind,ro "$T/state"
did "read-only: the set does not come up" set_refuses
is "$(cat "$T/set.err")" "*banger-privhelper: *Read-only file system*" "read-only: it says so"
is "$(row folder)" "FAIL here: $T/state is on a read-only file system: mount it*" \
	"read-only: doctor --db says it, and what to do"
umount "$T/state"
did "it comes up when that is over" set_start
is "$(field $ALICE stays runtime.pid)" "$stays" "and the VM is adopted"
did "a clean stop" set_stop

# ---- newer, older ----
sqlite3 "$DB" "PRAGMA user_version = 99"
refused "newer" "schema 99" "install the newer banger"
is "$(row schema)" "FAIL here: 99, and this program knows up to *" "doctor --db says it too"
put_back "$T/good.db"
did "it comes up with one that it knows" set_start
check "alice starts another one" as $ALICE vm start rests
did "a clean stop" set_stop
slot=$(sqlite3 "$DB" "SELECT slot FROM vms WHERE name = 'rests'")
# As the schema before the last one had it, and as the first rows were: the tap is all that the
# runtime knows.
sqlite3 "$DB" <<-'END'
	DELETE FROM ledger;
	UPDATE vms SET runtime = '{"tap":"bgr' || slot || '"}' WHERE name = 'rests';
	ALTER TABLE vms DROP COLUMN restart;
	ALTER TABLE vms DROP COLUMN restart_max;
	ALTER TABLE vms DROP COLUMN auto_stop_s;
	ALTER TABLE vms DROP COLUMN wanted;
	ALTER TABLE vms DROP COLUMN hold;
	ALTER TABLE images DROP COLUMN origin;
	ALTER TABLE images DROP COLUMN config;
	ALTER TABLE images DROP COLUMN layers;
	DROP TABLE mounts;
	DROP TABLE volumes;
	PRAGMA user_version = 2;
END
rm -f "$T/state/slots/$slot/owner" # no mark either
is "$(row schema)" "WARN here: 2, and this program writes *next start*" \
	"older: doctor --db says what will be"
did "older: it comes up" set_start
backup=$(sqlite3 "$DB.v2" 'PRAGMA integrity_check; PRAGMA user_version; SELECT count(*) FROM vms')
is "${backup//$'\n'/ }" "ok 2 3" "older: there is a backup of what was there"
is "$(field $ALICE rests state) $(field $ALICE stays state) $(slot_processes)" \
	"stopped running $stays" \
	"older: a row without the newer fields is cleaned up, the other one's VM adopted"
is "$(taps)/$(nft_elems bridge guest)" 1/1 "older: nothing of it is left in the kernel"
check "older: and starts again" as $ALICE vm start rests
as $ALICE vm kill rests >/dev/null

# ---- a torn log: the last commits are lost, and what they made is removed ----
check "alice makes another one, and starts it" \
	eval 'as $ALICE vm create late --image tiny --memory 128M && as $ALICE vm start late'
check "and one more" as $ALICE vm start rests
kill -9 "$SET"
set_gone
frames=$(sqlite3 "file:$DB?immutable=1" "SELECT count(*) FROM vms WHERE name = 'late'")
dd if=/dev/zero of="$DB-wal" bs=4120 seek=1 count=1000 conv=notrunc status=none
did "a torn log: the set comes up" set_start
is "$(as 0 vm list --all -o json | jq -r 'map("\(.name) \(.state)") | join(", ")')" \
	"*stays running*" "a torn log: who is on record runs on ($frames)"
running=$(as 0 vm list --all -o json | jq 'map(select(.state == "running")) | length')
is "$(slot_processes | wc -l)/$(taps)" "$running/$running" \
	"a torn log: what runs is what is on record"
is "$(as 0 host reconcile --dry-run)" "0 found*" "a torn log: a second look finds nothing"
delete_all() {
	as 0 vm list --all -o json | jq -r '.[] | "\(.owner)/\(.name)"' |
		xargs -n 1 setpriv env BANGER_SOCKET="$T/run/control.sock" "$B/banger" vm delete
}
check "every VM is deleted" delete_all
check "and nothing is left" nothing_of_vms
check "but files that no row names, which gc takes" as 0 host gc
is "$(find "$T/state/slots" -mindepth 2; find "$T/state/consoles" -mindepth 1)" "" \
	"so that no file is left, nor a word of theirs"
is "$(doctor_fails)" "" "doctor --db: all is well"
did "a clean stop" set_stop

# ---- the database is taken away while it is in use ----
# Nothing new is begun that would be forgotten; what it held is rescued.
did "taken away: the set comes up" set_start
check "taken away: alice starts one" \
	eval 'as $ALICE vm create kept --image tiny && as $ALICE vm start kept'
pid=$(slot_processes)
rm -f "$DB"
is "$(status_of as $ALICE vm create more --image tiny) $(cat "$T/err")" \
	"9 *removed or replaced*banger.db.rescued*" \
	"taken away: nothing new is begun, and what to do is said"
is "$(status_of as $ALICE vm start kept)/$(status_of as $ALICE image delete tiny)" "0/4" \
	"taken away: what is so can still be told"
is "$(as 0 doctor -o json |
	jq -r '.[] | select(.name == "database") | "\(.verdict) \(.text): \(.hint)"')" \
	"FAIL *removed or replaced*" "taken away: doctor says so"
check "taken away: what it held is rescued" wait_for 60 test -s "$DB.rescued"
kill -9 "$SET"
did "taken away: kill -9 of the set" set_gone
put_back "$DB.rescued"
did "taken away: the set comes up with it" set_start
is "$(field $ALICE kept state) $(slot_processes)" "running $pid" "taken away: the VM is adopted"
cp "$T/yesterday.db" "$T/other.db" && mv "$T/other.db" "$DB"
is "$(status_of as $ALICE vm create more --image tiny)" 9 "replaced: nothing new is begun"
check "replaced: a VM can be ended and deleted" as $ALICE vm delete kept
did "replaced: a clean stop" set_stop
put_back "$DB.rescued"
did "replaced: the set comes up" set_start
is "$(as 0 vm list --all -o json)" "[[][]]" "replaced: with what it knew in the end"
did "replaced: a clean stop" set_stop
rm -f "$DB.rescued"

# ---- code in the database, left by a controller that was taken over ----
sqlite3 "$DB" "CREATE TRIGGER mine AFTER INSERT ON vms BEGIN
	UPDATE vms SET owner = $BOB WHERE id = new.id; END"
did "a trigger: the set comes up with it" set_start
check "a trigger: a VM is created" as $ALICE vm create hers --image tiny
is "$(as $ALICE vm list -o json | jq -r '.[].name')$(as $BOB vm list -o json)" "hers[[]]" \
	"a trigger: it does nothing"
check "a trigger: the VM is deleted" as $ALICE vm delete hers
did "a trigger: a clean stop" set_stop
sqlite3 "$DB" "DROP TRIGGER mine"

# ---- gone: images stay until a person gives them up ----
files() { find "$T/state/images" "$T/state/kernels" -mindepth 1 -maxdepth 1 | wc -l; }
is "$(row images)" "PASS here: *" "gone: before that each image has its row"
mv "$DB" "$T/last.db" && rm -f "$DB-wal" "$DB-shm"
did "gone: the set comes up with an empty one" set_start
is "$(as 0 image list -o json) $(files)" "[[][]] 2" \
	"gone: no image is known, and the files are there"
is "$(row images)" "WARN daemon: files have no row: of 1 images, 1 kernels*host gc*" \
	"gone: doctor --db counts them"
is "$(as 0 host reconcile) $(files)" "0 found* 2" "gone: reconcile leaves them"
is "$(as 0 host gc --dry-run | tr '\n' ' ') $(files)" \
	"image ????????????: files * no row names kernel ????????????: * 2 found, 0 mended* 2" \
	"gone: gc --dry-run names them"
did "a clean stop" set_stop
put_back "$T/last.db"
did "gone: it is found again and put back" set_start
is "$(as 0 image list -o json | jq -r '.[].name') $(as 0 host gc --dry-run)" "tiny 0 found*" \
	"gone: the image is known again, gc takes nothing"
check "gone: and makes a VM" \
	eval 'as $ALICE vm create last --image tiny && as $ALICE vm delete last'
did "a clean stop" set_stop
rm -f "$DB" "$DB-wal" "$DB-shm"
did "gone for good: the set comes up" set_start
is "$(as 0 host gc | tail -n 1) $(files)" "2 found, 2 mended, 0 failed 0" \
	"gone for good: gc removes them"
is "$(row images)" "PASS daemon: *" "gone for good: doctor --db: all is well"
check "gone for good: they can be imported again" set_images
did "a clean stop" set_stop
