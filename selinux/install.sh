#!/bin/sh
# install.sh MODULE.pp - load the module on this host, or a newer one over it.  The programs are installed before it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ "$(id -u)" = 0 ] || { echo "selinux: must be root" >&2; exit 1; }
selinuxenabled || { echo "selinux: SELinux is off on this host" >&2; exit 1; }
semodule -X 400 -i "$1"
"$here/relabel.sh"
# VMs that run already stay in the domain of their start, and are looked after there until they end.
groups=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)/banger/vm
for pid in $(cat "$groups"/*/cgroup.procs 2>/dev/null); do
	grep -q ':banger_vm_t:' "/proc/$pid/attr/current" 2>/dev/null && continue
	setsebool banger_adopt on
	echo "VMs that run were not started under this module: they are confined by their next start"
	break
done
if systemctl -q is-active banger.service; then
	echo "banger is running; to confine it: systemctl restart banger (VMs go on)"
fi
