#!/bin/bash
# Each rule of the filters of the three roles and of the supervisor is used: a rule that nothing
# uses is a right without a reason.  Tests of the roles, and short lives of the other processes, run
# with programs that strace(1) starts.  What a process calls behind seccomp(2) is compared with the
# lines of --print-policy.  A rule that names a descriptor counts if as many different descriptors
# were seen as there are such rules.
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
			"-D -qq -e signal=none -e raw=all" "$work" "$name" "$program" \
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
	wait_for 30 test -S "$T/notify"
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

cat >"$work/compare.pl" <<'EOF2'
use strict;
my ($work, @processes) = @ARGV;
open my $devices, "<", "/proc/devices" or die;
my $dm = grep { /device-mapper/ } <$devices>;
# What no test here can use, and why.
my @excuses = (
	[qr/./, qr/^(rt_sigreturn|restart_syscall)$/, "only after a signal that came in a call"],
	[qr/./, qr/^clock_gettime$/, "only where the vDSO has no clock"],
	[qr/./, qr/^(newfstatat|fstat|poll|ppoll)\b/, "the C library calls one of two"],
	[qr/blk/, qr/^ioctl arg1 = 0x[0-9a-f]+ \(DM_/,
		"the kernel has no device-mapper: blk_dm_guest.sh and the guest use it", !$dm],
);
my ($n, $bad) = (0, 0);
sub say_test {
	my ($ok, $name, @why) = @_;
	$n++;
	$bad ||= !$ok;
	print $ok ? "ok" : "not ok", " $n - $name\n", map { "# $_\n" } @why;
}

my (%rules, $process);
open my $policy, "-|", "$work/real/banger-privhelper", "--print-policy" or die;
while (<$policy>) {
	$process = $1 if /^(\S+)/;
	next unless /^    ((\w+)(.*?)): [^:]*$/;
	my ($text, $name, %is) = ($1, $2);
	next if $text =~ /->/;
	while ($text =~ /arg(\d)(?: & (0x[0-9a-f]+))? = (?:(0x[0-9a-f]+|0)\b|(<[^>]*>))/g) {
		$is{$1} = defined $4 ? undef : [defined $2 ? hex $2 : ~0, hex $3];
	}
	push @{ $rules{$process} },
		{ text => $text, name => $name, is => \%is, seen => 0, fds => {} };
}
sub fits { # FITS RULE ARGUMENTS: the values that the rule states
	my ($rule, $args) = @_;
	for (keys %{ $rule->{is} }) {
		my $want = $rule->{is}{$_} or next;
		return 0 if !defined $args->[$_] || ($args->[$_] & $want->[0]) != $want->[1];
	}
	return 1;
}
sub key_of { # key_of RULE: its call with the values that it states
	my ($rule) = @_;
	my @stated = grep { defined $rule->{is}{$_} } sort keys %{ $rule->{is} };
	return join " ", $rule->{name}, map { "$_=$rule->{is}{$_}[1]" } @stated;
}
sub is_open { # is_open RULE: whether it has an argument without a value
	my ($rule) = @_;
	return scalar grep { !defined } values %{ $rule->{is} };
}
for my $process (@processes) {
	my $calls = 0;
	for my $file (glob "$work/trace/$process.*") {
		open my $trace, "<", $file or die;
		my ($locked, %fds);
		while (<$trace>) {
			my ($call, $args) = /^(\w+)\(([^)<]*)/ or next;
			$calls += $locked //= 0;
			# other calls of seccomp(2) ask what the kernel can
			$locked ||= $call eq "seccomp" && $args =~ /^0x1,/ && / = 0$/;
			next if !$calls;
			my @values = map { hex } split /, /, $args;
			my @called = grep { $_->{name} eq $call } @{ $rules{$process} };
			my @fit = grep { fits($_, \@values) } @called;
			my @exact = grep { !is_open($_) } @fit;
			my @narrow = grep { %{ $_->{is} } } @exact;
			$_->{seen} = 1 for @narrow ? @narrow : @exact;
			next if @narrow;
			for my $rule (grep { my $r = $_; !grep { $_ == $r } @exact } @fit) {
				my ($arg) = grep { !defined $rule->{is}{$_} } keys %{ $rule->{is} };
				my $key = key_of($rule);
				$fds{$key}{ $values[$arg] } = 1;
				my @same = grep { key_of($_) eq $key && is_open($_) } @called;
				if (keys %{ $fds{$key} } >= @same) { $_->{seen} = 1 for @same }
			}
		}
	}
	say_test($calls > 20, "$process: its calls are seen ($calls)");
	for my $rule (@{ $rules{$process} }) {
		my $name = "$process: $rule->{text} is used";
		my ($excuse) = grep { $process =~ $_->[0] && $rule->{text} =~ $_->[1] &&
			(@$_ < 4 || $_->[3]) } @excuses;
		if ($rule->{seen}) {
			say_test(1, $name);
		} elsif ($excuse) {
			$n++;
			print "ok $n - $name # SKIP $excuse->[2]\n";
		} else {
			say_test(0, $name, "nothing uses it: take it out of the table, " .
				"or give it an excuse here");
		}
	}
}
print "1..$n\n";
exit $bad;
EOF2

export BANGER_BUILD=$work/programs
bash tests/integration/blk.sh >"$work/blk.out" 2>&1
for t in "$work/set.sh" "$work/net.sh" tests/integration/spawn.sh; do
	# shellcheck disable=SC2086
	timeout 300 bash $t >>"$work/out" 2>&1 &
done
wait
perl "$work/compare.pl" "$work" banger-role-net banger-role-blk banger-role-spawn banger-privhelper
