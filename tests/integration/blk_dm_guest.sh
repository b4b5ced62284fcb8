#!/bin/bash
# Tests the blk role's snapshots on a kernel with device-mapper.  A guest of a few seconds (QEMU,
# TCG, busybox) runs the same role and the scripted peer. dmsetup and losetup show the result.  The
# guest's serial console is the TAP of this test.
set -u
cd "$(dirname "$0")/../.." || exit 1
mode=${MODE:-release} cache=$PWD/build/cache
peer=build/$mode/peer role=build/$mode/banger-role-blk
skip() { echo "ok 1 - blk snapshots in a guest # SKIP $1"; echo 1..1; exit 0; }
for tool in qemu-system-x86_64 busybox dmsetup modprobe depmod cpio dpkg-deb; do
	command -v $tool >/dev/null || skip "needs $tool"
done
[ "$(uname -m)" = x86_64 ] || skip "the guest is x86-64"
[ -x $peer ] && [ -x $role ] || skip "$peer or $role is not built"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ---- Debian's kernel, fetched once; of it the image and the modules that the test needs ----
tests/kernel.sh >/dev/null || skip "can not fetch the distribution's kernel package"
guest=$cache/dm-guest
if [ ! -s "$guest/vmlinuz" ] || [ "$cache/kernel.deb" -nt "$guest/vmlinuz" ]; then
	mkdir "$work/deb" && dpkg-deb -x "$cache/kernel.deb" "$work/deb" ||
		skip "the kernel package can not be unpacked"
	base=$work/deb; [ -d "$base/lib/modules" ] || base=$work/deb/usr
	version=$(ls "$base/lib/modules")
	depmod -b "$base" "$version"
	rm -rf "$guest"; mkdir -p "$guest"
	for m in loop dm_snapshot; do
		modprobe -d "$base" -S "$version" --show-depends $m |
			awk '$1 == "insmod" {print $2}'
	done | awk '!seen[$0]++' >"$work/order"
	while read -r ko; do
		name=$(basename "${ko%%.ko*}").ko
		case $ko in
		*.xz) xz -dc "$ko" >"$guest/$name" ;;
		*.zst) zstd -qdc "$ko" >"$guest/$name" ;;
		*) cp "$ko" "$guest/$name" ;;
		esac
		echo "$name" >>"$guest/order"
	done <"$work/order"
	[ -s "$guest/order" ] || skip "the kernel package lacks dm_snapshot"
	cp "$work"/deb/boot/vmlinuz-* "$guest/vmlinuz"; touch "$guest/vmlinuz"
fi

# ---- what the guest runs ----
root=$work/root
mkdir -p "$root"/{bin,sbin,etc,proc,sys,dev,tmp,run,lib/modules,test}
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$guest"/*.ko "$guest/order" "$root/lib/modules/"
cp $peer "$root/test/peer"; cp $role "$root/test/role"
cp "$(command -v dmsetup)" "$root/sbin/dmsetup"
for p in "$root/test/peer" "$root/test/role" "$root/sbin/dmsetup"; do
	ldd "$p"
done | grep -o '/[^ ]*' | sort -u | while read -r lib; do
	mkdir -p "$root$(dirname "$lib")"
	cp -L "$lib" "$root$lib"
done
printf '%s:/:/bin/sh\n' root:x:0:0: v0:x:700000:700000: v1:x:700001:700001: >"$root/etc/passwd"
cat >"$root/etc/banger.conf" <<-END
	[slots]
	count = 8
	uid_base = 700000
	[accounts]
	net = 64111:64111
	blk = 64112:64112
	spawn = 64113:64113
	controller = 64101:64101
	supervisor = 64114:64114
	users =
	[places]
	state_dir = /state
	run_dir = /run
	log_dir = /tmp
	libexec_dir = /test
	[limits]
	max_disk_mib = 64
	max_vms_per_owner = 100
	creates_per_second = 1000
END
cat >"$root/init" <<'GUEST'
#!/bin/busybox sh
# The first root can not be left by pivot_root(2), which the role wants to do.
if [ "${1-}" != second ]; then
	/bin/busybox mkdir /new && /bin/busybox mount -t tmpfs -o size=128m root /new
	for d in bin sbin etc lib lib64 usr test init; do
		[ -e /$d ] && /bin/busybox cp -a /$d /new/
	done
	/bin/busybox mkdir /new/proc /new/sys /new/dev /new/tmp /new/run
	exec /bin/busybox switch_root /new /init second
fi
/bin/busybox --install -s /bin
export PATH=/bin:/sbin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
while read -r m; do insmod /lib/modules/$m; done </lib/modules/order
n=0
say() { n=$((n + 1)); echo "$1 $n - $2"; }
wrong() { say 'not ok' "$3"; echo "# want: $1"; echo "# got:  $2"; } # wrong WANT GOT NAME
is() { if [ "$1" = "$2" ]; then say ok "$3"; else wrong "$@"; fi; }
like() { case $2 in $1) say ok "$3" ;; *) wrong "$@" ;; esac; }
mkdir /state; mount -t tmpfs -o size=128m state /state
mount -t tmpfs -o dev slots /run && mkdir /run/slots
for i in 0 1 2 3 4 5 6 7; do
	mkdir /run/slots/$i
	chown $((700000 + i)):64101 /run/slots/$i
	chmod 2770 /run/slots/$i
done
s=/state
for f in base cow0 cow1 cow2 cow3 cow4; do
	dd if=/dev/zero of=$s/$f bs=1M count=0 seek=4 2>/dev/null; chown 64101 $s/$f; done
echo the-base | dd of=$s/base conv=notrunc 2>/dev/null
mkfifo /tmp/in /tmp/out
peer() { # the peer and its role; the log of both on standard error
	/test/peer --role blk --config /etc/banger.conf --log /tmp/blk.log /test/role \
		</tmp/in >/tmp/out
}
peer 2>/tmp/err &
exec 3>/tmp/in 4</tmp/out
ask() { answer=gone; echo "$*" >&3; read -r -t 20 answer <&4; }
try() { ask "$2"; is "$1" "$answer" "$3"; }
loops() { losetup -a | grep -c .; } # busybox shows the tag, not the file
settled() { # settled NUMBER NAME: as many loops are left, within a second
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ "$(loops)" = "$1" ] && break
		sleep 0.1
	done
	is "$1" "$(loops)" "$2"
}
attach() { # attach SLOT: both parts, by number in $b and $c
	ask "loop_attach slot=$1 part=0 fd=$s/base:ro"; b=${answer#ok loop=}
	ask "loop_attach slot=$1 part=1 fd=$s/cow$1:rw"; c=${answer#ok loop=}
}

# Somebody else's: on a loop of its own, and under a name of ours.
dd if=/dev/zero of=$s/other bs=1M count=0 seek=4 2>/dev/null
foreign=$(losetup -f); losetup $foreign $s/other
dmsetup create foreign --table "0 8192 linear $foreign 0"
dmsetup create bgr-3 --table "0 8192 zero" --uuid LVM-1 2>/dev/null ||
	dmsetup create bgr-3 --uuid LVM-1 --notable

ask run; is ok "$answer" "the role starts and locks itself down with device-mapper there"
try absent "snapshot_create" "a snapshot of nothing"
attach 0
try 'ok minor=100000' "snapshot_create" "base and CoW store become a snapshot"
is "0 8192 snapshot 7:$b 7:$c P 8" "$(dmsetup table bgr-0)" "dmsetup: its table"
is "BANGER-0-1:100000" "$(dmsetup info -c --noheadings --separator : -o uuid,minor bgr-0)" \
	"dmsetup: its uuid and minor"
is ACTIVE "$(dmsetup info bgr-0 | awk '/State:/ {print $2}')" "dmsetup: its state"
try 'ok minor=100000' "snapshot_create" "making it again succeeds"
role=$(pidof role)
is 0 "$(ls -l /proc/$role/fd | grep -c /loop[0-9])" "the role holds no loop any more"
try "ok loop=$b" "loop_attach part=0 fd=$s/base:ro" "attaching the base again is the same loop"
try 'ok minor=100000' "snapshot_create" "and again changes nothing"

# ---- the VMM's side ----
d=/run/slots/vda0
is "b660 0:700000" "$(stat -c '%F %a %u:%g' $d | sed 's/block special file /b/')" \
	"the slot's node is made before the lock-down"
is the-base "$(su v0 -c "head -c 8 $d")" "the slot's uid reads the base through it"
su v1 -c "head -c 8 $d" >/dev/null 2>&1; is 1 $? "another slot's uid does not"
su v0 -c "echo changed! | dd of=$d conv=notrunc 2>/dev/null; sync"
echo 3 >/proc/sys/vm/drop_caches
is changed! "$(su v0 -c "head -c 8 $d")" "what it writes, it reads"
is the-base "$(head -c 8 $s/base)" "and the base is as it was"
is 8192 "$(blockdev --getsz $d)" "its size is the base's"

# ---- two disks, one base ----
attach 1; c1=$c
try 'ok minor=100001' "snapshot_create slot=1" "another slot's snapshot"
is 4 "$(loops)" "losetup: one base, two CoW stores, the foreign one"
is the-base "$(su v1 -c 'head -c 8 /run/slots/vda1')" "it has none of the other's writes"
try busy "loop_detach part=1" "a CoW store under a snapshot is busy"
try busy "loop_detach part=0" "so is its base"
attach 3
try busy "snapshot_create slot=3" "a device of another's under our name is left alone"
is LVM-1 "$(dmsetup info -c --noheadings -o uuid bgr-3)" "dmsetup: it is there"
ask "loop_detach slot=3 part=0"; ask "loop_detach slot=3 part=1"

# ---- a CoW store that asks for a chunk size of its own ----
# The kernel would have three buffers of that size, for each of 1000 slots.
printf 'SnAp\001\000\000\000\001\000\000\000\000\010\000\000' |
	dd of=$s/cow4 conv=notrunc 2>/dev/null
attach 4
try kernel "snapshot_create slot=4" "a CoW store with a chunk size of its own is refused"
is 0 "$(dmsetup ls | grep -c '^bgr-4')" "dmsetup: nothing of it is left"
ask "loop_detach slot=4 part=0"; ask "loop_detach slot=4 part=1"

# ---- no room under a CoW store ----
dd if=/dev/zero of=$s/cow5 bs=1M count=0 seek=4 2>/dev/null; chown 64101 $s/cow5
attach 5
try 'ok minor=100005' "snapshot_create slot=5" "a snapshot on a file system that will be full"
ask list; like "*,6,5,1,1000,100005" "$answer" "list shows it with its number"
mount -o remount,size=8m /state; dd if=/dev/zero of=$s/ballast bs=64k 2>/dev/null
dd if=/dev/zero of=/run/slots/vda5 bs=4k count=256 conv=fsync 2>/dev/null
like "0 8192 snapshot Invalid*" "$(dmsetup status bgr-5)" "dmsetup: the kernel has given it up"
ask list; like "*,6,5,1,1000,0" "$answer" "list shows that"
rm $s/ballast; mount -o remount,size=128m /state
try ok "snapshot_remove slot=5" "it can be removed all the same"

# ---- nodes: checked, and made again where they are not right ----
rm /run/slots/vda2 /run/slots/vda3 /run/slots/vda4
echo x >/run/slots/vda2; mknod /run/slots/vda3 b 7 0; ln -s vda0 /run/slots/vda4
chmod 666 /run/slots/vda5; chown 700000 /run/slots/vda6; mknod /run/slots/.vda b 7 0
kept=$(stat -c %i $d)

# ---- the role dies, the disks do not ----
kill -9 $role; ask ping; is 'signal 9' "$answer" "kill -9 of the role"
is the-base "$(su v1 -c 'head -c 8 /run/slots/vda1')" "the disks go on"
ask restart
major=$(stat -c %t $d | sed 's/^/0x/' | awk '{printf "%d", $1}')
dmsetup create bgr-2 --notable --uuid BANGER-2-1 --major "$major" --minor 100002 2>/dev/null ||
	dmsetup create bgr-2 --notable --uuid BANGER-2-1
ask run
is 8 "$(stat -c '%F %a %u %t:%T' /run/slots/vda? |
	grep -c "^block special file 660 0 $(stat -c %t $d):186a[0-7]\$")" \
	"the nodes were checked, and made again where wrong"
is "$kept" "$(stat -c %i $d)" "the right one was left alone"
ask list
held="4,0,1,1000,*,5,0,1,1000,*,6,0,1,1000,100000"
held="$held,4,1,1,1000,$b,5,1,1,1000,$c1,6,1,1,1000,100001,6,2,1,4294967295,100002"
like "ok next=0 objects=$held" "$answer" "the next role finds them, with owner and all"
b0=$(echo "$answer" | sed 's/.*objects=4,0,1,1000,//; s/,.*//')
is "$b" "$b0" "and that they share a base"
try denied "snapshot_remove owner=1001" "another owner can not remove one"
try ok "snapshot_remove slot=3" "nor can we what is not ours, whatever the name"
is LVM-1 "$(dmsetup info -c --noheadings -o uuid bgr-3)" "dmsetup: it is there"
attach 2
is "$b0" "$b" "a new slot shares the base that it found"
try 'ok minor=100002' "snapshot_create slot=2" "a device that was left half made is made again"
is "0 8192 snapshot 7:$b 7:$c P 8" "$(dmsetup table bgr-2)" "dmsetup: its table"

# ---- removal ----
sh -c "exec 5<$d; touch /tmp/held; sleep 600" & holder=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -e /tmp/held ] && break; sleep 0.1; done
try busy "snapshot_remove" "a disk that is open is busy"
kill $holder; wait $holder
try ok "snapshot_remove" "then it goes"
is 0 "$(dmsetup ls | grep -c '^bgr-0')" "dmsetup: it is gone"
settled 4 "losetup: its CoW store went with it, the base did not"
try ok "snapshot_remove" "removing it again succeeds"
try absent "snapshot_create" "there is nothing to make it of"
su v0 -c "head -c 8 $d" >/dev/null 2>&1; is 1 $? "the slot's node leads nowhere"
try ok "snapshot_remove slot=1" "the second goes"
try ok "snapshot_remove slot=2" "the third goes"
settled 1 "losetup: nothing of ours is left"
try 'ok next=0 objects=' list "nor does the role know of anything"
ask "loop_attach slot=0 gen=2 owner=1001 part=0 fd=$s/base:ro"
like 'ok loop=*' "$answer" "the slot's next VM"
ask "loop_attach slot=0 gen=2 owner=1001 part=1 fd=$s/cow2:rw"
ask "snapshot_create slot=0 gen=2 owner=1001"; is 'ok minor=100000' "$answer" "has the same minor"
is BANGER-0-2 "$(dmsetup info -c --noheadings -o uuid bgr-0)" "dmsetup: and a uuid of its own"
try denied "snapshot_remove gen=1" "a late request of the one before touches nothing"
dmsetup remove bgr-0
settled 1 "an administrator removes it: the loops go"
ask "snapshot_remove slot=0 gen=2 owner=1001"; is ok "$answer" "the role takes it as done"
is "0 8192 linear 7:${foreign#/dev/loop} 0" "$(dmsetup table foreign)" \
	"the foreign device was never touched"
ask close; is 'exit 0' "$answer" "the role ends with its peer"

# ---- [storage] dm = off ----
printf '[storage]\ndm = off\n' >>/etc/banger.conf
again() { # a peer and a role with the configuration of now
	exec 3>&- 4<&-
	wait # the one before reads the same FIFO until it has ended
	peer 2>>/tmp/err &
	exec 3>/tmp/in 4</tmp/out
	ask run
}
holds() { ls -l /proc/$(pidof role)/fd | grep -c mapper/control; }
again; is "ok 0" "$answer $(holds)" "dm = off: the role does not hold the control node"
ask "loop_attach gen=3 part=0 fd=$s/base:ro"; ask "loop_attach gen=3 part=1 fd=$s/cow0:rw"
try kernel "snapshot_create gen=3" "and can make no snapshot"
try ok "loop_detach gen=3 part=0" "it lets the base go"
try ok "loop_detach gen=3 part=1" "and the CoW store"
ask close
dmsetup create bgr-2 --notable --uuid BANGER-2-9
again; is "ok 1" "$answer $(holds)" "a snapshot is left: it is held, so that the snapshot can go"
try ok "snapshot_remove slot=2 gen=9" "and it goes"
is 0 "$(dmsetup ls | grep -c '^bgr-2')" "dmsetup: it is gone"
ask close
grep -v 'slot 3: dm create\|slot 4: the snapshot' /tmp/err | sed 's/^/# /'
echo "1..$n"
echo GUEST-END
poweroff -f
GUEST
chmod 755 "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet --owner 0:0) | gzip -1 >"$work/initrd"

# q35 and not microvm: that one has only the PIT to measure the TSC by, which fails on a busy host,
# and then it hangs.
timeout -k 5 400 qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max \
	-smp 1 -m 384 -nodefaults -no-user-config -display none -no-reboot \
	-serial "file:$work/console" -kernel "$guest/vmlinuz" -initrd "$work/initrd" \
	-append "console=ttyS0 quiet panic=-1 rdinit=/init" </dev/null 2>"$work/qemu"
tr -d '\r' <"$work/console" >"$work/tap"
grep -E '^(ok|not ok|#|1\.\.)' "$work/tap"
if ! grep -q '^GUEST-END' "$work/tap"; then
	echo "not ok - the guest did not come to its end"
	tail -n 40 "$work/tap" "$work/qemu" | sed 's/^/  | /'
	exit 1
fi
! grep -q '^not ok' "$work/tap"
