#!/bin/sh
# install.sh MODULE.pp - load the module on this host, or upgrade it.  The programs must be
# installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ "$(id -u)" = 0 ] || { echo "selinux: must be root" >&2; exit 1; }
selinuxenabled || { echo "selinux: SELinux is off on this host" >&2; exit 1; }
semodule -X 400 -i "$1"
"$here/relabel.sh"
# Running VMs stay in the domain of their start.  banger_adopt lets banger manage them there.
groups=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)/banger/vm
for pid in $(cat "$groups"/*/cgroup.procs 2>/dev/null); do
	grep -q ':banger_vm_t:' "/proc/$pid/attr/current" 2>/dev/null && continue
	setsebool banger_adopt on
	echo "running VMs were started without this module: their next start confines them"
	break
done
if systemctl -q is-active banger.service; then
	echo "banger is running; to confine it: systemctl restart banger (VMs go on)"
fi
