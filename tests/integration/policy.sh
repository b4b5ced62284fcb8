#!/bin/bash
# `banger doctor --policy` compares the running processes with their policies: it finds nothing in a
# set that runs, and names process, field, want and got of whatever was changed.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_set.sh"
needs jq perl nsenter mke2fs
in_ns "$@"
[ -n "$(cgroup_mount)" ] || skip_all "no cgroup v2"
set_prepare
conf_make slots=3
guest_image
did "the set comes up" set_start
export BANGER_SOCKET=$T/run/control.sock
doctor() { "$B/banger" doctor --policy --config "$CONF" -o json 2>"$T/doctor.err"; }
rows() { # rows VERDICT [PROCESS]: the rows with that verdict
	jq -r --arg v "$1" --arg p "${2-}" '.[] |
		select(.verdict == $v and ($p == "" or .name == $p)) | "\(.name): \(.text)"' \
		"$T/report"
}
look() { # look: the status of doctor; its report is in $T/report
	doctor >"$T/report"
	rc=$?
}

# ---- a set as it is started ----
look
is "$rc $(rows FAIL)" "0 " "a set that runs is as its policies say"
is "$(rows PASS)" "policy: 6 processes, 0 of them VMMs: [1-9][0-9][0-9] facts are as *" \
	"all six processes are compared"
set_images
check "a VM is created" as $ALICE vm create web --image tiny
check "and started" as $ALICE vm start web
look
is "$rc $(rows FAIL)" "0 " "with a VM too"
is "$(rows PASS)" "policy: 7 processes, 1 of them VMMs: *" "its VMM is compared"

# ---- sockets that take no descriptors ----
vmm=$(cat "$CGROUP"/vm/0.1.$ALICE/cgroup.procs)
cat >"$T/passrights.pl" <<'EOF'
# pidfd_open(2), pidfd_getfd(2), and SO_PASSRIGHTS of the socket
my $p = syscall(434, $ARGV[0] + 0, 0);
my $fd = syscall(438, $p, $ARGV[1] + 0, 0);
open my $s, "+<&=", $fd or die "$!";
my $v = getsockopt $s, 1, 83;
print defined $v ? unpack "i", $v : "unknown";
EOF
socket_of() { basename "$(find "/proc/$1/fd" -lname 'socket:*')"; } # of a process that has one
if [ "$(perl "$T/passrights.pl" "$(child blk)" 4)" = 1 ]; then # which takes images
	is "$(perl "$T/passrights.pl" "$(child net)" 4)" 0 "the net role can be sent none"
	is "$(perl "$T/passrights.pl" "$SET" "$(socket_of "$SET")")" 0 "nor can the supervisor"
	for fd in 3 4 5 6 7; do
		is "$(perl "$T/passrights.pl" "$vmm" $fd)" 0 "nor the VMM, at its descriptor $fd"
	done
else
	skip "sockets that take no descriptors" \
		"the kernel has no SO_PASSRIGHTS, or keeps other processes' descriptors"
fi

# ---- one thing is changed ----
ctl=$(child controller)
cat >"$T/run/remount.pl" <<'EOF'
my ($path, $flags) = @ARGV; # mount(2) with MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC
my $none = "none";
syscall(165, $none, $path, 0, 0x102e | $flags, 0) == 0 or die "$path: $!";
EOF
remount() { nsenter -t "$ctl" -m perl "$T/run/remount.pl" "$T/log" "$1"; }
check "the controller's view of the request logs becomes writable" remount 0
look
is "$rc $(rows FAIL)" \
	"9 banger-controller: pid $ctl: mount $T/log: want \"ro,nosuid\", got \"rw,*" \
	"the mount is named, and nothing else"
is "$(rows FAIL | wc -l)" 1 "in one row"
check "it is read-only again" remount 1
setpriv --reuid "$((UID_BASE + 1))" --regid "$((UID_BASE + 1))" --clear-groups sleep 600 &
stranger=$!
PIDS+=("$stranger")
echo "$stranger" >"$CGROUP/vm/0.1.$ALICE/cgroup.procs"
wait_for 60 grep -qx sleep "/proc/$stranger/comm" # both of doctor's looks see the same program
look
is "$rc $(rows FAIL)" "9 VMM: pid $stranger: slot 0: runs \"sleep\", which is no VMM" \
	"a stranger in a VM's control group is named, and nothing else"
kill "$stranger"
wait "$stranger" 2>/dev/null
look
is "$rc $(rows FAIL)" "0 " "as it was again, there is no difference"
is "$(rows PASS)" "policy: 7 processes, 1 of them VMMs: *" "and all are there ($vmm)"
refuses "another user is told that this is for root" setpriv --reuid $ALICE --regid $ALICE \
	--clear-groups "$B/banger" doctor --policy --config "$CONF"
check "the VM goes" as $ALICE vm delete web
did "the set stops" set_stop

# ---- a set in which nothing is as it should be: its processes are a script ----
cat >"$T/fake.pl" <<'EOF'
use Socket;
my ($where, $log) = @ARGV;
socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;
bind($s, pack_sockaddr_un($where)) && listen($s, 8) or die;
sub child { # child NAME INSIDE: a process that was called NAME
	my ($name, $inside) = @_;
	my $pid = fork;
	return $pid if $pid;
	syscall(157, 1, 9); # prctl(2), PR_SET_PDEATHSIG: it ends with its parent
	$inside->() if $inside;
	$^F = 255; # what is opened from here on stays open over exec
	open my $held, ">>", $log or die;
	exec { "/bin/sleep" } $name, 600;
}
my @all = map { child($_) } "banger-role-net", "banger-controller";
push @all, child("banger-role-spawn", sub { child("banger-role-spawn") });
$SIG{TERM} = sub { kill "KILL", @all; exit };
open my $ready, ">", "$where.ready";
sleep 1 while 1;
EOF
mkdir -p "$T/log"
install -d -o 64300 -m 755 "$T/fake"
: >"$T/log/net.log"
chmod 666 "$T/log/net.log"
chmod 755 "$T/log"
setpriv --reuid 64300 --regid 64300 --clear-groups perl "$T/fake.pl" "$T/fake/sock" \
	"$T/log/net.log" >"$T/fake.out" 2>&1 &
fake=$!
PIDS+=("$fake")
wait_for 60 test -e "$T/fake/sock.ready"
export BANGER_SOCKET=$T/fake/sock
whole_set() { # as many processes as a set has: three children, and one of the spawn role
	[ "$(pgrep -P "$fake" | wc -l)" = 3 ] &&
		[ "$(pgrep -P "$(pgrep -P "$fake" -f "^banger-role-spawn 600")" | wc -l)" = 1 ]
}
check "the scripts are up" wait_for 60 whole_set
look
is "$rc" 9 "a set of scripts is none"
is "$(rows FAIL banger-role-blk)" "banger-role-blk: want one process, got 0" \
	"a process that is missing is named"
none=0000000000000000
for field in "Uid: want \"$NET_ID * got \"64300 64300 *" "Gid: *" \
	"CapPrm: want \"0000000000001000\", got *" "CapEff: *" "CapBnd: want \"$none\"*" \
	"NoNewPrivs: want \"1\", got \"0\"" \
	"Seccomp: want \"2\", got \"0\"" "Max processes: want at most 0, *" \
	"Max core file size: *" "ns/ipc: want \"its own\", got \"the supervisor's\"" "ns/mnt: *" \
	"mount /: want \"ro,nosuid\", got *" "dumpable: want \"no\", got \"yes\""; do
	# shellcheck disable=SC2053
	found=$(rows FAIL banger-role-net | while read -r line; do
		[[ $line == *": pid "*": "$field ]] && echo found
	done)
	is "$found" found "role net: $field"
done
is "$(rows FAIL banger-controller)" \
	"*descriptor *: want none of \"* got \"reqlog\" ($T/log/net.log)*" \
	"a controller that can write a request log is named"
kill -TERM "$fake"
wait "$fake" 2>/dev/null
look
is "$rc $(rows FAIL)" "9 daemon: no process listens at *" \
	"without a service there is nothing to compare"
