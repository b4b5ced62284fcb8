#!/bin/bash
# Volumes, with real guests: what one VM writes the next one reads, and debugfs(8) on the host; one
# writer at a time; another user's VMs and eyes; ends of VMs and of volumes.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh" debugfs sqlite3

volume_file() { # volume_file NAME: its file in the state folder
	echo "$T/state/volumes/$(sqlite3 -readonly "$T/state/banger.db" \
		"SELECT digest FROM volumes WHERE name = '$1'").ext4"
}
on_volume() { debugfs -R "$2" "$(volume_file "$1")" 2>/dev/null; } # on_volume NAME REQUEST
said() { cat "$T/err"; }

# The image has a folder for a volume, with an owner and a file, and a link to another folder.
volume_guest() {
	local applet
	guest_image
	# Not by init: a command may come before it.
	for applet in $("$T/guest/bin/busybox" --list); do
		[ $applet = busybox ] || ln -sf /bin/busybox "$T/guest/bin/$applet"
	done
	mkdir -p "$T/guest/srv/db" "$T/guest/data/real"
	echo from-image >"$T/guest/srv/db/seed"
	ln -s /data/real "$T/guest/link"
	# Process 1 is the only program: the agent gives others time to end, which come anew.
	cat >"$T/guest/sbin/init" <<-'INIT'
		#!/bin/busybox sh
		export PATH=/bin
		echo "GUEST-UP $(hostname)"
		exec sleep 1000000
	INIT
	printf 'root:x:0:0:root:/root:/bin/sh\n' >"$T/guest/etc/passwd"
	mke2fs -q -F -t ext4 -d "$T/guest" -E root_owner=0:0 "$T/guest.ext4" 24M
	debugfs -w -R "sif srv/db uid 70" "$T/guest.ext4" 2>/dev/null
	debugfs -w -R "sif srv/db mode 040700" "$T/guest.ext4" 2>/dev/null
}

set_prepare
conf_make slots=4 per_owner=4
volume_guest
did "the set comes up" set_start
did "kernel and image" set_images
# run OPTION...: the VM is deleted once its guest has ended by itself.  --rm gives the guest 10 s
# for that; one that is killed then leaves a journal, which the next read-only mount refuses.
run() {
	local rc
	banger run --name once --timeout 300s --image tiny --memory 192M "$@"
	rc=$?
	banger stop --timeout 300s once >/dev/null
	banger rm once >/dev/null
	return $rc
}

# ---- a volume outlives its VM ----
is "$(banger run --rm --timeout 300s --image tiny --memory 192M -v data:/srv/data -- \
	'echo kept >/srv/data/x; sync; grep " /srv/data " /proc/mounts')" \
	"/dev/vdb /srv/data ext4 rw,*" "run -v makes a volume and mounts it"
is "$(banger list -q)" "" "run --rm leaves no VM"
is "$(banger volume list -q)" data "but its volume"
is "$(run -v data:/other -- cat /other/x)" kept "the next VM reads it, at another place"
is "$(on_volume data "cat /x")" kept "debugfs reads what the guest has written"
check "of 4 GiB it takes less than 64 MiB of the host" \
	eval '[ "$(du -k "$(volume_file data)" | cut -f1)" -lt 65536 ]'

# ---- what the image has at its place ----
is "$(run -v db:/srv/db -- 'stat -c %u:%a /srv/db; ls -A /srv/db; echo more >/srv/db/seed')" \
	$'70:700\nseed' "an empty volume gets the image's files, with the owner of their folder"
is "$(run -v db:/srv/db -- cat /srv/db/seed)" more "and gets them once"
is "$(run -v db:/link/sub -- cat /data/real/sub/seed)" more \
	"a link in the image leads where it leads in the image"
is "$(run -v data:/m/inner -v db:/m -- 'ls /m; ls /m/inner')" $'inner\nseed\nx' \
	"a volume in another one's folder"

check "a VM whose volumes meet by a link of the image" \
	banger create meet --image tiny --memory 192M -v data:/data/real/in -v db:/link
check "it starts" banger start meet
check "its guest ends, for one volume would hide the other one" \
	wait_for 300 state_is $ALICE meet stopped
is "$(banger logs meet)" "*the volume at /link: another file system is mounted at * or below*" \
	"and its console says so"
check "it is deleted" banger rm meet

# ---- read-only ----
is "$(run -v data:/d:ro -- 'cat /d/x; (echo no >/d/x); echo $?; cat /d/x')" $'kept\n1\nkept' \
	"a volume that is read-only"
forced='mount -o remount,rw /d || echo no; echo no | dd of=/dev/vdb || echo no'
is "$(run -v data:/d:ro -- "$forced" 2>/dev/null)" $'no\nno' \
	"root in the guest can not change that"

# ---- one writer ----
check "a VM with two volumes" \
	banger create web --image tiny --memory 192M -v data:/data -v db:/db:ro
is "$(field $ALICE web volumes)" "data:/data db:/db:ro" "show names them"
check "another VM with one of them" banger create two --image tiny --memory 192M -v data:/data:ro
check "a third one" banger create three --image tiny --memory 192M -v db:/db:ro
check "the first one starts" banger start web
is "$(status_of banger start two)" 5 "the second one does not, while the first one can write"
is "$(said)" "*data: the VM web runs with it, and can write it*" "and it is said which VM has it"
is "$(field $ALICE two state)" created "it is as before"
check "two VMs have one volume read-only" banger start three
check "the guest is up" banger exec -n --timeout 300s web -- true
check "the guest writes" in_guest sh -c 'echo late >/data/y; sync'
kill -9 "$(field $ALICE web runtime.pid)"
check "its monitor is killed" wait_for 60 state_is $ALICE web stopped
check "then the second one may start" banger start two
check "but its guest ends: the journal has to be replayed first" \
	wait_for 300 state_is $ALICE two stopped
is "$(banger logs two)" "*the volume at /data is no ext4, or has to be mounted writable once*" \
	"and its console says so"
is "$(run -v data:/d -- cat /d/y)" late "a guest that can write it replays the journal"
check "after that the second one starts" banger start two
is "$(banger exec -n --timeout 300s two -- cat /data/y)" late "and reads what was written"
is "$(status_of banger start web)" 5 "a writer does not start while a reader runs"
is "$(said)" "*data: the VM two runs with it*" "and it is said which VM has it"
banger stop --timeout 1s two three >/dev/null

# ---- ends ----
is "$(status_of banger volume delete data)" 5 "a volume of VMs that exist is not deleted"
is "$(said)" "*it is in use by 2 VMs: *" "and the VMs are named"
is "$(banger volume show data -o json | jq -r '.vms | split(" ") | sort | join(" ")')" "two web" \
	"volume show names them too"
file=$(volume_file data)
check "their VMs are deleted" banger delete two web three
check "the volume is there" test -s "$file"
check "then it is deleted" banger volume rm data
refuses "with its file" test -e "$file"
is "$(status_of banger volume rm data)" 3 "deleted again: there is none"

# ---- other users ----
is "$(as $BOB volume list -o json | jq -c .)" "\[\]" "another user sees no volume"
is "$(status_of as $BOB volume show db)/$(status_of as $BOB volume delete db)" 3/3 \
	"nor by its name"
is "$(as $BOB create his --image tiny --memory 192M -v db:/db && as $BOB volume list -q)" \
	$'his\ndb' "-v makes him one of his own"
is "$(as 0 volume list -o json | jq -r 'map(.owner) | sort | join(" ")')" "$ALICE $BOB" \
	"root sees both"
is "$(status_of as 0 create roots --image tiny -v $ALICE/db:/db)" 4 \
	"root's VM does not get a user's volume"
check "he deletes VM and volume" eval 'as $BOB rm his && as $BOB volume rm db'

# ---- what is refused ----
for value in data /data:/data ./data:/data data:data data:/ data:/a/../b data:/proc/x \
	"data:/a b" data:/a:rx; do
	is "$(status_of banger create no --image tiny -v "$value")" 2 "-v '$value'"
done
is "$(status_of banger create no --image tiny -v a:/x -v b:/x)" 2 "two volumes at one path"
is "$(status_of banger create no --image tiny -v a:/1 -v b:/2 -v c:/3 -v d:/4 -v e:/5)" 2 \
	"more than four volumes"
is "$(status_of banger volume create big --size 5G)" 6 "a volume above max_disk_mib"
is "$(status_of banger volume create db)" 5 "a name that is taken"

# ---- a kernel of an earlier banger ----
for initramfs in "$T"/state/kernels/*/initramfs; do
	printf 0 | dd of="$initramfs" bs=1 conv=notrunc 2>/dev/null
	printf 1 | dd of="$initramfs" bs=1 seek=13 conv=notrunc 2>/dev/null
done
printf 0 | dd of="$initramfs" bs=1 seek=13 conv=notrunc 2>/dev/null
is "$(status_of banger create old --image tiny -v db:/db)" 5 \
	"a VM whose kernel has an older init gets no volume"
is "$(said)" "*its kernel was imported by an earlier banger, and mounts no volumes*" \
	"and it is said"
is "$(banger list -q)" "" "nothing of it is left"
check "without a volume it is created" banger create old --image tiny
check "and deleted" banger rm old

# ---- files without a row ----
cp "$(volume_file db)" "$T/state/volumes/$(printf %064d 7).ext4"
is "$(as 0 doctor --db -o json | jq -r '.[] | select(.name == "volumes") | .verdict')" WARN \
	"doctor --db tells of a file without a row"
is "$(as 0 host gc)" "*volume 000000000000: files that no row names*" "host gc removes it"
refuses "it is gone" test -e "$T/state/volumes/$(printf %064d 7).ext4"
check "the other one stays" test -s "$(volume_file db)"
