#!/bin/bash
# Tests the life of the whole set: which objects the start makes and with which rights, that each
# process is locked down, that the end of any process ends all, that a stop leaves nothing, and
# which configurations are refused.
. "$(dirname "$0")/lib.sh"
in_ns "$@"
[ -n "$(cgroup_mount)" ] || skip_all "no cgroup v2"
# Run from a copy: root's programs must be in a folder of root's, wherever the tests are built.
conf_make slots=4 users=64200
mkdir -m 755 "$T/libexec"
install -m 755 "$B"/banger-{privhelper,controller,kvmprobe} "$B"/banger-role-* "$T/libexec/"
sed -i "s#^libexec_dir.*#libexec_dir = $T/libexec#" "$CONF"
SUP="$T/libexec/banger-privhelper" SOCK=$T/run/control.sock
P='' receiver=''

up() { # start the set and wait until it says so
	: >"$T/sup.err"
	"$SUP" --config "$CONF" 2>"$T/sup.err" &
	P=$!
	# shellcheck disable=SC2034 # lib.sh ends them
	PIDS=("$P" ${receiver:+"$receiver"})
	wait_for 120 ready_or_gone
	said ready
}
said() { grep -q "banger-privhelper: $1" "$T/sup.err"; }
ready_or_gone() { said ready || ! kill -0 "$P" 2>/dev/null; }
children() { pgrep -P "$P"; }
child() { # the pid of a child by the name it was executed with
	local p
	for p in $(children); do [ "$(tr '\0' ' ' <"/proc/$p/cmdline")" = "$1 " ] && echo "$p"; done
}
ended() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status"; }
all_ended() {
	local p
	for p in "$@"; do ended "$p" || return 1; done
}
status_of() { awk -v k="$2:" '$1 == k { $1 = ""; print substr($0, 2) }' "/proc/$1/status"; }
mode() { stat -c '%a %u:%g' "$1"; }

# ---- start ----
if up; then ok "the set gets ready"; else
	not_ok "the set gets ready" "$(cat "$T/sup.err")"
	exit 1
fi
is "$(mode "$T/run")" "755 0:0" "run_dir"
is "$(mode "$T/run/slots")" "711 0:0" "run_dir/slots"
is "$(findmnt -J "$T/run/slots" | jq -r '.filesystems[0] | .fstype + " " + .options')" \
	"tmpfs *nosuid,noexec*" "its tmpfs"
is "$(findmnt -no OPTIONS "$T/run/slots" | grep -cw nodev)" 0 "nodes work in it"
is "$(mode "$T/run/slots/3")" "2770 $((UID_BASE + 3)):$CTL_ID" "run_dir/slots/3"
is "$(mode "$T/state")" "711 $CTL_ID:$CTL_ID" "state_dir"
is "$(mode "$T/state/slots")" "711 0:0" "state_dir/slots"
is "$(mode "$T/state/slots/3")" "2750 $CTL_ID:$((UID_BASE + 3))" "state_dir/slots/3"
is "$(mode "$T/state/consoles")" "700 $CTL_ID:$CTL_ID" "state_dir/consoles"
is "$(mode "$T/log/net.log")" "640 0:$CTL_ID" "log_dir/net.log"
is "$(mode "$SOCK")" "660 0:64200" "the control socket is for the group of users"
is "$(mode "$CGROUP/vm")" "755 $SPAWN_ID:$SPAWN_ID" "the VMs' control group is the spawn role's"
is "$(mode "$CGROUP/cgroup.procs")" "644 $SPAWN_ID:$SPAWN_ID" \
	"the spawn role may move between the groups, as clone3(2) into a VM's group needs"
is "$(mode "$CGROUP") $(mode "$CGROUP/spawn")" "755 0:0 755 0:0" \
	"the groups above and beside the VMs' are root's"
is "$(mode "$CGROUP/spawn/cgroup.procs") $(mode "$CGROUP/vm/cgroup.procs")" "644 0:0 644 0:0" \
	"the lists of their processes are root's"
mkdir "$CGROUP/vm/0.1.1000"
refuses "no control group is made in a VM's" mkdir "$CGROUP/vm/0.1.1000/sub"
rmdir "$CGROUP/vm/0.1.1000"
launcher() { pgrep -P "$(child banger-role-spawn)"; }
is "$(cat "$CGROUP/spawn/cgroup.procs")" "$(launcher)" "its launcher lives next to it"
# Where the kernel has no such controller here, the log says so, once.
warnings() { grep -c "banger-privhelper: $1" "$T/sup.err"; }
for limit in memory.max pids.max; do
	if [ -e "$CGROUP/vm/$limit" ]; then
		refuses "all VMs together: $limit" grep -qx max "$CGROUP/vm/$limit"
	else
		is "$(warnings "$limit: .*sum of all VMs has no limit")" 1 \
			"all VMs together: no $limit, and it is said"
	fi
	if [ -e "$CGROUP/spawn/$limit" ]; then
		is "$limit $(cat "$CGROUP/spawn/$limit")" "@(pids.max 1|memory.max 268435456)" \
			"the launcher: $limit"
	else
		is "$(warnings "$limit: .*the launcher has no limit")" 1 \
			"the launcher: no $limit, and it is said"
	fi
done

# ---- each process is what it should be ----
net=$(child banger-role-net) blk=$(child banger-role-blk) spawn=$(child banger-role-spawn) \
	ctl=$(child banger-controller)
launcher=$(launcher)
locked() { # locked NAME PID UID CAPS
	local name=$1 p=$2 id=$3 caps=$4
	is "$(status_of "$p" Uid)" "$id $id $id $id" "$name: its uid"
	is "$(status_of "$p" Gid)" "$id $id $id $id" "$name: its gid"
	is "$(status_of "$p" Groups)" "" "$name: no other group"
	is "$(for k in Inh Prm Eff Bnd Amb; do status_of "$p" Cap$k; done | paste -sd' ')" \
		"0000000000000000 $caps $caps 0000000000000000 0000000000000000" \
		"$name: its capabilities"
	is "$(status_of "$p" NoNewPrivs) $(status_of "$p" Seccomp)" "1 2" \
		"$name: no new privileges, a filter"
	is "$(awk '/Max core file size/ { print $6 }' "/proc/$p/limits")" 0 "$name: no core"
	[ "$name" = supervisor ] ||
		is "$(tr '\0' '\n' <"/proc/$p/environ" | grep -vc ASAN_OPTIONS)" 0 \
		"$name: no environment"
}
locked supervisor "$P" $SUP_ID 0000000000000020
locked net "$net" $NET_ID 0000000000001000
locked blk "$blk" $BLK_ID 0000000000200000
locked spawn "$spawn" $SPAWN_ID 0000000000000000
locked launcher "$launcher" $SPAWN_ID 00000000000000c0
locked controller "$ctl" $CTL_ID 0000000000000000
for p in "$net" "$blk" "$spawn"; do
	is "$(awk '/Max processes/ { print $3 }' "/proc/$p/limits")" 0 \
		"$(tr -d '\0' <"/proc/$p/cmdline"): may not fork"
	is "$(awk '/Max file size/ { print $4, $5 }' "/proc/$p/limits")" "1073741824 1073741824" \
		"its log has an end"
done
is "$(ls -x "/proc/$spawn/root/" | xargs)" "proc vm" \
	"the spawn role's root holds the VMs' control groups and a procfs alone"
is "$(ls -x "/proc/$spawn/root/vm" | xargs)" "$(ls -x "$CGROUP/vm" | xargs)" \
	"the control groups are the VMs'"
is "$(readlink "/proc/$spawn/cwd")" "*/vm" "they are its working folder"
is "$(awk '$5 ~ "/proc$" { print ("," $6 ",") ~ ",ro," && ("," $6 ",") ~ ",nosymfollow," }' \
	"/proc/$spawn/mountinfo")" 1 "links of that procfs are not followed"
# descriptors 0 to 3
is "$(find "/proc/$launcher/fd" -mindepth 1 | wc -l)" 4 \
	"its launcher has standard streams, and one line to the role"
is "$(find "/proc/$launcher/fd" -lname 'socket:*' | wc -l)" 1 "which is its only socket"
is "$(find "/proc/$ctl/fd" "/proc/$launcher/fd" -lname '*.log' | wc -l)" 0 \
	"the controller and the launcher have no request log"

# ---- what --print-policy says is what the kernel shows ----
check "any user may ask for the policies" \
	setpriv --reuid 64201 --regid 64201 --clear-groups "$SUP" --print-policy
"$SUP" --print-policy >"$T/policy"
said_of() { # said_of PROCESS WHAT
	awk -v p="$1" -v k="  $2: " '
		$0 == p { on = 1; next }
		/^$/ { on = 0 }
		on && index($0, k) == 1 { print substr($0, length(k) + 1) }' "$T/policy"
}
declare -A bits=([none]=0 [kill]=0x20 [setgid]=0x40 [setuid]=0x80 [net_admin]=0x1000
	[sys_admin]=0x200000)
declare -A titles=([CORE]="Max core file size" [NPROC]="Max processes" [FSIZE]="Max file size"
	[NOFILE]="Max open files" [MEMLOCK]="Max locked memory" [MSGQUEUE]="Max msgqueue size")
# max_disk_mib, its CoW metadata, and the database
largest_file=$(((4 << 30) + (4 << 30) / 128 + (1 << 30)))
own_namespaces() { # own_namespaces PID
	local n
	for n in "/proc/$1"/ns/*; do
		case $n in
		*_for_children) ;;
		*) [ "$n" -ef "/proc/self/ns/${n##*/}" ] || echo "${n##*/}" ;;
		esac
	done | sort | paste -sd' '
}
limits_of() { # limits_of PID TITLE: soft and hard limit
	sed -n "s/^$2  *\([0-9a-z]*\)  *\([0-9a-z]*\) .*/\1 \2/p" "/proc/$1/limits"
}
as_printed() { # as_printed PROCESS PID
	local cap mask=0 limit
	for cap in $(said_of "$1" capabilities); do mask=$((mask | bits[$cap])); done
	is "$(status_of "$2" CapPrm)" "$(printf %016x $mask)" "$1: its capabilities, as printed"
	is "$(own_namespaces "$2")" "$(said_of "$1" namespaces | sed 's/^of the host$//')" \
		"$1: its namespaces, as printed"
	for limit in $(said_of "$1" limits | sed "s/=a-disk/=$largest_file/"); do
		is "$(limits_of "$2" "${titles[${limit%=*}]}")" "${limit#*=} ${limit#*=}" \
			"$1: $limit, as printed"
	done
}
as_printed banger-privhelper "$P"
as_printed banger-role-net "$net"
as_printed banger-role-blk "$blk"
as_printed banger-role-spawn "$spawn"
as_printed banger-launcher "$launcher"
as_printed banger-controller "$ctl"
is "$(grep -c '^[a-zA-Z]' "$T/policy")" 10 "each process and each kind of VMM is printed"
is "$(awk '/^    / && !/: [^:]+$/' "$T/policy")" "" "each call has its reason"
is "$("$SUP" --print-policy 2>&1 >/dev/full; echo $?)" 1 "a full disk is told"
is "$(find "/proc/$P/fd" -lname 'socket:*' | wc -l)" 1 "the supervisor keeps its own line alone"

# ---- callers ----
list() { BANGER_SOCKET=$SOCK setpriv "$@" "$B/banger" vm list 2>&1; }
check "a user is served" list --reuid 64201 --regid 64200 --clear-groups
is "$(list --reuid $((UID_BASE + 3)) --regid 64200 --clear-groups)" \
	"*uid * lies in the range of the VMs' ids*" "not one with a slot's uid"
is "$(list --reuid 64201 --regid 64200 --groups $((UID_BASE + 3)))" \
	"*group * lies in the range of the VMs' ids*" "not one with a slot's group"

# ---- the controller's view of the host ----
for p in "$P" "$net"; do
	check "$(tr -d '\0' <"/proc/$p/cmdline"): in the host's network" test "/proc/$p/ns/net" \
		-ef /proc/self/ns/net
done
is "$(nsenter -t "$ctl" -n ip -j link | jq -r '.[] | .ifname + " " + .operstate' | paste -sd,)" \
	"lo DOWN" "the controller has a network with nothing in it"
point() { awk '{ print $5 }' "/proc/$ctl/mountinfo"; }
system="/|/usr|/usr/.*|/lib|/lib64|/etc/ld.so.cache|/proc|/sys/(class|devices|fs/selinux)"
is "$(point | grep -vxE "$system" | sort)" \
	"$(printf '%s\n' "$CGROUP" "$T"/{state,run,run/slots,log,libexec} | sort)" \
	"and of the host's folders what it needs"
with() {
	awk -v want="$1" '("," $6 ",") ~ "," want "," { print $5 }' "/proc/$ctl/mountinfo" | sort |
		paste -sd' '
}
is "$(with rw)" "$T/run $T/run/slots $T/state" "it writes below state_dir and run_dir alone"
# an option that lacks is not named
without() { comm -23 <(point | sort) <(with "$1" | tr ' ' '\n' | sort) | paste -sd' '; }
is "$(without nosuid)" "" "no mount gives a user id"
is "$(without nodev)" "" "no mount has a device"
linked=$(for p in /lib /lib64 "$T/libexec" /usr; do point | grep -x "$p"; done | sort)
is "$(comm -23 <(point | sort) <(with noexec | tr ' ' '\n' | sort) | grep -vE '^/usr/.')" \
	"$linked" "what it executes is what it is linked with"
is "$(find "/proc/$ctl/root/" "/proc/$ctl/root/etc/" -mindepth 1 -maxdepth 1 -printf '%P\n' |
	sort | paste -sd' ')" "etc ld.so.cache lib lib64 proc sys tmp usr" \
	"there is no /dev, no /run, no /home, no /var"
cat >"$T/run/reach.pl" <<'EOF'
use Socket;
my ($how, @names) = @ARGV;
for (@names) {
	socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;
	my $to = pack_sockaddr_un(s/^@/\0/r);
	if ($how eq "listen") { bind($s, $to) && listen($s, 1) or die; push @keep, $s }
	else { print connect($s, $to) ? "connected\n" : "$!\n" }
}
sleep 60 if $how eq "listen";
EOF
perl "$T/run/reach.pl" listen "$T/daemon.sock" "@banger-test-$$" &
listener=$!
exec 9<"$T" # a user's descriptor, as one that is sent to the controller
names=("$T/daemon.sock" "@banger-test-$$" "/proc/self/fd/9/daemon.sock" "$SOCK")
wait_for 60 eval '[ "$(perl "$T/run/reach.pl" connect "${names[1]}")" = connected ]'
is "$(perl "$T/run/reach.pl" connect "${names[@]}" | paste -sd,)" \
	connected,connected,connected,connected "the host has daemons"
is "$(nsenter -t "$ctl" -m -n perl "$T/run/reach.pl" connect "${names[@]}" | paste -sd,)" \
	"No such file or directory,Connection refused,Too many levels of symbolic links,connected" \
	"the controller reaches those in run_dir alone"
exec 9<&-
kill "$listener"
rm "$T/run/reach.pl"

# ---- stop ----
all="$net $blk $spawn $launcher $ctl"
kill -TERM "$P"
wait "$P"
is $? 0 "SIGTERM ends the supervisor with 0"
# shellcheck disable=SC2086
check "and its children" wait_for 60 all_ended $all
is "$(tail -qn 1 "$T"/log/*.log | jq -r .type | paste -sd' ')" "stop stop stop" \
	"each role wrote its last record"

# ---- any end ends all ----
for victim in banger-role-net banger-role-blk banger-role-spawn banger-controller; do
	up
	all="$(children) $(launcher)"
	kill -KILL "$(child $victim)"
	wait "$P"
	is $? 1 "$victim killed: the supervisor ends with 1"
	# shellcheck disable=SC2086
	check "$victim killed: so do the others" wait_for 60 all_ended $all
	check "$victim killed: the log names it" said "$victim ended: signal 9"
done
up
all="$(children) $(launcher)"
kill -KILL "$(launcher)"
wait "$P"
is $? 1 "the launcher killed: the supervisor ends with 1"
# shellcheck disable=SC2086
check "the launcher killed: so does each other process" wait_for 60 all_ended $all
check "the launcher killed: the log names its role" said "banger-role-spawn ended: status 70"
up
all="$(children) $(launcher)"
kill -KILL "$P"
wait "$P" 2>/dev/null
# shellcheck disable=SC2086
check "the supervisor killed: no child survives" wait_for 60 all_ended $all
up
ctl=$(child banger-controller) all=$(children)
kill -STOP "$ctl"
kill -TERM "$P"
wait "$P"
is $? 0 "a controller that hangs: SIGTERM still ends the set"
# shellcheck disable=SC2086
check "a controller that hangs is killed" wait_for 60 all_ended $all

# A role that is stopped answers nothing, and its socket stays open.
up
all=$(children)
kill -STOP "$(child banger-role-net)"
wait "$P"
is $? 1 "a role that never answers: the supervisor ends with 1"
# shellcheck disable=SC2086
check "a role that never answers: so does each other process" wait_for 60 all_ended $all
is "$(cat "$T/sup.err")" "*banger-controller: the net role is gone*" \
	"a role that never answers: the log names it"

# ---- a second one, and what an earlier one left ----
up
running() { find /proc -maxdepth 2 -name exe -lname "$T/libexec/*" 2>/dev/null | wc -l; }
refused() { # refused NAME: the supervisor does not start, and leaves nothing behind
	local before rc
	before=$(running)
	timeout 20 "$SUP" --config "${2-$CONF}" 2>"$T/refused.err"
	rc=$?
	if [ $rc != 0 ] && [ $rc -lt 124 ] && [ "$(running)" = "$before" ]; then
		ok "$1"
	else
		not_ok "$1" "status $rc, $before then $(running) processes" \
			"$(cat "$T/refused.err")"
	fi
}
refused "a second set at the same places is refused"
check "the first one lives" kill -0 "$P"
kill -KILL "$P"
wait "$P" 2>/dev/null
touch "$T/run/slots/stays"
# A taken-over launcher may leave a process in its control group, in a group below vm/ that belongs
# to no VM, or deeper.
echo max >"$CGROUP/vm/cgroup.max.depth" # as an earlier release had it
lefts=()
for group in spawn spawn/sub vm/foreign vm/0.0.0 vm/0.1.1000 \
	vm/1.1.1000/sub vm/1.1.1000/sub/deep; do
	mkdir -p "$CGROUP/$group"
	chown -R "$SPAWN_ID" "$CGROUP/${group%%/sub*}" # as if the role had made it
	sleep 300 &
	lefts+=($!)
	echo $! >"$CGROUP/$group/cgroup.procs"
done
# A controller with a thread that hangs in the kernel can not be killed, and continues to listen.
rm -f "$SOCK"
perl -MIO::Socket::UNIX -e '
	my $s = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 1) or die;
	sleep 60' "$SOCK" &
hung=$!
wait_for 60 test -S "$SOCK"
name="an earlier controller that can not be killed does not keep the set from starting"
if up; then ok "$name"; else not_ok "$name" "$(cat "$T/sup.err")"; fi
kill "$hung"
check "what a spawn role left in control groups is ended" wait_for 60 all_ended "${lefts[@]}"
groups_below() { find "$CGROUP" -mindepth 1 -type d -printf '%f\n' | sort | xargs; }
no_vm_groups() { [ "$(groups_below)" = "spawn vm" ]; }
wait_for 60 no_vm_groups
is "$(groups_below)" "spawn vm" "the groups of those processes are gone"
kill "${lefts[@]}" 2>/dev/null
# clone3(2) as the spawn role does it, from the role's place: on some kernels a child is killed at
# its birth if cgroup.kill was written to its group before.
mkdir "$CGROUP/vm/born"
# shellcheck disable=SC2016
cat >"$T/born.pl" <<'EOF'
open my $d, "<", shift or die;
my $a = pack("Q11", 0x200000000, (0) x 3, 17, (0) x 5, fileno $d);
my $p = syscall(435, $a, 88);
if (!$p) { exit 7 }
waitpid $p, 0;
print $?;
EOF
is "$(bash -c 'echo 0 >"$1/spawn/cgroup.procs" && exec perl "$2" "$1/vm/born"' - \
	"$CGROUP" "$T/born.pl")" 1792 "a process can be born into a control group beside it"
rmdir "$CGROUP/vm/born"
# A killed process that waits for a device does not exit: here the device is a FUSE server that
# never answers.
cat >"$T/fuse.pl" <<'EOF'
use Fcntl; # mount(2) is call 165; of fuse_init_out only the version is looked at
sysopen(my $f, "/dev/fuse", O_RDWR) or die "/dev/fuse: $!";
my $options = sprintf "fd=%d,rootmode=40000,user_id=0,group_id=0", fileno $f;
my @mount = ("fuse", $ARGV[0], "fuse", 0, $options);
syscall(165, @mount) == 0 or die "mount: $!";
sysread($f, my $ask, 1 << 18) or die;
my $head = pack("LlQ", 80, 0, (unpack "LLQ", $ask)[2]);
syswrite($f, $head . pack("LLLLSSLLSSL8", 7, 31, 0, 0, 0, 0, 4096, 1, 1, 0)) or die;
$| = 1;
print "mounted\n";
print "asked\n" while sysread($f, $ask, 1 << 18);
EOF
kill -TERM "$P"
wait "$P"
mkdir "$T/hangs"
perl "$T/fuse.pl" "$T/hangs" >"$T/fuse.out" 2>"$T/fuse.err" &
fuse=$!
wait_for 60 eval 'grep -q mounted "$T/fuse.out" || ! kill -0 "$fuse"'
# The first waits for the server, the others for the first.
waits() {
	grep -q '^State:.D' "/proc/$1/status" || {
		[ "$1" = "${stuck[0]}" ] && grep -q asked "$T/fuse.out"
	}
}
if grep -q mounted "$T/fuse.out"; then
	stuck=()
	echo max >"$CGROUP/vm/cgroup.max.depth"
	mkdir -p "$CGROUP/spawn" "$CGROUP/vm/foreign" "$CGROUP/vm/1.1.1000/sub"
	chown -R "$SPAWN_ID" "$CGROUP/vm/1.1.1000" # as if the role had made it
	for group in spawn vm/foreign vm/1.1.1000/sub; do
		stat "$T/hangs/x" >/dev/null 2>&1 &
		stuck+=($!)
		wait_for 60 waits $!
		echo $! >"$CGROUP/$group/cgroup.procs"
	done
	name="processes that can not be killed do not keep the set from starting"
	if up; then ok "$name"; else not_ok "$name" "$(cat "$T/sup.err")"; fi
	kill_answers() { grep '"op":"vmm_kill".*"slot":1,.*"status":' "$T/log/spawn.log"; }
	wait_for 60 eval 'kill_answers >/dev/null'
	is "$(kill_answers | tail -n 1)" '*"status":"busy"*' \
		"VMM_KILL of the slot says that it is in use"
	is "$(cat "$CGROUP"/{stuck,vm/foreign,vm/1.1.1000/sub}/cgroup.procs | xargs)" \
		"${stuck[*]}" "they are where the log says"
	check "the log says so" said "processes of an earlier start were killed and do not exit"
	is "$(cat "$CGROUP/spawn/cgroup.procs")" "$(launcher)" \
		"the new launcher has a group of its own"
	for p in "${stuck[@]}"; do
		is "$(grep -c '^State:.D' "/proc/$p/status")" 1 "$p can not run"
	done
	kill -TERM "$P"
	wait "$P"
	kill "$fuse"
	check "once the device answers they exit" wait_for 60 all_ended "${stuck[@]}"
	up
	wait_for 60 no_vm_groups
	is "$(groups_below)" "spawn vm" "the next start removes their groups"
else
	skip "processes that can not be killed" "no FUSE: $(cat "$T/fuse.err")"
	up
fi
check "a stale control socket is replaced" test -S "$SOCK"
check "the slots' tmpfs and what is in it stays" test -e "$T/run/slots/stays"
is "$(findmnt -rn -o TARGET | grep -c "^$T/run/slots$")" 1 "and is mounted once"
kill -TERM "$P"
wait "$P"

# ---- access control lists that a controller has left ----
# acl(5), linux/posix_acl_xattr.h: version 2; owner, user 64201, group, mask, others.
list() { # list NAME FILE
	perl -e '
		my $n = 0xffffffff;
		my $v = pack("V(vvV)5", 2, 1, 7, $n, 2, 7, 64201, 4, 5, $n, 16, 7, $n, 32, 0, $n);
		my $name = "system.posix_acl_$ARGV[0]";
		syscall(188, $ARGV[1], $name, $v, length $v, 0) == 0 or die "$!\n"' "$1" "$2"
}
listed() { find "$T/state" -type d -exec ls -ld {} + | awk '$1 ~ /\+$/' | wc -l; }
if list access "$T/state/slots/0" && list default "$T/state/slots/0" &&
	list default "$T/state/images"; then
	is "$(listed)" 2 "an account has been given more than its mode"
	up
	is "$(listed)" 0 "the next start takes it away"
	kill -TERM "$P"
	wait "$P"
else
	skip "access control lists" "the file system of /tmp has none"
fi

# ---- what is refused ----
wait_for 60 eval '[ "$(running)" = 0 ]' # the launcher ends after its role
chmod 664 "$CONF"
refused "a configuration that a group can write"
chmod 644 "$CONF"
cp "$CONF" "$T/other.conf"
chown $CTL_ID "$T/other.conf"
refused "a configuration of another user's" "$T/other.conf"
sed 's/^count.*/count = 0/' "$CONF" >"$T/other.conf"
chown 0 "$T/other.conf"
refused "a value out of bounds" "$T/other.conf"
is "$(cat "$T/refused.err")" "*other.conf:2: count = 0*" "and the message names the line"
chown $CTL_ID "$T/libexec/banger-role-net"
refused "a role's program that is not root's"
chown 0 "$T/libexec/banger-role-net"
chmod 777 "$T/libexec"
refused "a folder of programs that others can write"
chmod 755 "$T/libexec"
mv "$T/state/slots" "$T/state/slots.away"
ln -s /etc "$T/state/slots"
refused "a link where a folder should be"
rm "$T/state/slots"
install -d -o $CTL_ID -g $CTL_ID "$T/state/slots"
refused "a folder of slots that the controller made"
rm -r "$T/state/slots"
mv "$T/state/slots.away" "$T/state/slots"
ln -f "$T/log/net.log" "$T/log/second"
refused "a request log with a second name"
rm "$T/log/second"
# A wrong line of the configuration names a folder of root's, with files of other programs.
for place in state_dir run_dir log_dir; do
	mkdir -p "$T/foreign/data"
	sed "s#^$place.*#$place = $T/foreign#" "$CONF" >"$T/other.conf"
	refused "$place is a folder of somebody else's" "$T/other.conf"
	is "$(mode "$T/foreign") $(ls "$T/foreign")" "755 0:0 data" "and is left as it was"
done
is "$("$SUP" --version)" "banger-privhelper *" "--version"
refuses "an unknown argument" "$SUP" --frobnicate
refuses "a second argument" "$SUP" --config "$CONF" x
refuses "another user" setpriv --reuid=$CTL_ID --clear-groups "$SUP" --config "$CONF"

# ---- readiness for a service manager ----
"$B/peer" --receive "$T/notify" >"$T/notified" &
receiver=$!
wait_for 60 test -S "$T/notify"
export NOTIFY_SOCKET=$T/notify
up
check "READY=1 is sent" wait_for 60 grep -q READY=1 "$T/notified"
kill -TERM "$P"
wait "$P"
check "STOPPING=1 is sent" wait_for 60 grep -q STOPPING=1 "$T/notified"
kill "$receiver"
