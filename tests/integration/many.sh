#!/bin/bash
# Tests a hundred commands at once, of a hundred users or of one user: starts side by side by the
# command line, Ctrl-C on all of them, kills side by side. crash_vmm.c plays the monitors, so the
# load is on the set. ip, nft and cgroupfs show the result.
# shellcheck source-path=SCRIPTDIR
BANGER_BUILD=${BANGER_BUILD:-$(dirname "$0")/../../build/fail}
. "$(dirname "$0")/lib.sh"
in_ns "$@"
needs jq nft ip mke2fs dpkg-deb
[ -n "$(cgroup_mount)" ] || skip_all "needs cgroup v2"
. "$(dirname "$0")/lib_set.sh"
set_prepare
N=100
crash_places slots=$N per_owner=$N
mke2fs -q -t ext4 "$T/guest.ext4" 4M

populated() { grep -l '^populated 1' "$CGROUP"/vm/*/cgroup.events 2>/dev/null | wc -l; }
there() { echo "$(taps)/$(nft_elems bridge guest)/$(populated)"; }
states() {
	as $ALICE vm list -o json |
		jq -r 'group_by(.state) | map("\(length) \(.[0].state)") | join(", ")'
}
# each WORD...: `banger vm WORD... vmN` for all of them at once; its exit statuses are in $T/each/N
each() {
	local i
	rm -rf "$T/each" && mkdir "$T/each"
	for ((i = 0; i < N; i++)); do
		{
			# A shell starts background commands with Ctrl-C ignored.
			setpriv --reuid $ALICE --regid $ALICE --clear-groups env -i \
				--default-signal=INT PATH="$PATH" \
				HOME="$T/home.$ALICE" BANGER_SOCKET="$T/run/control.sock" \
				"$B/banger" vm "$@" "vm$i" >/dev/null 2>"$T/each/$i.err" &
			echo $! >"$T/each/$i.pid"
			wait $!
			echo $? >"$T/each/$i"
		} &
	done
}
each_end() { wait_for 120 eval '[ "$(find "$T/each" -name "*[0-9]" | wc -l)" = $N ]'; }
statuses() {
	sort "$T/each"/*[0-9] | uniq -c |
		awk '{ printf "%s%d times %d", (NR > 1 ? ", " : ""), $1, $2 }'
}

did "the set comes up" set_start
check "root brings kernel and image" set_images
# ---- a hundred VMs, made by a user without a key ----
each create --image tiny --memory 64M
did "all are made at once" each_end
is "$(statuses)" "$N times 0" "each of them is told that its VM is there"
is "$(states)" "$N created" "there are $N VMs"
is "$(sqlite3 "$T/state/banger.db" "SELECT DISTINCT ssh_key FROM vms")" \
	"$(ssh-keygen -y -f "$T/home.$ALICE/.local/state/banger/id_ed25519" | cut -d" " -f1,2)" \
	"sqlite3, ssh-keygen: all let the same key in, and it is there"

# ---- a hundred starts ----
each start
did "all are asked for at once" each_end
is "$(statuses)" "$N times 0" "each of them is told that its VM runs"
is "$(states) $(there)" "$N running $N/$N/$N" "and it does: list; ip, nft, cgroupfs"
is "$(nft -j list set bridge banger guest |
	jq -c '[.nftables[].set? // empty | .elem[] | (.elem.val // .).concat] |
		[length, (transpose | map(unique | length))]')" \
	"[[]${N},[[]${N},${N},${N}[]][]]" "nft: no tap, MAC or address is two VMs'"
is "$(ip -j -d link show master bgtest |
	jq -c '[.[] | .ifalias | split(":")[1]] | unique | length')" $N "ip: no slot is two VMs'"
each kill
did "all are killed at once" each_end
is "$(statuses)" "$N times 0" "each of them is told that its VM is gone"
is "$(states) $(there)" "$N stopped 0/0/0" "and it is"

# ---- Ctrl-C on all of them, in the middle: monitors that do not answer yet ----
printf h >/usr/local/src/fault
each start
check "all are asked for again" \
	wait_for 60 eval '[ "$(find "$T/each" -name "*.pid" | wc -l)" = $N ]'
for pid in "$T/each"/*.pid; do kill -INT "$(cat "$pid")" 2>/dev/null; done
did "Ctrl-C: all end" each_end
is "$(statuses)" "*times 130*" "Ctrl-C: most by it ($(statuses))"
check "Ctrl-C: what was begun comes to its end" wait_for 120 eval \
	'said=$(states) && [[ -n $said && ! $said =~ starting|stopping|degraded ]]'
running=$(as $ALICE vm list -o json | jq '[.[] | select(.state == "running")] | length')
is "$(there)" "$running/$running/$running" "Ctrl-C: $running run, no more and no fewer are there"
is "$(as 0 host reconcile)" "0 found*" "Ctrl-C: nothing is to be put right"
printf n >/usr/local/src/fault
each start
did "all can be started" each_end
is "$(statuses) $(states) $(there)" "$N times 0 $N running $N/$N/$N" "and run"

# ---- more than one user may have ----
perl -MSocket -e '
	for (1 .. 128) {
		socket($s[$_], AF_UNIX, SOCK_STREAM, 0);
		$( = $) = $< = $> = $ARGV[1] if $_ == 1;
		connect($s[$_], sockaddr_un($ARGV[0])) or die "$!";
	}
	# A connection without a request is closed after 10 s, with one after 300 s.
	syswrite($s[$_], "\x94\x00\x01\xa7version\x90") for 1 .. 128;
	$| = 1;
	print "there\n";
	sleep 300' "$T/run/control.sock" $ALICE >"$T/holds" &
holds=$!
check "alice has as many connections as one may have" wait_for 60 test -s "$T/holds"
each show
did "a hundred more" each_end
is "$(statuses) $(sort -u "$T/each"/*.err | grep -v '^ ' | sed 's/(op .*//')" \
	"$N times 6 banger: connection: too many are open*" "each of them is told why it is refused"
check "root is not" as 0 vm list --all
kill $holds

# ---- and all of them away ----
each delete
did "all are deleted at once" each_end
is "$(statuses) $(states) $(there)" "$N times 0  0/0/0" "nothing of them is left"
is "$(find "$T/state/slots" -mindepth 2)" "" "no file either"
did "a clean stop of the set succeeds" set_stop
