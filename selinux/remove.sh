#!/bin/sh
# remove.sh - remove the module from this host.
#
# Refuses while a VM runs: the VM's domain may be the module's, and its folder in /run is removed.
set -eu
[ "$(id -u)" = 0 ] || { echo "selinux: must be root" >&2; exit 1; }
semodule -l | grep -qx banger || exit 0
groups=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)/banger/vm
if ps -eo label= | grep -q ':banger_vm_t:' || grep -qs 'populated 1' "$groups"/*/cgroup.events; then
	echo "selinux: VMs are running; stop them first: banger vm list --all" >&2
	exit 1
fi
active=
if systemctl -q is-active banger.service; then active=1; fi
systemctl stop banger.service run-banger-slots.mount
semodule -X 400 -r banger
# Without the module, files in /run/banger have no default label, so the folder is made anew.
rm -rf /run/banger
if [ -e /usr/lib/tmpfiles.d/banger.conf ]; then systemd-tmpfiles --create banger.conf; fi
for path in /etc/banger /usr/bin/firecracker /usr/libexec/banger /usr/local/bin/firecracker \
	/usr/sbin/banger-privhelper /var/lib/banger /var/log/banger; do
	[ ! -e $path ] || restorecon -RF $path
done
[ -z "$active" ] || systemctl start banger.service
