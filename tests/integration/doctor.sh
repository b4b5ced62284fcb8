#!/bin/bash
# `banger doctor` compares root's configuration with this host: ids, udev's rule, device-mapper.
. "$(dirname "$0")/lib.sh"
in_ns "$@"
conf_make slots=250
# The host's own files are not touched: copies of /etc, an empty /run, and a /sys/block of ours.
cp -a /etc "$T/etc"
mount --bind "$T/etc" /etc
mount -t tmpfs run /run
rm -f /etc/udev/rules.d/50-banger.rules
row() { # row NAME: the verdict and what was found
	"$B/banger" doctor --config "$CONF" -o json 2>"$T/doctor.err" |
		jq -r --arg n "$1" '.[] | select(.name == $n) | "\(.verdict) \(.text)"'
}

# ---- ids that a VMM may run under ----
is "$(row "slot ids")" "PASS 1879048192 to 1879048447 *" "nobody has an id of the slots'"
meets() { # meets NAME FILE LINE WANT
	cp "$2" "$T/kept" 2>/dev/null || : >"$T/kept"
	echo "$3" >>"$2"
	is "$(row "slot ids")" "$4" "$1"
	cp "$T/kept" "$2"
}
meets "a user's uid" /etc/passwd "mallory:x:1879048200:100::/:/bin/sh" \
	"FAIL *user mallory (uid 1879048200, gid 100)*"
meets "a uid that no slot has, but the spawn role may take" /etc/passwd \
	"gap:x:1879048447:100::/:/bin/sh" "FAIL *user gap*"
meets "the uid behind the last one" /etc/passwd "next:x:1879048448:100::/:/bin/sh" "PASS *"
meets "a user's own group" /etc/passwd "m:x:1000:1879048192::/:/bin/sh" "FAIL *user m *"
meets "a group" /etc/group "kvmusers:x:1879048192:" "FAIL *group kvmusers (gid 1879048192)*"
for file in /etc/subuid /etc/subgid; do
	meets "$file: a range that holds the slots'" $file "bob:100000:2000000000" \
		"FAIL *$file: the range of bob from 100000 on*"
	meets "$file: a range that ends in it" $file "bob:1879048000:193" "FAIL *$file*"
	meets "$file: a range that ends before it" $file "bob:1879048000:192" "PASS *"
	meets "$file: a range behind it" $file "bob:1879048448:65536" "PASS *"
	meets "$file: what is no range" $file "bob:x:" "PASS *"
done
cp "$CONF" "$T/good.conf"
echo "nonsense" >>"$CONF"
is "$(row configuration)" "FAIL $CONF" "a configuration that can not be read"
is "$(cat "$T/doctor.err")" "*banger.conf:[0-9]*: is neither*" "and the line is named"
cp "$T/good.conf" "$CONF"

# ---- udev ----
is "$(row "udev rule")" "" "where no udev runs, nothing reads disks"
mkdir -p /run/udev /etc/udev/rules.d
touch /run/udev/control
cp "$ROOT/privhelper/install/udev.rules" /etc/udev/rules.d/50-banger.rules
is "$(row "udev rule")" "PASS /etc/udev/rules.d/50-banger.rules" \
	"the installed rule knows our loops"
sed -i 's/^KERNEL/#&/' /etc/udev/rules.d/50-banger.rules
is "$(row "udev rule")" "WARN *" "a comment is no rule"
: >/etc/udev/rules.d/50-banger.rules
is "$(row "udev rule")" "WARN *" "an empty file of that name takes the rule away"

# ---- device-mapper ----
mkdir -p "$T/sys/class/misc/device-mapper" "$T/sys/block/dm-0/dm" "$T/sys/block/sda"
mount --bind "$T/sys" /sys
echo BANGER-3-1 >/sys/block/dm-0/dm/uuid
rm -f /etc/blkid.conf
is "$(row "mount by UUID")" "WARN *" "mount by UUID: without a configuration it reads guests' disks"
cp "$ROOT/privhelper/install/blkid.conf" /etc/blkid.conf
is "$(row "mount by UUID")" "PASS *" "mount by UUID: with the one that is installed it does not"
echo EVALUATE=udev,scan >/etc/blkid.conf
is "$(row "mount by UUID")" "WARN *" "mount by UUID: with another one it does"
is "$(row device-mapper)" "PASS *" "only our own devices"
mkdir -p /sys/block/dm-1/dm
echo LVM-abc >/sys/block/dm-1/dm/uuid
is "$(row device-mapper)" "WARN *1 device*" "a volume of the host's"
printf '[storage]\ndm = off\n' >>"$CONF"
is "$(row device-mapper)$(row "mount by UUID")" "" "dm = off: no role holds the control node"
umount /sys

# ---- request logs ----
is "$(row "request logs")" "" "before the first start there is no folder of logs"
mkdir -p "$T/log"
is "$(row "request logs")" "WARN no key was made for: net blk spawn;*" \
	"a service that starts now has logs without a key"
places_make
if [ -n "$(cgroup_mount)" ]; then
	peer_start net
	ask net run >/dev/null
	peer_stop net
	is "$(jq -r .type "$T/net.log" | tail -n 1)" stop "a role writes a log without a key"
	mv "$T/net.log" "$T/net.key" "$T/log/"
	is "$(row "request logs")" "WARN no key was made for: net blk spawn;*" \
		"it is told, although its key is no longer zeros"
else
	skip "a log without a key" "no cgroup v2"
fi
check "audit key makes them" "$B/banger" audit key --config "$CONF"
is "$(row "request logs")" "PASS *" "each has a key then"
rm "$T/log/blk.key"
is "$(row "request logs")" "WARN no key was made for: blk;*" "one that was taken away"
