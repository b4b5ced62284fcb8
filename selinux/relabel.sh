#!/bin/sh
# relabel.sh - give banger's files on this host the types of the policy.
#
# Levels stay (no -F): the supervisor sets a slot's category, which the table of file contexts
# lacks.
set -eu
for path in /etc/banger /run/banger /usr/bin/firecracker /usr/libexec/banger \
	/usr/local/bin/firecracker /usr/sbin/banger-privhelper /var/lib/banger /var/log/banger; do
	[ ! -e $path ] || restorecon -R $path
done
