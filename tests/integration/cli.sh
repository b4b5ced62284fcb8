#!/bin/bash
# Tests the command line with a real set and real guests, in situations that broke it before:
# missing images, early ends of VMs, signals, parallel runs, odd homes.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh" ssh-keygen

vms() { as $ALICE vm list -o json | jq length; }

set_prepare
conf_make slots=6 per_owner=6
guest_image
# A guest can not mount it: its block groups are zeros.
mke2fs -q -t ext4 -b 1024 "$T/broken.ext4" 16M && chmod 644 "$T/broken.ext4" &&
	dd if=/dev/zero of="$T/broken.ext4" bs=1024 seek=2 count=1 conv=notrunc 2>/dev/null
did "the set comes up" set_start
check "root imports a kernel" \
	eval 'cp "$ROOT/build/cache/kernel.deb" "$T/kernel.deb" && chmod 644 "$T/kernel.deb" &&
	as 0 kernel import debian --deb "$T/kernel.deb"'

# ---- the default of --image ----
mkdir "$T/tools" && printf '#!/bin/sh\necho "$*" >&2\nexit 1\n' >"$T/tools/skopeo" &&
	chmod 755 "$T/tools/skopeo"
printf '[default]\nimage = none\n[images]\nnone = registry.example/none:1\n' >"$T/images.conf"
is "$(PATH=$T/tools:$PATH status_of as $ALICE run -d)" 1 \
	"run without any image makes the default, and says when it can not"
is "$(cat "$T/err")" "*making none of registry.example/none:1*docker://registry.example/none:1*" \
	"with what it tried"
rm "$T/images.conf"
check "a compressed image comes by a pipe" \
	as 0 image import broken <(cat "$T/broken.ext4") --kernel debian
check "run with exactly one image: it is taken" as $ALICE run -d --name only --memory 128M
is "$(field $ALICE only image)" broken "run with exactly one image: the VM is of it"
as $ALICE rm only >/dev/null
check "root imports a second image" as 0 image import tiny "$T/guest.ext4" --kernel debian
is "$(status_of as $ALICE run -d)" 2 "run with several images: usage"
is "$(grep -c 'broken, tiny\|tiny, broken' "$T/err")" 1 "run with several images: they are listed"

# ---- the VM ends while its ssh server is waited for ----
# On a busy host the emulator may lose a boot before init's first word (tests/guest/README.md): such
# a one is tried again.
for _ in 1 2 3; do
	was=$SECONDS
	rc=$(status_of as $ALICE run --rm --name ends --timeout 300s --image broken --memory 128M \
		-- true)
	{ [ "$rc" = 7 ] && [ -z "$(as $ALICE logs ends)" ]; } || break
	echo "# the emulator lost a boot; again"
	as $ALICE rm ends >/dev/null
done
is "$rc" 125 "a guest without a root disk: a failure of ours"
is "$((SECONDS - was < 300))" 1 \
	"a guest without a root disk: it does not wait for the time-out ($((SECONDS - was)) s)"
# Its agent may have answered before: then it is "the VM ended" alone.
is "$(grep -c 'ends: the VM ended' "$T/err")/$(grep -c 'not a usable ext4' "$T/err")" \
	1/1 "a guest without a root disk: it is told that the VM ended, and what its console said"
is "$(vms)" 0 "a guest without a root disk: --rm is honoured"

# ---- signals ----
# run_rm OPTIONS-OF-ENV...: `run --rm` in the background, waiting for a guest that has no ssh
# server; its pid is in $RUN
run_rm() {
	setpriv --reuid $ALICE --regid $ALICE --clear-groups env \
		-i "$@" PATH="$PATH" HOME="$T/home.$ALICE" \
		BANGER_SOCKET="$T/run/control.sock" "$B/banger" run --rm --ssh --timeout 100s \
		--image tiny --memory 128M -- true >/dev/null 2>"$T/run.err" &
	RUN=$!
	wait_for 60 grep -q "waiting for the guest" "$T/run.err"
}
run_rm --ignore-signal=HUP --default-signal=INT
kill -HUP $RUN
sleep 1
check "SIGHUP that the caller ignores: it goes on" kill -0 $RUN
kill -INT $RUN
wait $RUN
is "$?/$(vms)" 130/0 "SIGINT: the VM is deleted"
run_rm --default-signal=QUIT
kill -QUIT $RUN
wait $RUN
is "$?/$(vms)" 131/0 "SIGQUIT: the VM is deleted"

# ---- several at once ----
# With less memory the kernel resets at once, and the VMM may end before it has answered that it
# runs.
for i in 1 2 3; do as $ALICE create "many$i" --image tiny --memory 128M >/dev/null; done
is "$(as $ALICE start many1 many2 many3 --progress plain | tr '\n' ' ')" \
	"many1: started many2: started many3: started " "three VMs are started by one command"
is "$(tail -n 1 "$T/err")" "3 of 3 done" "three VMs: a summary"
is "$(as $ALICE rm many1 none many2 many3 2>/dev/null | wc -l)/$(vms)" 3/0 \
	"one of four fails: the others are deleted"

# ---- odd homes ----
mkdir "$T/my %h home" && chown $ALICE:$ALICE "$T/my %h home"
create_with() { # create_with UID VM [VARIABLE=VALUE...]: as that user, with no other environment
	setpriv --reuid "$1" --regid "$1" --clear-groups env -i PATH="$PATH" "${@:3}" \
		BANGER_SOCKET="$T/run/control.sock" "$B/banger" create "$2" --image tiny
}
is "$(create_with $ALICE odd HOME="$T/my %h home" &&
	find "$T/my %h home" -name id_ed25519 | wc -l)" $'odd\n1' \
	"a home with a blank and a percent sign"
create_with 0 sudo HOME="$T/my %h home" XDG_STATE_HOME="$T/roots" >/dev/null
is "$(find "$T/my %h home" -uid 0 | wc -l)" 0 \
	"sudo with the user's HOME: nothing there becomes root's"
is "$(create_with 64299 none HOME=/tmp 2>&1)" \
	"*uid 64299 has no entry in the password database*" \
	"a uid without a passwd entry is refused in words"

# ---- doctor: a rule of policy routing takes the guests' subnet ----
mount -t sysfs sys /sys # of this network namespace
routing() {
	as $ALICE doctor -o json | jq -r '.[] | select(.name == "routing") | .verdict + " " + .text'
}
ip link add vpn0 type veth peer name vpn1 && ip addr add 192.0.2.1/24 dev vpn0 &&
	ip link set vpn1 up && ip link set vpn0 up
is "$(routing)" "PASS *" "doctor: packets for guests go to their bridge"
ip route add default dev vpn0 table 100
ip rule add priority 100 from all lookup 100
is "$(routing)" "WARN *vpn0*the rule \"100: from all lookup 100\"*" \
	"doctor: a VPN's rule before main takes them"
ip rule del priority 100

# ---- audit ----
is "$(as 0 audit show | head -n 1)" "WHEN (UTC)*ROLE*USER*VM*REQUEST*SLOT*RESULT*TIME*OPERATION" \
	"audit show is a table"
check "audit show: intents have their results" \
	eval 'as 0 audit show | grep -qE " spawn +[^ ]+ +[0-9a-f]{12} +vmm_spawn +[0-9] +ok "'
as $ALICE rm odd >/dev/null
as 0 rm sudo >/dev/null
