#!/bin/bash
# Each rule of the filters of the launcher, of each kind of VMM, of the controller, of its look at a
# database and of banger-unpack is used, or policy.unused says why it is not seen in use.  The whole
# set runs below strace(1), with guests; rules.pl compares.  rules.sh has the roles and the
# supervisor.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh" strace perl tar qemu-img
strace -D -qq -o /dev/null true 2>/dev/null || skip_all "strace(1) can not trace here"
trap 'set_stop; umount /etc/passwd; finish' EXIT

# traced PROGRAM: in its place a script that starts it below strace, which writes a file for each
# task.  -D: the program keeps its parent.
traced() {
	mkdir -p "$T/real"
	cp "$B/$1" "$T/real/"
	mv "$T/real/$1" "$T/real/$1.part" && mv "$T/real/$1.part" "$T/real/$1"
	rm "$B/$1"
	printf '#!/bin/sh\nexec strace %s -o %s/trace/t %s/real/%s "$@"\n' \
		"-D -f -ff -qq -e signal=none -e raw='!execve'" "$T" "$T" "$1" >"$B/$1"
	chmod 755 "$B/$1"
}
# trace_ended: strace has written all of it
trace_ended() { ! pgrep -f -- "-o $T/trace/t " >/dev/null; }

# A guest that gives blocks of its disk back, and ends when it is told to.
rules_guest() {
	guest_image
	cat >"$T/guest/sbin/init" <<-'INIT'
		#!/bin/busybox sh
		export PATH=/bin
		/bin/busybox --install -s /bin
		dd if=/dev/zero of=/root/x bs=64k count=16 2>/dev/null; sync; rm /root/x; sync
		fstrim /
		echo GUEST-UP
		while :; do sleep 1; done
	INIT
	mke2fs -q -F -t ext4 -d "$T/guest" -E root_owner=0:0 "$T/guest.ext4" 16M
}
import() { banger image import "$@" --kernel debian --size 64M; }
hex() { sha256sum "$1" | cut -d' ' -f1; }
# layout TAR: $T/layout is an image of it, of one layer, as a registry has it
layout() {
	local d=$T/layout blobs=$T/layout/blobs/sha256 of=application/vnd.oci.image
	mkdir -p "$blobs"
	gzip -n <"$1" >"$d/layer"
	jq -n --arg i "sha256:$(hex "$1")" '{os: "linux", architecture: "amd64",
		config: {}, rootfs: {type: "layers", diff_ids: [$i]}}' >"$d/config"
	blob() { # blob FILE TYPE
		jq -n --arg m "$of.$2" --arg d "sha256:$(hex "$d/$1")" \
			--argjson s "$(stat -c %s "$d/$1")" '{mediaType: $m, digest: $d, size: $s}'
		cp "$d/$1" "$blobs/$(hex "$d/$1")"
	}
	jq -n --argjson c "$(blob config config.v1+json)" \
		--argjson l "$(blob layer layer.v1.tar+gzip)" \
		'{schemaVersion: 2, config: $c, layers: [$l]}' >"$d/manifest"
	jq -n --argjson m "$(blob manifest manifest.v1+json)" \
		'{schemaVersion: 2, manifests: [$m]}' >"$d/index.json"
	echo '{"imageLayoutVersion": "1.0.0"}' >"$d/oci-layout"
}
unpack_all() { # each kind of input of banger-unpack
	tar -C "$T/guest" -cf "$T/guest.tar" .
	layout "$T/guest.tar"
	tar -C "$T/layout" -cf "$T/layout.tar" .
	qemu-img convert -q -f raw -O qcow2 "$T/guest.ext4" "$T/guest.qcow2"
	chmod -R a+rX "$T/layout" "$T"/*.tar "$T/guest.qcow2"
	check "banger-unpack reads a tar" import of-tar "$T/guest.tar"
	check "and a layout in a tar" import of-layout "$T/layout.tar"
	[ -z "$RULES_LANDLOCK" ] || check "and a layout in a folder" import of-folder "$T/layout"
	check "and a disk in a qcow2" banger image import of-disk "$T/guest.qcow2" --kernel debian
}
set_up() { did "$1: the set comes up" set_start; }
set_down() { did "$1: the set ends" set_stop; }

bounded() { # bounded COMMAND...: as Alice, for two minutes at most
	timeout 120 setpriv --reuid $ALICE --regid $ALICE --clear-groups env -i PATH="$PATH" \
		HOME="$T/home.$ALICE" BANGER_SOCKET="$T/run/control.sock" "$B/banger" "$@"
}

set_prepare
conf_make slots=3 per_owner=3
printf '[storage]\ndm = off\n' >>"$CONF" # disks are files, whatever the kernel has
rules_guest
mkdir -m 1777 "$T/trace"
traced banger-privhelper
traced banger-unpack

# ---- QEMU, the controller's work for it, and images ----
set_up QEMU
RULES_LANDLOCK=$(grep -oE 'Landlock ABI [1-9]' "$T/set.err" | head -n 1)
export RULES_LANDLOCK RULES_DM=
did "kernel and image" set_images
check "a VM starts" eval 'banger create web --image tiny --memory 192M && banger start web'
check "its guest has given blocks back" wait_for 120 console_has $ALICE web GUEST-UP
check "its agent answers" bounded wait --for ready web --timeout 100s
check "and runs a command" bounded exec -n --timeout 100s web -- /bin/busybox echo hello
check "a line is typed" eval 'printf "typed\r\035" | bounded console web'
check "and reaches the guest, whose terminal echoes it" wait_for 60 console_has $ALICE web typed
check "clients look at everything" \
	eval 'banger ps && banger stats && banger image list && as 0 host gc'
banger doctor >/dev/null
as 0 doctor --db >/dev/null
tar -C "$T/guest" -cf "$T/guest.tar" . && chmod 644 "$T/guest.tar"
unpack_all
set_down QEMU
set_up "VMs that went on"
check "the VM is stopped" banger stop web
check "and deleted" banger rm web

# ---- the KVM probe, and Firecracker ----
processes=(qemu launcher controller check-db unpack)
real=$(command -v firecracker)
short_life() { # short_life NAME: of a VM, whether KVM runs its guest or not
	check "$1: a VM" banger create "$1" --image tiny --memory 128M
	banger start "$1" >/dev/null
	check "$1: it is ended" banger kill "$1"
	check "$1: and deleted" banger rm "$1"
}
again() { # again NAME SED: the set starts once more, with a changed configuration
	set_down "$1"
	sed -i "$2" "$CONF"
	set_up "$1"
}
if [ -e /dev/kvm ]; then
	again "the KVM probe" 's/^accel = .*/accel = auto/'
	short_life probed
	processes+=(kvmprobe)
else
	skip "the KVM probe" "needs /dev/kvm"
fi
if [ -e /dev/kvm ] && [ -n "$real" ]; then
	mount -t tmpfs vmm /usr/local/share # VMM binaries lie below /usr by rule
	install -m 755 "$real" /usr/local/share/firecracker
	again Firecracker "s,^accel = .*,accel = kvm,
		s,^firecracker = .*,firecracker = /usr/local/share/firecracker,"
	short_life fc
	processes+=(firecracker)
else
	skip Firecracker "needs firecracker on PATH (it is in no registry), and /dev/kvm"
fi

# ---- the database after a crash, without the service ----
kill -KILL "$SET"
did "the set is killed" set_gone
strace -D -f -ff -qq -e signal=none -e raw='!execve' -o "$T/trace/t" \
	"$B/banger" doctor --db --config "$CONF" >"$T/doctor.out" 2>&1
is $? 0 "the database is checked without the service"

# ---- what was used ----
check "strace has written all" wait_for 60 trace_ended
cd "$ROOT" || exit 1
perl tests/integration/rules.pl "$T/real" "$T/trace" "${processes[@]}" >"$T/judged" 2>&1
check "rules.pl comes to its end" grep -q '^1\.\.' "$T/judged"
[ -z "${RULES_KEEP-}" ] || cp -r "$T/judged" "$T/trace" "$RULES_KEEP"
# Its lines, counted on with those of this script.
while IFS= read -r line; do
	case $line in
	"ok "*" # SKIP "*) line=${line#*- }; skip "${line% # SKIP *}" "${line##* # SKIP }" ;;
	"ok "*) ok "${line#*- }" ;;
	"not ok "*) not_ok "${line#*- }" ;;
	1..*) ;;
	*) echo "$line" ;;
	esac
done <"$T/judged"
