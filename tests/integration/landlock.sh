#!/bin/bash
# Tests the set on a kernel without Landlock: it refuses to start, unless the configuration says
# that it may do without.
. "$(dirname "$0")/lib.sh"
needs perl
in_ns "$@"
[ -n "$(cgroup_mount)" ] || skip_all "no cgroup v2"
conf_make slots=2
mkdir -m 755 "$T/libexec"
install -m 755 "$B"/banger-{privhelper,controller,kvmprobe} "$B"/banger-role-* "$T/libexec/"
sed -i "s#^libexec_dir.*#libexec_dir = $T/libexec#" "$CONF"
# landlock_create_ruleset(2), call 444, fails with EOPNOTSUPP: a seccomp filter of four
# instructions.
cat >"$T/without.pl" <<'EOF'
my $code = join "", map { pack "SCCL", @$_ }
	[0x20, 0, 0, 0], [0x15, 0, 1, 444], [0x06, 0, 0, 0x5005f], [0x06, 0, 0, 0x7fff0000];
syscall(317, 1, 0, pack "S x6 P", 4, $code) == 0 or die "seccomp: $!";
exec @ARGV or die;
EOF
without() { perl "$T/without.pl" "$@"; }
refuses "the kernel looks like one without Landlock" \
	without perl -e 'exit(syscall(444, 0, 0, 1) < 0)'

# start: the set until it is ready or ends; its status is in $rc, "ready" if it got ready
start() {
	: >"$T/set.err"
	perl "$T/without.pl" "$T/libexec/banger-privhelper" --config "$CONF" 2>"$T/set.err" &
	local set=$!
	# shellcheck disable=SC2034 # lib.sh ends it
	PIDS=("$set")
	wait_for 120 eval 'grep -q "banger-privhelper: ready" "$T/set.err" || ! kill -0 '$set
	rc=ready
	grep -q "banger-privhelper: ready" "$T/set.err" || rc=
	if [ -n "$rc" ]; then kill -TERM $set; fi
	wait $set || rc=$?
}
start
is "$rc" 78 "the set refuses to start, and the service manager does not try again"
is "$(cat "$T/set.err")" "*banger-privhelper: $CONF: *landlock = require*no Landlock*set auto*" \
	"it says why, and what to do"
is "$(find "$T/state" "$T/run" "$CGROUP" 2>/dev/null)" "" "it has made nothing"
row() {
	"$B/banger" doctor --config "$CONF" -o json 2>/dev/null |
		jq -r '.[] | select(.name == "landlock") | "\(.verdict) \(.text) \(.hint)"'
}
export BANGER_SOCKET=$T/none
is "$(without bash -c "$(declare -f row); B='$B' CONF='$CONF'; row")" \
	"FAIL not in use*landlock = require*set auto*" "doctor says so without the service"
printf '[security]\nlandlock = auto\n' >>"$CONF"
start
is "$rc" ready "landlock = auto: the set gets ready"
is "$(cat "$T/set.err")" "*banger-controller: this kernel has no Landlock that fits*" \
	"and the controller warns"
is "$(without bash -c "$(declare -f row); B='$B' CONF='$CONF'; row")" "" \
	"doctor leaves it to the service"
