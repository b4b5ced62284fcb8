#!/bin/bash
# Each rule of the filters of the three roles and of the supervisor is used: a rule that nothing
# uses is a right without a reason.  Tests of the roles, and short lives of the other processes, run
# with programs that strace(1) starts.  rules.pl compares what a process calls behind seccomp(2)
# with the lines of --print-policy.  rules_set.sh has the launcher, the VMMs, the controller and
# banger-unpack.
# alone: it runs blk.sh, whose loops are the whole host's
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${BANGER_BUILD:-$PWD/build/release}
skip_all() { echo "ok 1 - rules.sh # SKIP $1"; echo 1..1; exit 0; }
[ "$(id -u)" = 0 ] || skip_all "needs root"
for tool in strace perl jq unshare nft conntrack; do
	command -v $tool >/dev/null || skip_all "needs $tool"
done
[ -x "$B/banger-privhelper" ] && [ -x "$B/peer" ] || skip_all "the programs are not built"
strace -D -qq -o /dev/null true 2>/dev/null || skip_all "strace(1) can not trace here"
grep -q ' - cgroup2 ' /proc/self/mountinfo || skip_all "no cgroup v2"

work=$(mktemp -d /tmp/banger-rules.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$work"
mkdir "$work/programs" "$work/real"
mkdir -m 1777 "$work/trace"
find "$B" -maxdepth 1 -type f -perm -100 -exec install -m 755 -t "$work/real" {} +
for program in "$work"/real/*; do
	name=${program##*/}
	case $name in
	banger-role-* | banger-privhelper) # -D: the program keeps its parent
		printf '#!/bin/sh\nexec strace %s -o %s/trace/%s.$$ %s "$@"\n' \
			"-D -qq -e signal=none -e raw=!execve" "$work" "$name" "$program" \
			>"$work/programs/$name"
		chmod 755 "$work/programs/$name"
		;;
	*) cp "$program" "$work/programs/" ;;
	esac
done

# ---- the supervisor: it ends all four children, each of which hangs; and it has a service manager
# ----
cat >"$work/set.sh" <<'EOF2'
. tests/integration/lib.sh
in_ns "$@"
conf_make slots=2
mkdir -m 755 "$T/libexec"
install -m 755 "$B"/banger-{controller,kvmprobe} "$B"/banger-role-* "$T/libexec/"
sed -i "s#^libexec_dir.*#libexec_dir = $T/libexec#" "$CONF"
for how in hangs stops; do
	rm -f "$T/notify"
	background "$B/peer" --receive "$T/notify"
	wait_for 60 test -S "$T/notify"
	: >"$T/sup.err"
	NOTIFY_SOCKET=$T/notify "$B/banger-privhelper" --config "$CONF" 2>"$T/sup.err" &
	sup=$!
	wait_for 60 grep -q 'banger-privhelper: ready' "$T/sup.err"
	[ "$how" = stops ] || pkill -STOP -P "$sup"
	kill -TERM "$sup"
	wait "$sup"
done
EOF2

# ---- the net role: it makes and removes all that it can, while others remove parts of it ----
cat >"$work/net.sh" <<'EOF2'
. tests/integration/lib.sh
in_ns "$@"
conf_make
peer_start net
ask net run
for op in tap_create guest_allow nat_add; do ask net $op slot=3; done
# A flow of the slot's address, 10.97.0.5, and a guest that ends.
conntrack -I -p udp -s 10.97.0.5 -d 192.0.2.1 --sport 1000 --dport 53 -t 600 -u SEEN_REPLY
for op in nat_remove guest_deny tap_retire; do ask net $op slot=3; done
ask net tap_sweep
for op in tap_create guest_allow nat_add; do ask net $op slot=3 gen=2; done
nft delete table bridge banger
ask net woken 20000
ask net list
ip link del bgr3
ask net woken 20000
ask net list
for op in nat_remove guest_deny tap_retire; do ask net $op slot=3 gen=2; done
ask net tap_sweep
EOF2

export BANGER_BUILD=$work/programs
bash tests/integration/blk.sh >"$work/blk.out" 2>&1
for t in "$work/set.sh" "$work/net.sh" tests/integration/spawn.sh; do
	# shellcheck disable=SC2086
	timeout 300 bash $t >>"$work/out" 2>&1 &
done
wait
RULES_DM=$(grep -w device-mapper /proc/devices)
export RULES_DM
perl tests/integration/rules.pl "$work/real" "$work/trace" role-net role-blk role-spawn privhelper
