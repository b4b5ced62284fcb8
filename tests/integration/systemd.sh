#!/bin/bash
# A guest with systemd: its journal, and its end by stop, reboot and poweroff, without a power
# button.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh"

set_prepare
debian_image
conf_make slots=2 per_owner=2
did "the set comes up" set_start
did "kernel and image" debian_import
check "a VM starts" eval 'banger create web --image debian --memory 512M && banger start web'
check "its agent answers" banger wait --for ready --timeout 300s web
check "its system is up" wait_for 300 in_guest systemctl is-active multi-user.target

# ---- the journal ----
check "a service writes" in_guest logger -t banger-test "hello from a service"
journal_has() { banger logs --journal web | grep -q "banger-test.*: $1"; }
check "logs --journal has its line" wait_for 60 journal_has "hello from a service"
as $ALICE logs --journal -f web >"$T/journal" 2>"$T/journal.err" &
FOLLOWS=$!
check "-f begins with what is there" wait_for 60 grep -q "hello from a service" "$T/journal"
check "more is written" in_guest logger -t banger-test "one more line"
check "-f shows it as it comes" wait_for 60 grep -q "one more line" "$T/journal"
is "$(status_of as $BOB logs --journal web)" 3 "another user's VM is not found"

# ---- its ends; the guest's power button does nothing ----
check "nothing in it minds the power button" \
	in_guest systemctl mask --runtime --now systemd-logind.service
boot=$(boot_id)
in_guest systemctl reboot >/dev/null 2>&1
check "systemctl reboot: it runs again, with another boot id" wait_for 300 other_boot "$boot"
wait $FOLLOWS
is $? 0 "logs --journal -f ended with the boot that it followed"
check "its system is up again" wait_for 300 in_guest systemctl is-active multi-user.target
check "nothing in it minds the power button" \
	in_guest systemctl mask --runtime --now systemd-logind.service
check "a file that is not on the disk yet" in_guest sh -c 'echo kept >/root/kept'
is "$(banger stop --timeout 120s web -o json | jq '.[0].forced')" false \
	"stop: its init powers it off"
check "in order, as its console says" console_has $ALICE web "reboot: Power down"
is "$(status_of banger logs --journal web)/$(grep -c 'it is stopped' "$T/err")" 5/1 \
	"a stopped VM has no journal to ask for"
check "it starts again" eval 'banger start web && banger wait --for ready --timeout 300s web'
is "$(in_guest cat /root/kept)" kept "what it wrote is there"
check "its system is up once more" wait_for 300 in_guest systemctl is-active multi-user.target
in_guest systemctl poweroff >/dev/null 2>&1
check "systemctl poweroff: it stays stopped" wait_for 300 state_is $ALICE web stopped
is "$(field $ALICE web reason)" "its guest powered off" "and its reason is told"
banger rm web >/dev/null

# ---- a guest without a journal ----
guest_image
check "an image without systemd" as 0 image import tiny "$T/guest.ext4" --kernel debian
check "a VM of it" eval 'banger create web --image tiny --memory 192M && banger start web'
check "its agent answers" banger wait --for ready --timeout 300s web
is "$(status_of banger logs --journal web)/$(grep -c 'its guest has no journal' "$T/err")" 5/1 \
	"logs --journal says that it has none"
banger kill web >/dev/null
banger rm web >/dev/null
