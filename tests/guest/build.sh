#!/bin/bash
# build.sh - the test guest's kernel, initramfs and base disk, from Debian packages, in
# build/cache/guest (release.sh).
#
# Made once and again when its inputs change: this file, the list of packages, the kernel package.
# banger itself is not on the disk: scenarios install it, as an administrator would.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
. tests/guest/release.sh
cache=$PWD/$cache
out=$cache/guest
say() { echo "# guest: $*" >&2; }
die() { echo "guest: $*" >&2; exit 1; }
mkdir -p "$cache"
tests/kernel.sh "$suite" >/dev/null
stamp=$({ echo "$suite"; cat "$here/build.sh" "$here/packages" "$cache/kernel.deb"; } | sha256sum |
	cut -d' ' -f1)
[ "$(cat "$out/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
[ "$(id -u)" = 0 ] || die "needs root, to make files of root's"

work=$(mktemp -d "$cache/guest.XXXXXX")
tree=$work/tree
# A package's program that still runs may have kept mmdebstrap from removing a mount of its own.
no_proc() { while mountpoint -q "$tree/proc"; do umount --lazy "$tree/proc"; done; }
cleanup() { no_proc; rm -rf "$work"; }
trap cleanup EXIT
rm -rf "$out"
mkdir -p "$work/out"

# ---- packages ----
began=$SECONDS
include=$(awk -v suite="$suite" '
	{ sub(/#.*/, "") }
	NF == 1 || $2 == suite { print $1 }' "$here/packages" | paste -sd,)
timeout 1500 mmdebstrap --quiet --mode=root --variant=minbase --include="$include" "$suite" \
	"$tree" >"$work/log" 2>&1 ||
	{ tail -n 30 "$work/log" >&2; die "mmdebstrap failed"; }
dpkg-deb -x "$cache/kernel.deb" "$work/kernel"
modules=$work/kernel/lib/modules
[ -d "$modules" ] || modules=$work/kernel/usr/lib/modules
version=$(ls "$modules")
mkdir -p "$tree/usr/lib/modules"
cp -a "$modules/$version" "$tree/usr/lib/modules/"
depmod -b "$tree" "$version"
say "packages unpacked in $((SECONDS - began)) s"

# ---- a host of its own ----
echo banger-guest >"$tree/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 banger-guest\n' >"$tree/etc/hosts"
echo '/dev/vda / ext4 rw,noatime 0 1' >"$tree/etc/fstab"
: >"$tree/etc/machine-id"
cat >"$tree/etc/systemd/network/10-uplink.network" <<-END
	[Match]
	Name=en* eth*
	[Network]
	Address=10.0.2.15/24
	LinkLocalAddressing=no
	IPv6AcceptRA=no
END
# Only the way in; apt's timers would find no network and use the CPU.  Debian 13's policy refuses
# the network generator its folder in /run, and nothing of a network is on the kernel's command
# line.
mount --bind /proc "$tree/proc"
chroot "$tree" systemctl -q enable systemd-networkd ssh auditd
chroot "$tree" systemctl -q mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
	e2scrub_reap.service fstrim.timer \
	systemd-networkd-wait-online.service systemd-network-generator.service getty@tty1.service \
	serial-getty@ttyS0.service systemd-timesyncd.service cron.service \
	selinux-autorelabel-mark.service docker.service docker.socket \
	containerd.service firewalld.service ufw.service \
	NetworkManager.service NetworkManager-wait-online.service \
	NetworkManager-dispatcher.service quotarpc.service quota.service
sed -i 's/^#\?PermitRootLogin.*/PermitRootLogin prohibit-password/; s/^#\?UseDNS.*/UseDNS no/' \
	"$tree/etc/ssh/sshd_config"
printf 'MaxSessions 30\nMaxStartups 30\n' >>"$tree/etc/ssh/sshd_config"
# Logins that were given up on a busy host all come from one address, which OpenSSH shuts out since
# 9.8.
[ "$suite" = bookworm ] || echo 'PerSourcePenalties no' >>"$tree/etc/ssh/sshd_config"
ssh-keygen -q -t ed25519 -N '' -C banger-guest -f "$work/out/key"
install -D -m 600 "$work/out/key.pub" "$tree/root/.ssh/authorized_keys"
chmod 700 "$tree/root/.ssh"
# Scenarios say what was denied; nothing may be lost to a rate limit, nor to a full buffer.
mkdir -p "$tree/etc/systemd/journald.conf.d"
printf '[Journal]\nRateLimitIntervalSec=0\nStorage=persistent\n' \
	>"$tree/etc/systemd/journald.conf.d/10-test.conf"

# ---- SELinux: labelled here, so that no boot has to ----
# All its modules, for host/05-policy.sh.  The guest keeps those of the programs that it has, and
# those that these need: the emulator takes a minute to compile the whole.
modules=$tree/var/lib/selinux/default/active/modules
keep="alsa apt auditadm backup base bluetooth bootloader cgroup clock cron firewalld getty hostname
	iptables logadm logrotate lvm mta netutils networkmanager ntp policykit qemu quota rpc
	secadm setrans ssh staff su sudo unconfined unprivuser userhelper virt xdg xserver"
mkdir "$work/out/policy"
off=()
for m in "$modules"/100/*/; do
	name=$(basename "$m")
	[ ! -e "$modules/disabled/$name" ] || continue
	bzip2 -dcf "$m/cil" | sed '/^ *(filecon /d' >"$work/out/policy/$name.cil"
	[[ " ${keep//[$'\n\t']/ } " == *" $name "* ]] || off+=(-d "$name")
done
timeout 600 chroot "$tree" semodule -n "${off[@]}" >"$work/log" 2>&1 || {
	tail -n 20 "$work/log" >&2; die "semodule failed"
}
printf 'SELINUX=enforcing\nSELINUXTYPE=default\n' >"$tree/etc/selinux/config"
began=$SECONDS
timeout 300 chroot "$tree" setfiles -F /etc/selinux/default/contexts/files/file_contexts / \
	>"$work/log" 2>&1 ||
	{ tail -n 20 "$work/log" >&2; die "setfiles failed"; }
no_proc
chroot "$tree" ls -Z /usr/lib/systemd/systemd | grep -q :init_exec_t: ||
	die "the tree has no labels"
say "labelled in $((SECONDS - began)) s"

# ---- initramfs: the disk's driver, then the disk's own init ----
ram=$work/ram
mkdir -p "$ram"/{bin,dev,proc,sys,root,modules}
cp /bin/busybox "$ram/bin/busybox"
for m in virtio_pci virtio_blk; do
	modprobe -d "$tree" -S "$version" --show-depends "$m" | awk '$1 == "insmod" { print $2 }'
done | awk '!seen[$0]++' | while read -r ko; do
	case $ko in
	*.xz) xz -dc "$ko" ;;
	*.zst) zstd -qdc "$ko" ;;
	*) cat "$ko" ;;
	esac >"$ram/modules/$(printf '%02d' "$(find "$ram/modules" -type f | wc -l)").ko"
done
cat >"$ram/init" <<-'INIT'
	#!/bin/busybox sh
	export PATH=/bin
	/bin/busybox --install -s /bin
	mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
	for m in /modules/*.ko; do insmod "$m"; done
	n=0
	until [ -b /dev/vda ] || [ $n = 200 ]; do n=$((n + 1)); sleep 0.05; done
	mount -t ext4 /dev/vda /root || { echo "test guest: no disk"; poweroff -f; }
	umount /proc /sys
	mount --move /dev /root/dev
	exec switch_root /root /sbin/init
INIT
chmod 755 "$ram/init"
(cd "$ram" && find . | cpio -o -H newc --quiet --owner 0:0) | gzip -1 >"$work/out/initrd"
cp "$work"/kernel/boot/vmlinuz-* "$work/out/vmlinuz"

# ---- the disk ----
began=$SECONDS
timeout 300 mke2fs -q -t ext4 -d "$tree" -E root_owner=0:0,lazy_itable_init=1 \
	"$work/out/base.raw" 6G >"$work/log" 2>&1 ||
	{ tail -n 20 "$work/log" >&2; die "mke2fs failed"; }
say "disk made in $((SECONDS - began)) s"
echo "$stamp" >"$work/out/stamp"
mv "$work/out" "$out"
