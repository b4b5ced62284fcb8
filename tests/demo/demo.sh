#!/bin/bash
# demo.sh - runs an ordinary user's microVM through the whole chain, and proves that nothing of it
# is left.
#
# Everything happens in two network namespaces made here: one is the host that banger manages, the
# other is "the outside".  Exit status 0 only if the guest booted, got its address, reached the
# outside through NAT, ran the command over ssh, and every tap, rule, loop, dm device, cgroup, mount
# and process is gone afterwards.
set -u
cd "$(dirname "$0")/../.." || exit 1
release=$PWD/build/release
cache=$PWD/build/cache
[ "$(id -u)" = 0 ] || {
	echo "demo: needs root (it makes network namespaces): sudo make demo" >&2
	exit 1
}

bold= dim= green= red= off=
[ -t 1 ] && [ -z "${NO_COLOR-}" ] &&
	bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' off=$'\e[0m'
start=$EPOCHREALTIME
since() { awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%6.2fs", b - a }'; }
title() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }
step() { printf '%s%s%s  %s\n' "$dim" "$(since)" "$off" "$*"; }
quote() { sed "s/^/         ${dim}|${off} /"; }

user_uid=61000
ns=bgr-demo-$$ out=bgr-out-$$
work=$(mktemp -d /tmp/banger-demo.XXXXXX) || exit 1
build=$work/bin # a copy: the source tree may be in a folder that only its owner may enter
netns_was=$(findmnt -n /run/netns)
failures=0
helper=

fail() { failures=$((failures + 1)); printf '%s  not so:%s %s\n' "$red" "$off" "$*"; }
inside() { nsenter --net="/run/netns/$ns" "$@"; }
outside() { nsenter --net="/run/netns/$out" "$@"; }
# The ordinary user is unknown to the host. ssh needs a name for the uid, so these commands see a
# passwd file with one.
as_user() {
	nsenter --net="/run/netns/$ns" unshare --mount --propagation private \
		sh -c 'mount --bind "$0" /etc/passwd && exec "$@"' \
		"$work/passwd" setpriv --reuid $user_uid --regid $user_uid --clear-groups \
		env -i HOME="$work/home" PATH="$PATH" TERM="${TERM-dumb}" \
		BANGER_SOCKET="$work/run/control.sock" "$@"
}
banger() { as_user "$build/banger" "$@"; }

# Lists the host's objects, to compare before and after.  Of processes it lists those under a uid of
# the demo's or from its build, because others come and go.
snapshot() {
	echo "== links"; ip -o link | awk '{ print $2 }'
	echo "== nft"; nft list ruleset
	echo "== loops"; losetup -a
	echo "== dm"; command -v dmsetup >/dev/null && dmsetup ls 2>/dev/null
	echo "== cgroups"; find /sys/fs/cgroup -type d -name 'bgr-demo-*'
	echo "== mounts"; awk '{ print $2, $3 }' /proc/mounts
	echo "== processes"
	ps -eo uid=,args= | awk -v exe="$build/banger-" '
		$1 >= 61000 && $1 <= 61005 || $1 >= 1879048192 && $1 < 1879048200 ||
		index($2, exe) == 1'
	echo "== namespaces"; ip netns list | grep bgr-
}

stop_daemons() {
	[ -n "$helper" ] && kill -TERM "$helper" 2>/dev/null && wait "$helper" 2>/dev/null
	helper=
}

cleanup() {
	stop_daemons
	local cg
	[ -d "$work/run/slots" ] && umount "$work/run/slots" 2>/dev/null
	cg=$(findmnt -n -t cgroup2 -o TARGET | head -1)/bgr-demo-$$
	[ -d "$cg" ] && {
		[ -w "$cg/cgroup.kill" ] && echo 1 >"$cg/cgroup.kill"
		sleep 0.1; find "$cg" -depth -type d -exec rmdir {} +
	}
	ip netns del "$ns" 2>/dev/null
	ip netns del "$out" 2>/dev/null
	# ip netns made this mount if it was not there before.
	[ -z "$netns_was" ] && umount /run/netns 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

title "banger: a microVM for an ordinary user, and nothing left behind"
snapshot >"$work/before"
. /etc/os-release
step "host: $PRETTY_NAME, kernel $(uname -r), $(nproc) cores"

# ---- the stage: two namespaces, a wire between them ----
ip netns add "$ns" && ip netns add "$out" || exit 1
ip link add eth0 netns "$ns" type veth peer name eth0 netns "$out"
inside ip addr add 198.51.100.2/24 dev eth0
inside ip link set eth0 up; inside ip link set lo up
inside ip route add default via 198.51.100.1
outside ip addr add 198.51.100.1/24 dev eth0
outside ip link set eth0 up; outside ip link set lo up
step "two network namespaces: the host that banger manages, and the outside (198.51.100.1)"

# ---- the set: supervisor, three roles, controller ----
install -d -m 711 "$work"
install -D -m 755 -t "$build" "$release"/banger*
{ cat /etc/passwd; echo "visitor:x:$user_uid:$user_uid::$work/home:/bin/sh"; } >"$work/passwd"
chmod 644 "$work/passwd"
install -d -m 700 -o $user_uid -g $user_uid "$work/home"
cgroups=$(findmnt -n -t cgroup2 -o TARGET | head -1)
cat >"$work/banger.conf" <<CONF
[slots]
count = 8
uid_base = 1879048192
[network]
bridge = brdemo0
subnet = 172.29.0.0/24
[accounts]
net = 61001:61001
blk = 61002:61002
spawn = 61003:61003
controller = 61004:61004
supervisor = 61005:61005
[places]
state_dir = $work/state
run_dir = $work/run
log_dir = $work/log
cgroup_dir = $cgroups/bgr-demo-$$
libexec_dir = $build
CONF
chmod 644 "$work/banger.conf"
nsenter --net="/run/netns/$ns" "$build/banger-privhelper" --config "$work/banger.conf" \
	2>"$work/helper.err" &
helper=$!
for _ in $(seq 100); do
	[ -S "$work/run/control.sock" ] && banger vm list -o json >/dev/null 2>&1 && break
	kill -0 $helper 2>/dev/null || break
	sleep 0.1
done
banger vm list -o json >/dev/null 2>"$work/err" || {
	cat "$work/helper.err" "$work/err" >&2
	echo "demo: the daemons did not come up" >&2
	exit 1
}
step "the set is up:"
ps -o pid=,uid=,rss=,args= --ppid $helper |
	awk '{ n = split($4, p, "/"); printf "%-22s uid %s, %d KiB resident\n", p[n], $2, $3 }' |
	quote

# ---- the guest ----
# Debian's kernel and a root file system from Debian's packages, kept in build/cache.
mkdir -p "$cache"
title "The guest"
if [ ! -s "$cache/kernel.deb" ]; then
	step "fetching the distribution's kernel package (first run only)"
	tests/kernel.sh >/dev/null ||
		{ echo "demo: can not fetch the kernel package" >&2; exit 1; }
fi
if [ ! -s "$cache/root.ext4" ]; then
	step "building a Debian root file system (first run only; about half a minute)"
	"$build/banger" image build debian --output "$cache/root.ext4.part" 2>"$work/build.err" \
		>/dev/null &&
		mv "$cache/root.ext4.part" "$cache/root.ext4" ||
		{ cat "$work/build.err" >&2; echo "demo: can not build the image" >&2; exit 1; }
fi
cp "$cache/kernel.deb" "$work/home/kernel.deb" && chmod 644 "$work/home/kernel.deb"
exec 9<"$cache/root.ext4"
banger kernel import debian --deb "$work/home/kernel.deb" 2>"$work/err" >/dev/null || {
	cat "$work/err" >&2
	exit 1
}
step "kernel imported, its initramfs built by the user"
banger image import debian /dev/fd/9 --kernel debian 2>"$work/err" >/dev/null || {
	cat "$work/err" >&2
	exit 1
}
step "image imported: $(du -h "$cache/root.ext4" | cut -f1) of Debian $VERSION_ID"

# ---- the run ----
title "\$ banger vm run --rm --nat --name demo -- <command>      (uid $user_uid)"
began=$EPOCHREALTIME
banger vm run --rm --nat --timeout ${DEMO_TIMEOUT:-120s} --name demo --image debian --memory 384M \
	--progress plain -- '
	echo "hello from $(hostname): $(uname -sr), $(. /etc/os-release; echo $PRETTY_NAME)"
	ip -4 -br addr show eth0
	ping -c 2 -W 5 198.51.100.1
	exit 42' >"$work/guest" 2>"$work/stages" &
run=$!
while kill -0 $run 2>/dev/null; do
	sleep 0.2
	# While the VM runs, show it with an administrator's own tools.
	[ -s "$work/mid" ] || ! grep -qE ' boot|ssh' "$work/stages" || {
		inside ip -br link show type tun
		inside nft list set inet banger nat4 | grep elements
		losetup -a | grep banger
		ps -eo uid=,args= | awk '$1 >= 1879048192 && /qemu|firecracker/ {
			print "uid", $1 ":", $2, $3, $4, $5, $6, "..."
			exit
		}'
	} >"$work/mid" 2>/dev/null
done
wait $run
status=$?
took=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
quote <"$work/stages"
[ $status = 42 ] || {
	step "the end of its console:"
	banger vm logs demo 2>/dev/null | tail -n 30 | quote
}
step "what the guest said:"
quote <"$work/guest"
step "what the host's own tools showed meanwhile:"
quote <"$work/mid"
step "the guest's own exit status was 42; banger's: $status; from command to prompt: $took s"
[ $status = 42 ] || fail "exit status $status, not the guest's 42"
grep -q '^hello from demo: Linux' "$work/guest" || fail "no greeting from the guest"
grep -q '172\.29\.0\.' "$work/guest" || fail "the guest has no address of its slot"
grep -qE ' [12] received' "$work/guest" || fail "the guest did not reach the outside through NAT"
grep -q 'bgr0' "$work/mid" || fail "no tap was seen while it ran"

# ---- the record ----
title "What the privileged roles were asked (their own logs)"
cat "$work"/log/*.log |
	jq -rs 'def one(f): map(f // empty) | first;
		map(select(.type == "intent" or .type == "result")) | group_by([.role, .seq]) |
		map({ t: .[0].boot_ns, role: .[0].role, op: one(.op), slot: one(.slot),
			status: one(.status), us: one(.us) }) |
		sort_by(.t) | .[] |
		[.role, .op, (if .slot == null then "" else "slot \(.slot)" end), .status,
			"\(.us) us"] | @tsv' |
	awk -F'\t' '{ printf "%-6s %-16s %-7s %-7s %10s\n", $1, $2, $3, $4, $5 }' >"$work/asked"
quote <"$work/asked"
grep -q nat_add "$work/asked" || fail "nat_add is not in the request log"
grep -q nat_remove "$work/asked" || fail "nat_remove is not in the request log"

# ---- the proof ----
title "Nothing is left"
inside ip -o link show type tun | grep . && fail "a tap is left" ||
	step "no tap in the managed namespace"
inside nft -j list set inet banger nat4 |
	jq -e '[.nftables[].set? // empty | .elem // empty] | length == 0' >/dev/null &&
	step "no NAT element" || fail "a NAT element is left"
inside nft -j list set bridge banger guest |
	jq -e '[.nftables[].set? // empty | .elem // empty] | length == 0' >/dev/null &&
	step "no anti-spoof element" || fail "an anti-spoof element is left"
[ -z "$(find "$cgroups/bgr-demo-$$/vm" -mindepth 1 -type d)" ] && step "no cgroup of a VM" ||
	fail "a cgroup is left"
banger vm list -o json | jq -e 'length == 0' >/dev/null && step "no row in the database" ||
	fail "a VM row is left"
[ -z "$(find "$work/state/slots" "$work/run/slots" -mindepth 2 ! -type b)" ] &&
	step "no file in a slot" ||
	fail "files are left: $(find "$work/state/slots" "$work/run/slots" -mindepth 2 ! -type b)"
stop_daemons
cp "$work/before" "/tmp/banger-demo-before.$$"
cleanup
mkdir -p "$work"
# Init may take a moment to reap a child of a role that has exited.
for _ in {1..50}; do
	snapshot >"$work/after"
	! diff "/tmp/banger-demo-before.$$" "$work/after" >"$work/diff" || break
	sleep 0.2
done
if [ ! -s "$work/diff" ]; then
	step "the host's links, nft rules, loops, dm devices, cgroups and mounts are as before"
	step "no process of banger's is left"
else
	fail "the host differs from before:"
	quote <"$work/diff"
fi
rm -f "/tmp/banger-demo-before.$$"

if [ $failures = 0 ]; then
	printf '\n%sAll of it is true.%s %s in all.\n' "$green" "$off" "$(since | tr -d ' ')"
else
	printf '\n%s%d of it is not true.%s\n' "$red" $failures "$off"
fi
exit $((failures > 0))
