#!/bin/sh
# uninstall [--purge] - remove banger from this host: the service, the programs and the kernel
# objects.
#
# Configuration, logs, images and disks stay, except with --purge.  The script refuses while a VM
# runs.
set -eu
purge=
case ${1-} in
'') ;;
--purge) purge=1 ;;
*) echo "usage: uninstall [--purge]" >&2; exit 2 ;;
esac
[ "$(id -u)" = 0 ] || { echo "banger: uninstall: must be root" >&2; exit 1; }
libexec=$(cd "$(dirname "$0")" && pwd -P)
prefix=${libexec%/libexec/banger}
# The script removes its own folder at the end, so a copy elsewhere would remove the files around
# it.
if [ "$prefix" = "$libexec" ] || [ ! -e "$libexec/banger-controller" ]; then
	echo "banger: uninstall: $libexec is no libexec/banger; run the installed copy" >&2
	exit 1
fi
conf=/etc/banger/banger.conf
setting() {
	sed -n "s/^$1[ 	]*=[ 	]*//p" "$conf" 2>/dev/null | sed 's/[ 	]*\( ;.*\)\{0,1\}$//' |
		tail -n 1
}
# remove_place FOLDER ENTRY: remove a configured folder, if it has an entry that only banger makes.
remove_place() {
	if [ -e "$1/$2" ] && [ ! -L "$1" ]; then
		rm -rf "$1"
	elif [ -e "$1" ]; then
		echo "banger: uninstall: $1 is left: it has no $2, so it is not banger's" >&2
	fi
}
or() { if [ -n "$1" ]; then echo "$1"; else echo "$2"; fi; }
run=$(or "$(setting run_dir)" /run/banger)
cgroup=$(or "$(setting cgroup_dir)" "$(findmnt -n -o TARGET -t cgroup2 | head -n 1)/banger")
bridge=$(or "$(setting bridge)" banger0)

for group in "$cgroup"/vm/*/; do
	[ -e "$group" ] || continue
	if grep -q 'populated 1' "$group/cgroup.events"; then
		echo "banger: uninstall: VMs are running; stop them first: banger vm list --all" >&2
		exit 1
	fi
done
if [ -d /run/systemd/system ]; then
	systemctl -q stop banger-vms.service 2>/dev/null || :
	systemctl -q disable --now banger.service 2>/dev/null || :
	systemctl -q stop run-banger-slots.mount 2>/dev/null || :
fi

# ---- kernel objects, which outlive the service ----
for group in "$cgroup"/vm/* "$cgroup"/vm "$cgroup"/spawn "$cgroup"/stuck "$cgroup"; do
	[ ! -d "$group" ] || rmdir "$group"
done
for table in inet bridge; do nft delete table $table banger 2>/dev/null || :; done
if ip -d link show dev "$bridge" 2>/dev/null | grep -q 'alias banger:bridge'; then
	ip link delete "$bridge"
fi
! mountpoint -q "$run/slots" || umount "$run/slots"
remove_place "$run" supervisor.lock

# ---- the policy module, if it was installed; other files get the labels of the host's policy ----
if command -v semodule >/dev/null && semodule -l 2>/dev/null | grep -qx banger; then
	semodule -X 400 -r banger
	for path in /etc/banger "$(or "$(setting state_dir)" /var/lib/banger)" \
		"$(or "$(setting log_dir)" /var/log/banger)"; do
		[ ! -e "$path" ] || restorecon -RF "$path"
	done
fi
rm -f "$prefix/share/selinux/packages/banger.pp"

# ---- installed files ----
rm -f "$prefix/bin/banger" "$prefix/sbin/banger-privhelper" \
	"$prefix/lib/systemd/system/banger.service" \
	"$prefix/lib/systemd/system/banger-vms.service" \
	"$prefix/lib/systemd/system/run-banger-slots.mount" "$prefix/lib/sysusers.d/banger.conf" \
	"$prefix/lib/tmpfiles.d/banger.conf" "$prefix/lib/sysctl.d/50-banger.conf" \
	"$prefix/lib/udev/rules.d/50-banger.rules" "$prefix/lib/systemd/network/00-banger.network" \
	"$prefix/lib/NetworkManager/conf.d/50-banger.conf" \
	"$prefix/lib/systemd/system/logrotate.timer.d/50-banger.conf" /etc/logrotate.d/banger
rm -rf "$libexec"
! grep -qxs '# Made by the installation of banger, and removed with it.' /etc/blkid.conf ||
	rm -f /etc/blkid.conf
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl -q reset-failed banger.service 2>/dev/null || :
	udevadm control --reload 2>/dev/null || :
fi
if [ -n "$purge" ]; then
	remove_place "$(or "$(setting state_dir)" /var/lib/banger)" slots
	remove_place "$(or "$(setting log_dir)" /var/log/banger)" net.log
	rm -rf /etc/banger
	# The accounts stay: they may own files elsewhere, which a new account with the same uid
	# would inherit.
	echo "banger is gone, with its images, disks and logs; its five accounts are left"
else
	echo "banger is gone; configuration, logs, images and disks are kept;" \
		"uninstall --purge removes them"
fi
