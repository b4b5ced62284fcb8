#!/bin/sh
# relabel.sh - what is banger's on this host gets the types that the policy has for it.
#
# Types alone, not levels (no -F): a slot's category is the supervisor's to give, not the table of file contexts'.
set -eu
for path in /etc/banger /run/banger /usr/bin/firecracker /usr/libexec/banger /usr/local/bin/firecracker \
	/usr/sbin/banger-privhelper /var/lib/banger /var/log/banger; do
	[ ! -e $path ] || restorecon -R $path
done
