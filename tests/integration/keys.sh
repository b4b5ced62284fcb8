#!/bin/bash
# The keys of the request log that a role has used: none of them, nor a block of a hash with one in
# it, is left in the memory of the role or of its launcher.  As root, from outside, through
# /proc/PID/mem.
. "$(dirname "$0")/lib.sh"
in_ns "$@"
needs perl pgrep jq
conf_make
places_make

# search.pl FIRST-KEY NUMBER PID...: say where 8 bytes in a row of keys 0 to NUMBER - 1 are found.
# What is searched for is a key itself, the first blocks of the two hashes of an HMAC (RFC 2104),
# and the message that gives the next key; each as it is, and in words of four bytes as SHA-256
# loads them.
cat >"$T/search.pl" <<'EOF2'
use strict;
use Digest::SHA qw(sha256);
my ($first, $n, @pids) = @ARGV;
my ($key, %want) = (pack "H*", $first);
sub swapped { join "", map { scalar reverse } $_[0] =~ /(.{4})/gs }
for my $i (0 .. $n - 1) {
	# with the padding of a block (FIPS 180-4)
	my $next = "banger reqlog key$key" . "\x80" . "\0" x 14;
	my %forms = (key => $key, inner => $key ^ "\x36" x 32, outer => $key ^ "\x5c" x 32,
		next => substr($next, 17, 32));
	$forms{"$_ in words"} = swapped($forms{$_}) for qw(key inner outer);
	$forms{"next in words"} = substr swapped(substr $next, 0, 64), 20, 28;
	for my $f (keys %forms) {
		$want{substr $forms{$f}, $_, 8} = "key $i ($f)" for 0 .. length($forms{$f}) - 8;
	}
	$key = sha256("banger reqlog key$key");
}
my $read = 0;
for my $pid (@pids) {
	open my $maps, "<", "/proc/$pid/maps" or die "maps: $!";
	open my $mem, "<:raw", "/proc/$pid/mem" or die "mem: $!";
	my %said;
	while (<$maps>) {
		my ($from, $to, $perms, $name) = /^(\S+)-(\S+) (\S+) \S+ \S+ \S+\s*(.*)/ or next;
		next if $perms !~ /^r/ || $name =~ /^\[v/;
		my $size = hex($to) - hex($from);
		sysseek($mem, hex $from, 0) or next;
		sysread($mem, my $text, $size) or next;
		$read += length $text;
		for my $at (0 .. length($text) - 8) {
			my $what = $want{substr $text, $at, 8} or next;
			my $place = sprintf "%s at %x", $name || "no file", hex($from) + $at;
			print "$pid: $what in $place\n" unless $said{"$what$name"}++;
		}
	}
}
print "read\n" if $read > 100000;
EOF2

first=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
# struct reqlog_state (proto/reqlog.h) of an empty log: all zeros but the key, behind six numbers
# and a hash's text
key_file() {
	perl -e 'print "\0" x (48 + 65), pack("H*", $ARGV[0]), "\0" x (248 - 48 - 65 - 32)' \
		"$first" >"$T/$1.key"
}
# the number of the last record: its key is used up, the next one is not
used() { jq -r .n "$T/$1.log" | tail -n 1; }
residue() { # residue ROLE PID...: what is left of the keys of the records in the log
	local role=$1
	shift
	perl "$T/search.pl" "$first" $(($(used "$role") + 1)) "$@" 2>&1
}
role_pid() { pgrep -P "${PEER_PID[$1]}"; }

for role in net spawn; do
	[ "$role" = net ] || [ -n "$(cgroup_mount)" ] || { skip "$role" "no cgroup v2"; continue; }
	key_file "$role"
	peer_start "$role"
	[ "$(ask "$role" run)" = ok ] || {
		skip "$role: keys" "it does not start here: $(tail -n 1 "$T/$role.err")"
		peer_stop "$role"
		continue
	}
	is "$(head -n 1 "$T/$role.log" | jq -r .n)" 0 "$role: the log begins with the first key"
	pids=$(role_pid "$role")
	[ "$role" != spawn ] || pids+=" $(pgrep -P "$pids")"
	# shellcheck disable=SC2086
	is "$(residue "$role" $pids)" read \
		"$role: none of the keys that it used at its start is in its memory"
	for _ in {1..20}; do ask "$role" list >/dev/null; done
	# shellcheck disable=SC2086
	is "$(residue "$role" $pids)" read "$role: nor is one of those that it used later"
	# What would be found: the key of the next record, which the role has to have.
	# shellcheck disable=SC2086
	is "$(perl "$T/search.pl" "$first" $(($(used "$role") + 2)) $pids | head -n 1)" \
		"* key $(($(used "$role") + 1)) (*" "$role: the next key is found"
	peer_stop "$role"
done
