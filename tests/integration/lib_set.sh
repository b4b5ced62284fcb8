# lib_set.sh - the whole set for a test: its start, stop and death, commands of users, and guests
# that print what they see.  Source it after in_ns; then:
#
#	set_prepare            # accounts and the kernel package; skips if it is not available
#	conf_make slots=3
#	guest_image            # $T/guest.ext4
#	did "the set comes up" set_start
#	set_images             # kernel `debian` and image `tiny`, of root, so usable by all users
#	check "a VM" as $ALICE vm create web --image tiny
# shellcheck shell=bash
ALICE=64201 BOB=64202
SET=

# ---- the set ----
set_start() { # set_start: the supervisor and its children; false when they do not come up
	"$B/banger-privhelper" --config "$CONF" 2>>"$T/set.err" &
	SET=$!
	wait_for 60 as $ALICE vm list -o json
}

set_stop() {
	[ -n "$SET" ] || return 0
	kill -TERM "$SET" 2>/dev/null
	wait "$SET"
	local rc=$?
	SET=
	return $rc
}

# processes of the set's accounts, in this test's IPC namespace: the controller has a network of its
# own; ended ones that nobody waited for do not count
ours_alive() {
	local pid
	ps -eo ruid=,stat=,pid= |
		awk -v lo=$NET_ID -v hi=$SUP_ID '$1 >= lo && $1 <= hi && $2 !~ /^Z/ { print $3 }' |
		while read -r pid; do [ ! "/proc/$pid/ns/ipc" -ef /proc/self/ns/ipc ] ||
		echo "$pid"; done
}

did() { # did NAME COMMAND...: as check, but in this shell, so that what it sets stays
	local name=$1
	shift
	if "$@" >"$T/did" 2>&1; then ok "$name"; else not_ok "$name" "$* : $(cat "$T/did")"; fi
}

set_gone() { # all of it has ended, whatever ended it; false when it goes on
	wait_for 60 eval '! kill -0 "$SET" || [[ $(ps -o stat= -p "$SET") == Z* ]]' || return 1
	wait "$SET"
	SET=
	wait_for 60 eval '[ -z "$(ours_alive)" ]'
}

child() { # child net|blk|spawn|controller: its pid
	local name=banger-role-$1
	[ "$1" = controller ] && name=banger-controller
	pgrep -P "$SET" -f "$name"
}

fds_of() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; } # fds_of PID: their number
status_value() { awk -v f="$2:" '$1 == f { print $2 }' "/proc/$1/status"; } # status_value PID FIELD
running() { # running PID...: the number of those that run
	local p n=0
	for p in "$@"; do if kill -0 "$p" 2>/dev/null; then n=$((n + 1)); fi; done
	echo $n
}

as() { # as UID COMMAND...: banger as that user; standard error is in $T/err
	local uid=$1
	shift
	mkdir -p "$T/home.$uid" && chown "$uid:$uid" "$T/home.$uid"
	setpriv --reuid "$uid" --regid "$uid" --clear-groups env \
		-i PATH="$PATH" HOME="$T/home.$uid" TMPDIR="$T/home.$uid" \
		BANGER_SOCKET="$T/run/control.sock" BANGER_IMAGES="$T/images.conf" "$B/banger" \
		"$@" 2>"$T/err"
}

status_of() { # status_of COMMAND...: its exit status, quietly
	"$@" >/dev/null 2>&1
	echo $?
}

field() { # field UID VM MEMBER
	as "$1" vm show "$2" -o json | jq -r ".$3"
}

state_is() { [ "$(field "$1" "$2" state)" = "$3" ]; }
console_has() { as "$1" vm logs "$2" | grep -q "$3"; }

nft_elems() { # nft_elems FAMILY SET: the number of its elements, by nft
	nft -j list set "$1" banger "$2" | jq '[.nftables[].set? // empty | .elem[]?] | length'
}

taps() { ip -j link | jq '[.[] | select(.ifname | test("^bgr[0-9]"))] | length'; }
vmm_pid() { slot_processes | head -n 1; }

nothing_of_vms() { # taps, elements, processes, cgroups and loops of VMs are all gone
	[ "$(taps)/$(nft_elems inet nat4)/$(nft_elems bridge guest)" = 0/0/0 ] &&
		[ -z "$(slot_processes)$(our_cgroups)$(our_loops)" ]
}

# ---- the guest: its init says what it sees, for ever ----
guest_image() {
	local d=$T/guest
	mkdir -p "$d"/{bin,sbin,dev,proc,sys,etc,root,tmp}
	cp /bin/busybox "$d/bin/busybox"
	cat >"$d/sbin/init" <<-'INIT'
		#!/bin/busybox sh
		export PATH=/bin
		/bin/busybox --install -s /bin
		n=$(cat /etc/boots 2>/dev/null || echo 0); n=$((n + 1)); echo $n >/etc/boots; sync
		echo "GUEST-UP boot $n $(hostname) $(ip -4 -o addr show eth0 | awk '{ print $4 }')"
		while :; do
			nat=NO
			ping -c 1 -W 1 198.51.100.1 >/dev/null 2>&1 && nat=YES
			echo "NAT-$nat"
			sleep 0.3
		done
	INIT
	chmod 755 "$d/sbin/init"
	mke2fs -q -t ext4 -d "$d" -E root_owner=0:0 "$T/guest.ext4" 16M
	chmod 644 "$T/guest.ext4"
}

set_prepare() {
	mount -t tmpfs run /run && mkdir -p /run/netns
	# ssh-keygen needs a name for its uid.
	{
		cat /etc/passwd
		echo "alice:x:$ALICE:$ALICE::$T/home.$ALICE:/bin/sh"
		echo "bob:x:$BOB:$BOB::$T/home.$BOB:/bin/sh"
	} >"$T/passwd"
	chmod 644 "$T/passwd"
	mount --bind "$T/passwd" /etc/passwd
	"$ROOT/tests/kernel.sh" >/dev/null || skip_all "the kernel package can not be had"
}

set_images() {
	cp "$ROOT/build/cache/kernel.deb" "$T/kernel.deb" && chmod 644 "$T/kernel.deb"
	as 0 kernel import debian --deb "$T/kernel.deb" &&
		as 0 image import tiny "$T/guest.ext4" --kernel debian
}

set_refuses() { # set_refuses: it ends by itself, as failed; what it said is in $T/set.err
	local rc
	: >"$T/set.err"
	timeout 30 "$B/banger-privhelper" --config "$CONF" 2>"$T/set.err"
	rc=$?
	[ $rc != 0 ] && [ $rc -lt 124 ]
}

# ---- a guest that is a whole Debian ----
DEBIAN=
# skips unless `make demo` or `make check-vm` has built an image of `banger image build debian`
debian_image() {
	local f
	for f in "$ROOT/build/cache/guest/root.ext4" "$ROOT/build/cache/root.ext4"; do
		[ -z "$DEBIAN" ] && [ -s "$f" ] && DEBIAN=$f
	done
	[ -n "$DEBIAN" ] || skip_all "needs a Debian image: make demo builds build/cache/root.ext4"
}

debian_import() { # kernel and image `debian`, of root, so usable by all users
	cp "$ROOT/build/cache/kernel.deb" "$T/kernel.deb" && chmod 644 "$T/kernel.deb"
	as 0 kernel import debian --deb "$T/kernel.deb" &&
		as 0 image import debian "$DEBIAN" --kernel debian
}
