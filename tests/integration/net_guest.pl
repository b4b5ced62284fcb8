#!/usr/bin/perl
# net_guest.pl - plays a guest on a tap: net_guest.pl NODE TAP MAC IP [DUMP]
#
# Answers ARP for IP and ICMP echo to it, as MAC. Reads commands, prints one line for each:
#   ping SMAC SIP DMAC DIP [vlan]   an ICMP echo request         -> reply | none
#   arp SMAC SHA SPA TPA            an ARP request                -> reply MAC | none
#   flood PROTO N SMAC SIP DMAC DIP FIRST   N packets (udp, syn, rst), from the ports FIRST...   -> sent
#   raw HEX                         a frame as it is              -> sent
#   wait MS                         serve for a while             -> seen N (frames so far that another guest sent)
# All numbers of ioctls are those of <linux/if_tun.h>; a frame has 10 bytes of virtio header before it.
use strict;
use warnings;
use Socket qw(inet_aton);
use Time::HiRes qw(time);

my ($node, $tap, $mac, $ip) = @ARGV;
$| = 1;
open(my $fd, '+<', $node) or die "open: $!\n";
my $ifr = pack('a16 s x22', $tap, 0x0002 | 0x1000 | 0x4000);    # IFF_TAP, IFF_NO_PI, IFF_VNET_HDR
ioctl($fd, 0x400454ca, $ifr) or die "attach: $!\n";             # TUNSETIFF
print "attached\n";

my $strange = 0;
sub hex_mac { my $m = shift; $m =~ s/://g; return pack('H12', $m) }
sub text_mac { return join(':', unpack('(H2)6', shift)) }
my ($me, $my_ip) = (hex_mac($mac), inet_aton($ip));

sub put { syswrite($fd, ("\0" x 10) . $_[0]) }

sub sum {
	my $s = 0;
	$s += $_ for unpack('n*', $_[0] . "\0" x (length($_[0]) & 1));
	$s = ($s & 0xffff) + ($s >> 16) while $s >> 16;
	return ~$s & 0xffff;
}

sub ip {
	my ($src, $dst, $proto, $body) = @_;
	my $h = pack('CCnnnCCna4a4', 0x45, 0, 20 + length($body), 1, 0, 64, $proto, 0, $src, $dst);
	substr($h, 10, 2) = pack('n', sum($h));
	return $h . $body;
}

sub icmp {
	my ($src, $dst, $type, $rest) = @_;
	my $body = pack('CCn', $type, 0, 0) . $rest;
	substr($body, 2, 2) = pack('n', sum($body));
	return ip($src, $dst, 1, $body);
}

# To port 9: a datagram without a checksum, a SYN, or the RST that ends what its answer began.
sub packet {
	my ($proto, $src, $dst, $port) = @_;
	return ip($src, $dst, 17, pack('nnnn', $port, 9, 8, 0)) if $proto eq 'udp';
	my ($seq, $flags) = $proto eq 'syn' ? (1, 2) : (2, 4);
	my $tcp = pack('nnNNCCnnn', $port, 9, $seq, 0, 5 << 4, $flags, 1024, 0, 0);
	substr($tcp, 16, 2) = pack('n', sum(pack('a4a4nn', $src, $dst, 6, length($tcp)) . $tcp));
	return ip($src, $dst, 6, $tcp);
}

# One frame from the host: answered here, or handed back as what it is.
sub take {
	my $n = sysread($fd, my $f, 65536);
	return '' unless $n && $n > 24;
	$f = substr($f, 10);
	my ($dst, $src, $type) = unpack('a6a6n', $f);
	my $p = substr($f, 14);
	$strange++ if substr($src, 0, 4) eq "\x02\xfc\0\0";
	if ($type == 0x0806) {
		my ($op, $sha, $spa, $tha, $tpa) = unpack('x6na6a4a6a4', $p);
		if ($op == 1 && $tpa eq $my_ip) {
			put($sha . $me . pack('n', 0x0806) . pack('nnCCna6a4a6a4', 1, 0x0800, 6, 4, 2, $me, $my_ip, $sha, $spa));
		}
		return 'arp ' . text_mac($sha) if $op == 2 && $dst eq $me;
	} elsif ($type == 0x0800) {
		my ($proto, $s, $d) = unpack('x9Cx2a4a4', $p);
		return '' unless $proto == 1;
		my ($t, $rest) = unpack('Cx3a*', substr($p, 20));
		put($src . $me . pack('n', 0x0800) . icmp($d, $s, 0, $rest)) if $t == 8 && $dst eq $me && $d eq $my_ip;
		return 'echo' if $t == 0 && $dst eq $me;
	}
	return '';
}

# Until $want comes, or time is over and no frame is left: a machine that stands still for that time
# has the answer in its queue.
sub serve {
	my ($want, $ms) = @_;
	my $end = time + $ms / 1000;
	while (1) {
		my $left = $end - time;
		my $r = '';
		vec($r, fileno($fd), 1) = 1;
		unless (select($r, undef, undef, $left > 0 ? $left : 0)) {
			last if $left <= 0;
			next;
		}
		my $got = take();
		return $got if $want && index($got, $want) == 0;
	}
	return '';
}

sub command {
	my ($what, @a) = @_;
	if ($what eq 'ping') {
		my $tag = defined $a[4] ? pack('nn', 0x8100, 5) : '';
		put(hex_mac($a[2]) . hex_mac($a[0]) . $tag . pack('n', 0x0800) .
			icmp(inet_aton($a[1]), inet_aton($a[3]), 8, pack('nn', $$ & 0xffff, 1)));
		return serve('echo', 400) ? 'reply' : 'none';
	} elsif ($what eq 'arp') {
		put("\xff" x 6 . hex_mac($a[0]) . pack('n', 0x0806) . pack('nnCCna6a4a6a4', 1, 0x0800, 6, 4, 1,
			hex_mac($a[1]), inet_aton($a[2]), "\0" x 6, inet_aton($a[3])));
		my $got = serve('arp', 400);
		$got =~ s/^arp/reply/;
		return $got || 'none';
	} elsif ($what eq 'flood') {
		put(hex_mac($a[4]) . hex_mac($a[2]) . pack('n', 0x0800) . packet($a[0], inet_aton($a[3]), inet_aton($a[5]), $a[6] + $_))
			for 0 .. $a[1] - 1;
		return 'sent';
	} elsif ($what eq 'raw') {
		put(pack('H*', $a[0]));
		return 'sent';
	}
	serve('', $a[0]);
	return "seen $strange";
}

my $line = '';
while (1) {
	my $r = '';
	vec($r, 0, 1) = 1;
	vec($r, fileno($fd), 1) = 1;
	select($r, undef, undef, undef);
	take() if vec($r, fileno($fd), 1);
	next unless vec($r, 0, 1);
	sysread(STDIN, $line, 4096, length $line) or last;
	print command(split ' ', $1), "\n" while $line =~ s/^(.*)\n//;
}
