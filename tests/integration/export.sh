#!/bin/bash
# Work out of a VM: `vm export` and `vm commit`, of disks that are copies; what is in them is read
# by debugfs and cmp, and by a guest that starts from the new image.  Snapshots are in the test
# guest (10-dm.sh).
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh" debugfs sqlite3

WAIT=300
H=$T/home.$ALICE
PREFIX=(setpriv --reuid "$ALICE" --regid "$ALICE" --clear-groups env -i PATH="$PATH" HOME="$H"
	TMPDIR="$H" BANGER_SOCKET="$T/run/control.sock")
digest() { banger image show "$1" -o json | jq -r .digest; }
origin() { banger image show "$1" -o json | jq -r .origin; }
disk_of() { echo "$T/state/slots/$(field $ALICE "$1" slot)/disk"; }
in_disk() { debugfs -R "cat $2" "$1" 2>/dev/null; } # in_disk DISK FILE: what it has, by debugfs
images() { sqlite3 "$T/state/banger.db" "SELECT count(*) FROM images WHERE owner = $ALICE"; }
no_rests() { # nothing of an export, a commit or an import that has ended
	[ -z "$(find "$H" -maxdepth 3 \( -name 'banger-*' -o -name '*.ext4.*' \))" ] &&
		[ -z "$(find "$T/state/images" -name 'import-*' -o -name 'pending-*')" ]
}

set_prepare
conf_make slots=4 per_owner=4
guest_image
did "the set comes up" set_start
did "kernel and image" set_images
check "a VM" banger create web --image tiny --memory 192M
is "$(field $ALICE web storage)" "@(copy|reflink)" "whose disk is a file"

# ---- export ----
check "export" banger vm export web "$H/new.ext4"
check "of a new VM: the bytes of its image" cmp "$H/new.ext4" "$T/guest.ext4"
is "$(stat -c '%a %U' "$H/new.ext4")" "600 alice" "the file is its user's alone"
echo changed >"$T/word"
check "the disk is changed" debugfs -w -R "write $T/word word" "$(disk_of web)"
is "$(in_disk "$(disk_of web)" word)" changed "by debugfs"
check "export over a file that is there" banger export web "$H/new.ext4"
check "gives the disk as it is now" cmp "$H/new.ext4" "$(disk_of web)"
is "$(in_disk "$H/new.ext4" word)" changed "with the change"
check "holes stay holes" eval '[ $(stat -c %b "$H/new.ext4") -lt 16384 ]'
is "$(banger export web - | sha256sum)" "$(sha256sum <"$H/new.ext4")" "export to a pipe"
is "$(status_of banger export web /dev/full)/$(cat "$T/err")" "2/*not a regular file*" \
	"not to a device"
is "$(status_of as $BOB vm export web "$T/home.$BOB/x")/$(cat "$T/err")" "3/*no such VM*" \
	"another user does not see the VM"
is "$(find "$T/home.$BOB" -name 'x*')" "" "and gets no file"
check "root may" as 0 vm export "$(field $ALICE web id)" "$T/home.0/root.ext4"
check "and has the same" cmp "$T/home.0/root.ext4" "$H/new.ext4"

# ---- a running VM ----
check "the VM starts" banger start web
check "its guest is up" wait_for $WAIT console_has $ALICE web GUEST-UP
is "$(status_of banger export web "$H/running.ext4")/$(cat "$T/err")" \
	"5/*its disk may change: it is running*banger vm stop web*" "a running VM is refused"
is "$(status_of banger commit web running)/$(images)" "5/0" "commit too"
check "it is killed" banger kill web
check "export after a kill" banger export web "$H/killed.ext4"
check "gives its disk" cmp "$H/killed.ext4" "$(disk_of web)"
is "$(dumpe2fs -h "$H/killed.ext4" 2>/dev/null | grep -c needs_recovery)" 1 \
	"whose journal is not replayed"

# ---- commit ----
is "$(banger commit web made)" made "commit after a kill"
id=$(field $ALICE web id)
is "$(origin made)" "vm:web ${id:0:12} of tiny $(digest tiny | head -c 12)" \
	"the image says which VM it is of"
is "$(banger image show made -o json | jq -r '"\(.owner) \(.kernel)"')" "$ALICE debian" \
	"it is its user's, and has the VM's kernel"
check "its file is the disk" cmp "$T/state/images/$(digest made).ext4" "$(disk_of web)"
is "$(status_of banger commit web made)/$(cat "$T/err")" "5/*image of that name already*" \
	"a name that is taken"
is "$(status_of banger commit web Made)/$(images)" "2/1" "what is no name"
is "$(status_of as $BOB vm commit web theirs)/$(cat "$T/err")" "3/*no such VM*" \
	"another user does not see the VM"
check "nothing is left of it" no_rests
check "a VM of the image" banger create two --image made --memory 192M
check "starts" banger start two
check "and its guest goes on where the first one ended" \
	wait_for $WAIT console_has $ALICE two "GUEST-UP boot 2 two"
check "they are deleted" eval 'banger rm two && banger image rm made'

# ---- while an export reads ----
# reader_start: an export that stands still in the middle, for its pipe is full
reader_start() {
	rm -f "$T/pipe" && mkfifo "$T/pipe"
	exec 7<>"$T/pipe"
	"${PREFIX[@]}" "$B/banger" export web - >"$T/pipe" 2>"$T/reader.err" &
	reader=$!
	# the pipe has bytes: the VM has its reader
	timeout $WAIT head -c 1 <&7 >/dev/null
}
reader_end() { # reader_end SIGNAL
	kill -"$1" $reader 2>/dev/null
	{ wait $reader; } 2>/dev/null
	exec 7<&-
}
did "an export" reader_start
is "$(status_of banger start web)/$(cat "$T/err")" "5/*its disk is being read*" \
	"meanwhile the VM does not start"
is "$(status_of banger rm web)/$(cat "$T/err")" "5/*its disk is being read*" "nor is it deleted"
is "$(status_of banger export web "$H/second.ext4")" 5 "nor read by another command"
check "other VMs are as ever" eval 'banger create other --image tiny && banger rm other'
reader_end KILL
check "SIGKILL of the export: the VM starts" wait_for $WAIT banger start web
check "and stops" banger kill web
did "an export" reader_start
reader_end TERM
check "SIGTERM too" wait_for $WAIT banger start web
check "and stops" banger kill web
did "an export" reader_start
did "the service is killed" eval 'kill -KILL "$(child controller)"; set_gone; set_start'
check "a new service knows no reader: the VM starts" banger start web
check "and stops" banger kill web
reader_end KILL

# ---- kill -9 in the middle ----
# More than a moment to read: 64 MiB without holes.
check "a large disk" eval 'dd if=/dev/urandom of="$(disk_of web)" bs=1M seek=16 count=64 \
	conv=notrunc status=none'
has_temp() { # has_temp PID: it has an unnamed file that is not empty
	local f
	for f in "/proc/$1"/fd/*; do
		[[ $(readlink "$f") == "$H/"*deleted* ]] && [ "$(stat -Lc %b "$f")" -gt 0 ] &&
			return
	done
	return 1
}
# cut_one VERB WHERE: kill it once it writes; true if it had not ended before
cut_one() {
	"${PREFIX[@]}" "$B/banger" "$1" web "$2" >/dev/null 2>&1 &
	local pid=$!
	wait_for $WAIT eval "has_temp $pid || ! kill -0 $pid"
	kill -KILL $pid 2>/dev/null
	{ wait $pid; } 2>/dev/null
	[ $? = 137 ]
}
interrupt() { # interrupt VERB WHERE: until one is caught in the middle
	local i
	for ((i = 0; i < 20; i++)); do cut_one "$1" "$2$i" && return; done
	return 1
}
did "export is killed in the middle" interrupt export "$H/cut.ext4."
is "$(find "$H" -name "cut.ext4.*" ! -size 81920k)" "" "and leaves no part of a file"
rm -f "$H"/cut.ext4.* # those that were complete
check "the VM is free" wait_for $WAIT banger start web
check "and stops" banger kill web
did "commit is killed in the middle" interrupt commit cut
is "$(find "$T/state/images" -name '*.ext4' ! -size 81920k ! -size 16384k)" "" \
	"and makes no part of an image"
check "nothing is left of it" wait_for $WAIT no_rests

# ---- no room ----
mkdir "$T/small" && mount -t tmpfs -o size=8m,mode=777 small "$T/small"
is "$(status_of banger export web "$T/small/out.ext4")/$(cat "$T/err")" \
	"1/*No space left on device*" "export to a full disk says so"
PREFIX_SMALL=("${PREFIX[@]/#TMPDIR=*/TMPDIR=$T/small}")
is "$("${PREFIX_SMALL[@]}" "$B/banger" commit web full 2>&1)" \
	"*No space left on device*TMPDIR names a folder with more room*" "commit too"
is "$(find "$T/small" -type f)" "" "and leaves nothing"
did "the service stops" set_stop
