#!/bin/bash
# Ports and sockets of this host that lead into a real guest without a network: forward, in each of
# its forms and ends.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh" perl

# A guest without a network, with servers in perl.  TCP 7, 10 (of ::1 alone) and a Unix socket echo;
# 8 answers at the end of what it got; 9 ends its own direction first, and keeps what comes then; 11
# says how many connections wait in it; 12 neither reads nor ends; 13 closes its socket at once.
forward_guest() {
	local f
	guest_image
	mkdir -p "$T/guest/run"
	for f in /usr/bin/perl $(ldd /usr/bin/perl | grep -o '/[^ ]*'); do
		install -D "$f" "$T/guest$f"
	done
	cat >"$T/guest/sbin/servers" <<-'PERL'
		$| = 1;
		$SIG{CHLD} = "IGNORE";
		sub serve {
			my ($family, $address, $how) = @_;
			return if fork;
			my $s;
			socket($s, $family, 1, 0) && setsockopt($s, 1, 2, pack("i", 1)) &&
				bind($s, $address) && listen($s, 128) or die "$!";
			chmod 0600, "/run/x.sock" if $family == 1;
			while (accept(my $c, $s)) {
				next if fork;
				$how->($c);
				exit;
			}
		}
		sub echo {
			my $c = shift; my $b;
			while (sysread($c, $b, 65536)) { syswrite($c, $b) }
		}
		sub count {
			my $c = shift; my ($b, $n) = ("", 0);
			$n += length $b while sysread($c, $b, 65536);
			syswrite($c, "got $n\n");
		}
		sub half {
			my $c = shift; my $b;
			syswrite($c, "bye\n"); shutdown($c, 1);
			open(my $f, ">", "/tmp/half");
			print $f $b while sysread($c, $b, 65536);
			close $f;
		}
		sub rest {
			my $c = shift; my $b;
			$0 = "resting";
			syswrite($c, "here\n");
			sysread($c, $b, 1);
		}
		sub bye {
			my $c = shift;
			syswrite($c, "bye\n");
		}
		sub deaf {
			my $c = shift;
			syswrite($c, "here\n");
			sleep 1 while 1;
		}
		my $here = sub { pack("Sna4x8", 2, shift, "\x7f\0\0\1") };
		serve(2, $here->(7), \&echo);
		serve(2, $here->(8), \&count);
		serve(2, $here->(9), \&half);
		serve(2, $here->(11), \&rest);
		serve(2, $here->(12), \&deaf);
		serve(2, $here->(13), \&bye);
		serve(10, pack("SnNa16N", 10, 10, 0, "\0" x 15 . "\1", 0), \&echo);
		serve(1, pack("Sa108", 1, "/run/x.sock"), \&echo);
		sleep 1 while 1;
	PERL
	cat >"$T/guest/sbin/init" <<-'INIT'
		#!/bin/busybox sh
		export PATH=/bin
		/bin/busybox --install -s /bin
		ip link set eth0 down
		ip link set lo up
		echo GUEST-UP
		perl /sbin/servers &
		while :; do sleep 1; done
	INIT
	ln -sf /usr/bin/perl "$T/guest/bin/perl"
	printf 'root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000::/tmp:/bin/sh\n' \
		>"$T/guest/etc/passwd"
	mke2fs -q -F -t ext4 -d "$T/guest" -E root_owner=0:0 "$T/guest.ext4" 48M
}

# A client: connects, sends its standard input, ends its direction, and prints what comes until the
# end.
talk() { # talk PORT|PATH
	perl -e '
		my $to = shift;
		my ($family, $a) = $to =~ m{/} ? (1, pack("Sa108", 1, $to)) :
			(2, pack("Sna4x8", 2, $to, "\x7f\0\0\1"));
		my ($s, $b);
		socket($s, $family, 1, 0) && connect($s, $a) or die "$!\n";
		if (!fork) {
			while (sysread(STDIN, $b, 65536)) {
				while (length $b) {
					my $n = syswrite($s, $b) or exit;
					substr($b, 0, $n) = "";
				}
			}
			shutdown($s, 1);
			exit;
		}
		while (sysread($s, $b, 65536)) { syswrite(STDOUT, $b) }
		wait' "$1"
}
# start_forward WORD...: in the background, as Alice; FORWARD is its pid, $T/forward what it prints
start_forward() {
	: >"$T/forward"
	setpriv --reuid $ALICE --regid $ALICE --clear-groups env -i \
		--default-signal=INT,QUIT PATH="$PATH" HOME="$T/home.$ALICE" \
		BANGER_SOCKET="$T/run/control.sock" "$B/banger" \
		forward --timeout 120s web "$@" >"$T/forward" \
		2>"$T/forward.err" </dev/null &
	FORWARD=$!
	wait_for 60 eval '[ "$(wc -l <"$T/forward")" = '$#' ]'
}
end_forward() { # end_forward SIGNAL: its exit status is in RC
	kill "-$1" $FORWARD
	wait $FORWARD
	RC=$?
}
port_of() { sed -n "${1}s/.*:\([0-9]*\) -> .*/\1/p" "$T/forward"; } # port_of LINE

set_prepare
conf_make slots=2 per_owner=2
forward_guest
did "the set comes up" set_start
did "kernel and image" set_images
check "a VM is created" banger create web --image tiny --memory 192M
check "the VM starts" banger start web
check "the VM is ready" banger wait --for ready web
check "the VM's servers listen, it has no network" wait_for 120 eval \
	'in_guest test -S /run/x.sock && [ "$(in_guest cat /sys/class/net/eth0/operstate)" = down ]'

# ---- each form ----
S=$T/home.$ALICE/x.sock
did "forward listens at ports and a socket" start_forward 0:7 127.0.0.1:0:8 "$S:/run/x.sock" \
	'[::1]:0:9' 0:10 0:11
is "$(sed -n 1p "$T/forward")" "127.0.0.1:[1-9]* -> web:7" "a free port is taken and told"
is "$(sed -n 4p "$T/forward")" "\[::1\]:[1-9]* -> web:9" "an IPv6 address"
is "$(echo hello | talk "$(port_of 1)")" hello "a port to a port"
is "$(echo hello | talk "$S")" hello "a socket to a socket"
is "$(echo hello | talk "$(port_of 5)")" hello "a server of ::1 alone"
is "$(stat -c %a:%u "$S")" "600:$ALICE" "the socket is for its user alone"
refuses "another user can not connect to it" setpriv --reuid $BOB --regid $BOB --clear-groups perl \
	-e 'socket(S,1,1,0); connect(S,pack("Sa108",1,shift)) or exit 1' "$S"
head -c 5000000 /dev/urandom >"$T/data"
check "5 MB there and back are the same bytes" \
	eval '[ "$(talk "$(port_of 1)" <"$T/data" | sha256sum)" = "$(sha256sum <"$T/data")" ]'
check "so are a program with the mark of a session in it" \
	eval '[ "$(talk "$S" <"$B/banger" | sha256sum)" = "$(sha256sum <"$B/banger")" ]'
is "$(talk "$(port_of 2)" <"$T/data")" "got 5000000" \
	"the answer comes after the end of what was sent"

# ---- many at once ----
many() { # many N: the number of N connections at once that get their answer
	local i pids=() good=0
	for i in $(seq "$1"); do
		{ [ "$(echo "number $i" | talk "$(port_of 1)")" = "number $i" ]; } &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" && good=$((good + 1)); done
	echo $good
}
is "$(many 40)" 40 \
	"forty connections at once, more than the VM has ports ($(head -n 1 "$T/forward.err"))"

# ---- what fails ----
did "of another server" eval 'end_forward TERM; start_forward 0:5 "$S:/nosuch"'
is "$RC" 143 "SIGTERM ends it"
is "$(talk "$(port_of 1)" </dev/null)" "" "a port on which nothing listens: the connection ends"
check "and forward says why" wait_for 60 grep -q 'web:5:Connection refused' "$T/forward.err"
is "$(talk "$S" </dev/null)" "" "a socket that is not there: the connection ends"
check "and forward says why" wait_for 60 grep -q 'web:/nosuch:No such file' "$T/forward.err"
is "$(status_of banger forward web "$S:7")" 1 \
	"a socket on which a process listens is not taken over"
end_forward INT
is "$RC/$(stat -c %F "$S" 2>&1 | grep -c socket)" 130/0 "SIGINT ends it, and its socket is removed"
for words in 80 a:80 1:x 1.2.3:4:5 "- 7 8"; do
	# shellcheck disable=SC2086
	is "$(status_of banger forward web $words)" 2 "forward: $words is refused"
done
is "$(status_of as $BOB forward web - 7)" 3 "another user's VM is not found"

# ---- the standard streams ----
is "$(echo hello | banger forward web - 7)" hello "-: the standard streams"
is "$(banger forward web - 8 <"$T/data")" "got 5000000" "-: the end of the input is passed on"
is "$(echo hello | status_of banger forward web - 5)/$(cat "$T/err")" \
	"1/banger: web:5:Connection refused" "-: nothing listens"
is "$(echo hello | banger forward web - /run/x.sock)" hello "-: a socket"
is "$(echo hello | status_of banger forward -u guest web - /run/x.sock)/$(cat "$T/err")" \
	"1/banger: web:/run/x.sock:Permission denied" "--user: with that user's rights"
is "$({ echo early; sleep 1; echo late; } | banger forward web - 9)" bye \
	"-: the other side ends first"
check "what comes then still arrives" wait_for 60 eval '[ "$(in_guest cat /tmp/half)" = "early
late" ]'

# ---- its end is the end of its connections ----
resting() { [ "$(in_guest sh -c 'ps | grep -c "[r]esting"')" = "$1" ]; }
did "again, with the socket of one that was killed" eval \
	'start_forward "$S:11" && end_forward KILL && [ -S "$S" ] && start_forward "$S:11"'
(sleep 300 | talk "$S" >"$T/rest") &
CLIENT=$!
check "a connection that rests" wait_for 60 resting 1
check "what the server says first arrives" wait_for 60 grep -q here "$T/rest"
end_forward KILL
check "kill -9 of forward: the server has lost it" wait_for 60 resting 0
pkill -P $CLIENT 2>/dev/null
wait $CLIENT 2>/dev/null
# Clients that go.  The server neither reads nor ends, and each client has one of the VM's four
# ports.
comes_and_goes() { # comes_and_goes PORT|PATH
	perl -e '
		my $to = shift;
		my ($family, $a) = $to =~ m{/} ? (1, pack("Sa108", 1, $to)) :
			(2, pack("Sna4x8", 2, $to, "\x7f\0\0\1"));
		alarm 120;
		my ($s, $b);
		socket($s, $family, 1, 0) && connect($s, $a) && sysread($s, $b, 5) == 5 &&
			$b eq "here\n" or exit 1' "$1"
}
come_and_go() { # come_and_go N: so many of each kind, one after the other
	local i
	for i in $(seq "$1"); do
		comes_and_goes "$(port_of 1)" && comes_and_goes "$S" || return
	done
}
did "forward of a server that neither reads nor ends" start_forward 0:12 "$S:12"
check "ten clients that go are served, more than the VM has ports" come_and_go 5
end_forward TERM
# Clients that stay when the server has ended its direction, or has closed its socket.
stays() { # stays PORT FILE: prints into FILE what comes until the end, and keeps its socket
	exec perl -e '
		my ($s, $b, $port, $file) = (undef, undef, @ARGV);
		alarm 300;
		my $a = pack("Sna4x8", 2, $port, "\x7f\0\0\1");
		socket($s, 2, 1, 0) && connect($s, $a) or exit 1;
		my $got = "";
		$got .= $b while sysread($s, $b, 100);
		open(my $f, ">", "$file.new"); print $f "$got."; close $f;
		rename("$file.new", $file);
		sleep 1 while 1' "$1" "$2"
}
did "forward of a server that ends first, and of one that closes" start_forward 0:9 0:13
background stays "$(port_of 1)" "$T/stays"
STAYS=($!)
check "a client that sends nothing hears the end of the server's direction" \
	wait_for 120 eval '[ "$(cat "$T/stays" 2>/dev/null)" = "bye
." ]'
for i in 1 2 3 4 5 6; do
	background stays "$(port_of 2)" "$T/stays.$i"
	STAYS+=($!)
done
check "six clients that stay are served, more than the VM has ports" wait_for 120 eval \
	'[ "$(cat "$T"/stays.? 2>/dev/null | grep -c bye)" = 6 ]'
kill "${STAYS[@]}" 2>/dev/null
end_forward TERM
unread() { # unread WORD...: its first line, behind which its reader goes, and its exit status
	timeout 60 setpriv --reuid $ALICE --regid $ALICE --clear-groups env -i PATH="$PATH" \
		HOME="$T/home.$ALICE" BANGER_SOCKET="$T/run/control.sock" "$B/banger" "$@" \
		</dev/null 2>&1 | head -n 1
	echo "${PIPESTATUS[0]}"
}
is "$(unread forward web - 12)" $'here\n141' "-: it ends when its reader is gone"
is "$(unread exec web -- sh -c 'trap "" HUP TERM PIPE; echo here; sleep 1000')" $'here\n141' \
	"so does exec, of whose output and errors nothing is read"
check "nothing of it runs any more" \
	wait_for 60 eval '[ "$(in_guest sh -c "ps | grep -c \"[s]leep 1000\"")" = 0 ]'
did "it is forwarded to once more" start_forward "$S:7"

# ---- its guest reboots ----
resting_client() { talk "$S.11" </dev/zero >"$T/rest"; }
end_forward TERM
did "of another server too" start_forward "$S:7" "$S.11:12"
background resting_client
CLIENT=$!
check "a connection, and a guest that reboots" wait_for 60 grep -q here "$T/rest"
boot=$(boot_id)
in_guest /bin/busybox reboot -f >/dev/null
check "the connection ends" wait_for 120 eval '! kill -0 $CLIENT 2>/dev/null'
check "the guest is there again" wait_for 300 other_boot "$boot"
check "the next connection reaches its server" \
	wait_for 120 eval '[ "$(echo again | talk "$S")" = again ]'
check "by the same forward" kill -0 $FORWARD
banger kill web >/dev/null
wait $FORWARD
is "$?/$(grep -c 'it is stopped' "$T/forward.err")" 5/1 "the end of the VM ends it, and it says so"
banger rm web >/dev/null
