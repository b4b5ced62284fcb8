#!/bin/bash
# Root disks on device-mapper: real guests write to real snapshots, and dmsetup, losetup and e2fsck
# say what became of it.
. "$(dirname "$0")/../lib.sh"
installed
tiny_image
B=/var/lib/banger

table() { dmsetup table "bgr-$(slot_of "$1")" 2>/dev/null; }
# loop_of VM 4|5: base, CoW store
loop_of() { table "$1" | awk -v n="$2" '{ sub("7:", "/dev/loop", $n); print $n }'; }
nothing_of_dm() { [ "$(dmsetup ls | grep -c ^bgr-)/$(loops)" = 0/0 ]; }
mkdir -p /tmp/disk
# by_hand VM COMMAND...: with its disk, put together by hand, as /dev/mapper/by-hand
by_hand() {
	local dev cow rc
	dev=$(losetup -f --show -r "$image") &&
		cow=$(losetup -f --show "$B/slots/$(slot_of "$1")/cow") || return 1
	shift
	dmsetup create by-hand --table "0 32768 snapshot $dev $cow P 8" || return 1
	"$@"
	rc=$?
	dmsetup remove --retry by-hand
	losetup -d "$dev" "$cow"
	return $rc
}
# exports_right VM: what `vm export` writes is what the kernel makes of image and CoW store
exports_right() {
	rm -f /tmp/export.ext4
	banger vm export "$1" /tmp/export.ext4 &&
		by_hand "$1" cmp /tmp/export.ext4 /dev/mapper/by-hand
}

# ---- a life, and another ----
check "a VM is created" banger vm create first --image tiny --memory 128M
is "$(banger vm show first -o json | jq -r .storage)" dm-snapshot "its disk is to be a snapshot"
cow=$B/slots/$(slot_of first)/cow
is "$(stat -c %s "$cow")" "$((16777216 + 16777216 / 256 + 2 * 4096))" \
	"its CoW store can hold every chunk of the image, and what describes them"
is "$(($(stat -c %b "$cow") * 512 < 1048576))" 1 "and is sparse"
check "it starts" banger vm start first
check "its guest is up" says 120 first "GUEST-UP boot 1 first"
is "$(table first)" "0 32768 snapshot 7:* 7:* P 8" \
	"dmsetup: a persistent snapshot, in chunks of 4 KiB"
base=$(loop_of first 4)
is "$(losetup -J -l "$base" | jq -r '.loopdevices[0] | "\(.ro) \(."back-file")"')" \
	"true $B/images/*" "losetup: its origin is the image, read only"
is "$(losetup -J -l "$(loop_of first 5)" |
	jq -r '.loopdevices[0] | "\(.ro) \(.autoclear) \(."back-file")"')" "false true $cow" \
	"losetup: its CoW store, cleared with its last user"
is "$(dmsetup info -c --noheadings -o minor,uuid --separator ' ' "bgr-$(slot_of first)")" \
	"$((100000 + $(slot_of first))) BANGER-$(slot_of first)-1" \
	"dmsetup: the slot's own minor, slot and generation in its uuid"
image=$(losetup -J -l "$base" | jq -r '.loopdevices[0]."back-file"')
before=$(sha256sum <"$image")
out=$(banger vm stop first --timeout 300s 2>&1)
is "$?" 0 "it stops"
is "$(grep -c "did not end by itself" <<<"$out")" 0 "its guest ends itself, at its power button"
check "nothing of it is left in device-mapper and loops" wait_for 60 nothing_of_dm
check "its export is what the kernel makes of image and CoW store" exports_right first
check "and differs from the image" eval '! cmp -s /tmp/export.ext4 "$image"'
check "which e2fsck finds whole, once it has replayed the journal" \
	eval 'e2fsck -fy /tmp/export.ext4; [ $? -le 1 ]'
check "a commit makes an image of it" banger vm commit first golden
check "a VM of that image, whose disk is a snapshot again" \
	eval 'banger vm create heir --image golden --memory 128M && banger vm start heir'
check "goes on where the first one ended" says 120 heir "GUEST-UP boot 2 heir"
check "both go" eval 'banger vm delete heir && banger image delete golden'
check "it starts again" banger vm start first
check "its data is still there" says 120 first "GUEST-UP boot 2 first"
base=$(loop_of first 4) # another one, if a loop of before was not free yet
is "$(sha256sum <"$image")" "$before" "the image is as it was"

# ---- the premade node ----
node=/run/banger/slots/vda$(slot_of first) uid=$((1879048192 + $(slot_of first)))
is "$(stat -c '%F %a %u %g %Hr:%Lr' "$node")" \
	"block special file 660 0 $uid *:$((100000 + $(slot_of first)))" \
	"its node is root's, for the slot's group"
opens() {
	setpriv --reuid "$1" --regid "$1" --clear-groups --inh-caps=-all \
		--bounding-set=-all dd if="$node" of=/dev/null bs=4k count=1
}
check "the slot's uid opens it" opens $uid
refuses "the next slot's uid does not" opens $((uid + 1))
refuses "nor does an ordinary user" opens 1000

# ---- many of one image ----
for vm in diary third; do
	check "$vm is created and started" tiny_started $vm
done
check "their guests are up, and one writes all the while" \
	eval 'says 120 diary "SYNCED 5" && says 120 third "GUEST-UP boot 1"'
is "$(loop_of diary 4) $(loop_of third 4)" "$base $base" "one base loop serves all three"
is "$(loops)" 4 "losetup: one base and three CoW stores"

# ---- kill -9: the VMM ----
# kept BOOT: what the guest said to be on its disk was there in that boot; WROTE is the last of that
kept() {
	local found
	says 240 diary "FOUND [0-9]* in boot $1" || return
	found=$(banger vm logs diary | sed -n "s/.*FOUND \([0-9]*\) in boot $1.*/\1/p")
	echo "synced $wrote, found $found"
	[ "${wrote:-0}" -ge 5 ] && [ "$found" -ge "$wrote" ]
}
wrote() { banger vm logs diary | sed -n 's/.*SYNCED \([0-9]*\).*/\1/p' | tail -n 1; }
kill -9 "$(vmm_of diary)"
check "a killed VMM is noticed" wait_for 60 eval '[ "$(state_of diary)" != running ]'
wrote=$(wrote)
check "its snapshot and CoW loop go, the others stay" \
	wait_for 60 eval '[ "$(dmsetup ls | grep -c ^bgr-) $(loops)" = "2 3" ]'
# disk_is_whole VM: its disk, put together by hand, passes e2fsck after its journal was replayed
replay_and_check() {
	mount /dev/mapper/by-hand /tmp/disk && umount /tmp/disk && e2fsck -fn /dev/mapper/by-hand
}
disk_is_whole() { by_hand "$1" replay_and_check; }
check "its disk is consistent once the journal was replayed" disk_is_whole diary
check "it starts again" banger vm start diary
check "with its data, up to the last that it had synced" kept 2
check "and writes again" says 60 diary "SYNCED $((wrote + 5))"

# ---- kill -9: every process of ours, the VMMs too ----
programs='^(/usr/sbin/)?banger-(privhelper|role|controller)|^/usr/libexec/banger/|^banger-role'
pids=$(pgrep -f "$programs"; for vm in first diary third; do vmm_of $vm; done)
wrote=$(wrote)
# shellcheck disable=SC2086
kill -9 $pids
check "after kill -9 of every process of ours the service comes back" wait_for 60 banger vm list
check "and says of no VM that it runs" \
	wait_for 60 eval '! banger vm list -o json | jq -r ".[].state" | grep -q running'
check "nothing is left in device-mapper and loops" wait_for 60 nothing_of_dm
check "the export of a disk that was cut off is exact too" exports_right diary
for vm in first diary third; do check "the disk of $vm is consistent" disk_is_whole $vm; done
check "the VMs start again" one_by_one start first diary third
check "with their data" \
	eval 'says 240 first "GUEST-UP boot 3" && kept 3 && says 240 third "GUEST-UP boot 2"'
check "two go" banger vm delete diary third

# ---- a busy disk ----
exec 4<"/run/banger/slots/vda$(slot_of first)" # nobody made a /dev/mapper/bgr-*
sleep 300 &
holder=$!
exec 4<&-
out=$(banger vm kill first 2>&1)
rc=$?
is "$rc" "[1-9]*" "a disk that somebody holds open: the kill says that it is not all done"
is "$out" "*in use*sleep (pid $holder)*" "and names who holds it"
is "$(state_of first)" degraded "the VM is degraded, not stopped"
is "$(dmsetup ls | grep -c "^bgr-$(slot_of first)")" 1 "its snapshot is there, and on record"
is "$(banger vm show first -o json | jq -r .reason)" "*in use*" "with the reason"
kill $holder
wait $holder 2>/dev/null
check "once it is let go, the next kill succeeds" banger vm kill first
check "and nothing is left" wait_for 60 nothing_of_dm
check "it starts" banger vm start first
check "its guest is up" says 120 first "GUEST-UP boot 4"
vmm=$(vmm_of first)
exec 4<"/run/banger/slots/vda$(slot_of first)"
(while kill -0 "$vmm"; do sleep 0.05; done; sleep 1.2) 2>/dev/null &
exec 4<&-
began=${EPOCHREALTIME/./}
check "a disk that is held for a moment is waited for" banger vm kill first
is "$(((${EPOCHREALTIME/./} - began) / 1000))" "[1-9]???*" "for as long as it was held, in ms"
wait
check "nothing is left" wait_for 60 nothing_of_dm
check "first goes" banger vm delete first

# ---- the CoW store can not overflow ----
check "a VM that overwrites its whole disk" tiny_started fill
check "it filled its file system and said so" says 180 fill "FILLED"
check "and then wrote over all of the disk" says 120 fill "OVERWRITTEN"
status=$(dmsetup status "bgr-$(slot_of fill)")
is "$status" "0 32768 snapshot [0-9]*/[0-9]* *" "dmsetup: the snapshot is valid"
is "$(awk '{ split($4, used, "/"); print (used[1] > used[2] * 0.95) }' <<<"$status")" 1 \
	"and its CoW store is full: ${status#*snapshot }"
check "it is killed" banger vm kill fill
check "a full CoW store is exported as exactly" exports_right fill
check "it goes" banger vm delete fill

# ---- the file system under the CoW stores is full ----
for vm in calm full late; do tiny_vm $vm >/dev/null; done
check "a VM on a file system that will be full is started" banger vm start calm
check "its guest has written its last" says 120 calm "CALM"
check "another is started, which writes from its 15th second on" banger vm start full
check "its guest is up" says 120 full "GUEST-UP boot 1"
room=$(($(stat -f -c '%f * %S' $B))) # with the part that only root may fill
fallocate -l "$((room - 6 * 1048576))" $B/ballast
dd if=/dev/zero of=$B/ballast2 bs=64k 2>/dev/null
is "$(df --output=avail -B1 $B | tail -n 1 | xargs)" 0 "there is no room left"
out=$(banger vm start late 2>&1)
is "$? $out" "9 *banger: late: *room*" "no VM is started any more, and the command line says why"
out=$(banger vm create later --image tiny 2>&1)
is "$? $out" "9 *banger: later: *room*" "nor created"
check "a VM that writes meets the error, and says so" says 120 full "WRITE-FAILED"
is "$(dmsetup status "bgr-$(slot_of full)")" "*Invalid*" \
	"dmsetup: the kernel has given up its snapshot"
check "within seconds it is degraded, not running" \
	wait_for 60 eval '[ "$(state_of full)" = degraded ]'
is "$(banger vm show full -o json | jq -r .reason)" "*given up by the kernel*" "and says why"
is "$(state_of calm)" running "the other VM runs"
check "doctor names it" eval 'banger doctor | grep -q "^FAIL .* space .* 0 MiB free"'
check "the calm one can be stopped on a full disk" banger vm kill calm
check "the one that met the error can be killed" banger vm kill full
check "the one that did not start can be deleted" banger vm delete late
check "nothing is left" wait_for 60 nothing_of_dm
rm -f $B/ballast $B/ballast2 /tmp/export.ext4
check "with room again, both start" one_by_one start calm full
check "calm with its data" says 120 calm "GUEST-UP boot 2"
check "and the full one with what it had before" says 120 full "GUEST-UP boot 2"
check "both go" banger vm delete calm full
check "nothing is left in the end" wait_for 60 nothing_of_dm
done_testing
