#!/bin/bash
# run.sh [WORD...] - boot the test guest, run the scenarios with one of the words in their name, all
# without; count their TAP.  Those in host/ run here, beside the guests.
# run.sh --shell - the same guest, and a shell of root's in it; the disk is thrown away afterwards.
#
# GUESTS of them (two) run side by side, each with a disk of its own, and take the next scenario
# when they are done with one, the long ones first; with GUESTS_AFTER=FILE all but the first begin
# when there is that file.  The TAP of a scenario is printed whole, in the order of names; one that
# fails is named at once.
#
# A guest's boot serves all its scenarios, but for those that ask for another: status 93 is a clean
# reboot, 94 a power cut, after which the scenario is called again with the next phase.  Words that
# it left in /root/next-cmdline are added to the kernel's command line for that one boot.  Every
# wait has an end; a guest that dies shows its console.
set -u
cd "$(dirname "$0")/../.." || exit 1
scenarios=tests/guest/scenarios host=tests/guest/host
# The longest, longest first, so that none of them runs alone in the end; the others follow by name.
# The first is what the others build on.
long="00-host 70-bad-days 30-selinux 40-neighbours 15-broken-disk 50-vm 60-power 80-crash"
long+=" 32-selinux-probe 10-dm 20-systemd 31-selinux-policy"
BOOT_SECONDS=300 SCENARIO_SECONDS=1800
. tests/guest/release.sh
guest=$PWD/$cache/guest
passed=0 failed=0 skipped=0 qemu=
closing() { echo "$passed passed, $failed failed, $skipped skipped"; [ $failed = 0 ]; exit; }
skip_all() { echo "ok 1 - the test guest # SKIP $*"; skipped=1; closing; }

[ "$(uname -m)" = x86_64 ] || skip_all "the guest is x86-64"
[ "$(id -u)" = 0 ] || skip_all "needs root, to build its disk"
{ bash tests/guest/build.sh && bash tests/guest/image.sh; } || {
	echo "not ok 1 - the test guest's disks can be built"; failed=1; closing
}
top=$(mktemp -d build/guest.XXXXXX) work=$top
end() { # the guests too
	local pid
	for pid in $(cat "$top"/*/qemu.pid 2>/dev/null); do kill -9 "$pid" 2>/dev/null; done
	rm -rf "$top"
}
trap end EXIT
trap 'exit 130' INT TERM

# light_kernel DEB OUT: the same package, in a form that the emulator unpacks in a tenth of the time
light_kernel() {
	local d=$work/deb
	mkdir "$d" && ar x --output "$d" "$1" && [ -e "$d/data.tar.xz" ] &&
		xz -dc "$d/data.tar.xz" | zstd -q -1 >"$d/data.tar.zst" &&
		ar rc "$2" "$d/debian-binary" "$d"/control.tar.* "$d/data.tar.zst"
	rm -rf "$d"
	[ -s "$2" ] || cp "$1" "$2"
}

# ---- what it is given: the tree with the built programs, as a tar on its second disk ----
payload() {
	local places extra
	# where scenarios look for them
	places="s,^$programs/,build/,;s,^$cache/,build/cache/,"
	places+=";s,^.*/light-kernel,build/cache/light-kernel,"
	extra=(--transform "$places")
	git ls-files -co --exclude-standard >"$work/files" 2>/dev/null ||
		find . -type f -not -path './build/*' -not -path './.git/*' >"$work/files"
	find "$programs/release" -type f -not -path '*/unit/*' -not -name '*.a' >>"$work/files"
	find "$programs/fail" -maxdepth 1 -type f -perm -100 2>/dev/null >>"$work/files"
	ls "$cache/kernel.deb" "$cache"/guest/*.ext4 \
		"$programs"/selinux/*.pp 2>/dev/null >>"$work/files"
	if command -v firecracker >/dev/null; then
		install -m 755 "$(command -v firecracker)" "$work/firecracker"
		extra+=(--transform 's,^.*/guest\.[^/]*/firecracker,firecracker,')
		extra+=("$work/firecracker")
	fi
	light_kernel "$cache/kernel.deb" "$work/light-kernel.deb"
	echo "$work/light-kernel.deb" >>"$work/files"
	tar cSf "$top/payload" --owner 0 --group 0 --verbatim-files-from "${extra[@]}" \
		-T "$work/files"
}

# ---- the machine ----
ssh_opts=(-i "$guest/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
	-o LogLevel=ERROR -o BatchMode=yes -o ConnectTimeout=10
	-o ServerAliveInterval=20 -o ServerAliveCountMax=6)
# inside SECONDS COMMAND: a guest may live and not answer
inside() { timeout -k 10 "$1" ssh "${ssh_opts[@]}" -p "$port" root@127.0.0.1 "${@:2}"; }
alive() { [ -n "$qemu" ] && kill -0 "$qemu" 2>/dev/null; }
console() { # the end of what it said; why it does not answer, if it does not
	alive && ask_why
	tr -d '\r' <"$work/console" | tail -n 160 | sed 's/^/  | /'
	tail -n 5 "$work/qemu.err" | sed 's/^/  | /'
}

# A kernel that does not answer may still hear its keyboard, and says what its processors do and
# what is blocked; or an NMI.
ask_why() {
	perl -MIO::Socket::UNIX -e '
		my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit;
		$s->autoflush(1);
		for ("sendkey alt-sysrq-l", "sendkey alt-sysrq-w", "info cpus", "nmi") {
			print $s "$_\n";
			sleep 3;
		}' "$work/monitor"
}

# The emulator translates code again at each other address, so programs lie at the same ones each
# time.  It does "rep movsb" byte by byte (erms), ends a translation at each stac and clac (smap),
# forgets its TLB when PKRU changes (pku), and walks five levels of tables (la57).  Mitigations cost
# it several jumps for one, and pages that are cleared twice (init_on_alloc) twice the time. The
# kernel expects ticks of its timer within 40 ms as it tests it (no_timer_check): a busy host may
# deliver them later.
#
# The guest has one processor.  With two, QEMU before 8.1 can keep a translation of kernel text that
# the other one has just patched, so that a guest hangs; and at times it mixes up a nested guest and
# its host, so that nested ones stand still.  Two guests keep two processors of this host busy.
lean_cpu=max,-erms,-smap,-smep,-pku,-la57,-umip,-mpx
lean_kernel="no_timer_check norandmaps nokaslr mitigations=off init_on_alloc=0"

free_port() {
	perl -MIO::Socket::INET -e '
		print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

boot() { # boot [KERNEL PARAMETERS]: false when it does not answer in time
	local until=$((SECONDS + BOOT_SECONDS)) began=$SECONDS cmdline
	port=$(free_port)
	cmdline="console=ttyS0 quiet panic=-1 security=selinux selinux=1 enforcing=1"
	cmdline+=" audit=1 audit_backlog_limit=8192 tsc_early_khz=$tsc tsc=reliable"
	cmdline+=" sysrq_always_enabled unknown_nmi_panic $lean_kernel ${1-}"
	qemu-system-x86_64 -name banger-test -M q35 -accel tcg,thread=multi \
		-cpu $lean_cpu -smp 1 -m 3072 \
		-nodefaults -no-user-config -display none -no-reboot \
		-monitor "unix:$work/monitor,server=on,wait=off" \
		-serial "file:$work/console" \
		-drive "file=$work/disk,format=raw,if=virtio,cache=unsafe" \
		-drive "file=$top/payload,format=raw,if=virtio,readonly=on" \
		-netdev "user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:$port-:22" \
		-device virtio-net-pci,netdev=n -device virtio-rng-pci \
		-kernel "$guest/vmlinuz" -initrd "$guest/initrd" -append "$cmdline" \
		</dev/null >/dev/null 2>"$work/qemu.err" &
	qemu=$!
	echo $qemu >"$work/qemu.pid"
	until inside 30 true 2>/dev/null; do
		alive && [ $SECONDS -lt $until ] || return 1
		sleep 0.5
	done
	echo "# the test guest is up after $((SECONDS - began)) s"
}

power_off() { # the clean way, else the other
	inside 150 systemctl poweroff >/dev/null 2>&1
	# guests that ignore their power button have a minute
	timeout 300 tail --pid="$qemu" -f /dev/null ||
		echo "# the test guest does not end: its power is cut"
	cut_power
}

cut_power() {
	[ -n "$qemu" ] || return 0
	kill -9 "$qemu" 2>/dev/null
	wait "$qemu" 2>/dev/null
	rm -f "$work/qemu.pid"
	qemu=
}

# ---- scenarios ----
# count NAME STATUS: the TAP in $work/tap; a script that ends badly, or says nothing, has failed
count() {
	local ok bad skip
	skip=$(grep -cE '^ok .*# SKIP' "$work/tap")
	ok=$(($(grep -cE '^ok ' "$work/tap") - skip))
	bad=$(grep -cE '^not ok ' "$work/tap")
	case $2 in
	0 | 93 | 94) ;;
	*) [ "$bad" != 0 ] || { echo "not ok - $1 ended with status $2"; bad=1; } ;;
	esac
	[ $((ok + bad + skip)) != 0 ] || { echo "not ok - $1 tested nothing"; bad=1; }
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	[ "$bad" = 0 ] || ! alive ||
		inside 60 'journalctl -b -n 2000 --no-pager -o short-monotonic' 2>/dev/null |
		grep -vE 'sshd|systemd-logind|USER_|CRED_|PROCTITLE' | tail -n 60 | sed 's/^/  | /'
}

phase() { # phase NAME N: one call; its status
	local client
	: >"$work/tap" # there before anyone reads it
	timeout -k 10 $SCENARIO_SECONDS ssh "${ssh_opts[@]}" -p "$port" root@127.0.0.1 \
		"cd /root/banger && exec bash $scenarios/$1.sh $2" >>"$work/tap" 2>"$work/err" \
		</dev/null &
	client=$!
	tail --pid=$client -n +1 -f "$work/tap" 2>/dev/null |
		grep --line-buffered -E '^(ok|not ok|#|1\.\.)' &
	while kill -0 $client 2>/dev/null; do
		alive || kill $client 2>/dev/null
		sleep 0.2
	done
	wait $client
	local rc=$?
	[ $rc != 94 ] || cut_power # at once: what it holds in memory alone is lost
	wait $! 2>/dev/null
	[ $rc = 0 ] || [ $rc = 93 ] || [ $rc = 94 ] || tail -n 40 "$work/err" | sed 's/^/  | /'
	return $rc
}

# on a busy host a login may take long
answers() { alive && { inside 30 true || inside 120 true; } 2>/dev/null; }

ensure_up() { # boot what is down; false when that does not go
	answers || { cut_power; boot "${1-}"; }
}

fresh() { # a new disk with the tree on it, booted; false when that does not go
	cut_power
	cp --sparse=always --reflink=auto "$guest/base.raw" "$work/disk"
	boot && inside 300 \
		'mkdir -p /root/banger && tar xf /dev/vdb -C /root/banger && cd /root/banger &&
		if [ -e firecracker ]; then mv firecracker /usr/local/bin/; fi &&
		restorecon -RF /root /usr/local'
}

# phases NAME: all of them; false when the guest dies under them, or a nested one stands still
phases() {
	local name=$1 n=1 rc words=
	while ensure_up "$words"; do
		words=
		phase "$name" $n
		rc=$?
		[ $rc = 94 ] || answers || return 1
		[ $rc != 95 ] || return 1
		count "$name" $rc
		case $rc in
		93)
			words=$(inside 150 'cat /root/next-cmdline 2>/dev/null
				rm -f /root/next-cmdline; sync')
			power_off ;;
		94) ;;
		124 | 137) # its shell goes on in the guest
			fresh || console
			return 0 ;;
		*) return 0 ;;
		esac
		n=$((n + 1))
	done
	return 1
}

# A kernel that dies under a program without a bug of its own is the emulator's doing.  Then nothing
# of the scenario counts, and it is run again, twice at most.
scenario() {
	local before="$passed $failed $skipped" try
	for try in 1 2 3; do
		echo "# guest $1"
		phases "$1" && return
		console
		read -r passed failed skipped <<<"$before"
		echo "# the kernel of the test guest died under $1, try $try of 3"
		fresh || console
	done
	echo "not ok - the test guest lives through $1"
	failed=$((failed + 1))
}

# ---- the guests: each takes the next scenario, until there is none ----
next() { # next: the name of the next scenario; false when there is none
	local name
	exec 9<>"$top/queue.lock"
	flock 9
	read -r name <"$top/queue" && sed -i 1d "$top/queue" && echo "$name"
}

ended() { # ended NAME SECONDS: what it has counted; who fails is told at once
	echo "$passed $failed $skipped $2" >"$top/$1.part"
	mv "$top/$1.part" "$top/$1.count"
	[ $failed = 0 ] || echo "# FAILED: $1 after $2 s; what it said follows in its turn"
}

guest() { # guest N
	local name began
	work=$top/$1 qemu=
	mkdir "$work"
	trap - EXIT
	trap 'exit 130' INT TERM
	until [ "$1" = 1 ] || [ -z "${GUESTS_AFTER-}" ] || [ -e "$GUESTS_AFTER" ]; do
		[ -s "$top/queue" ] || return 0
		sleep 1
	done
	fresh >>"$work/said" || fresh >>"$work/said" || {
		console >>"$work/said"
		echo "# FAILED: the test guest, which does not boot, or does not take the tree"
		return 1
	}
	cat "$work/said"
	while name=$(next); do
		began=$SECONDS passed=0 failed=0 skipped=0
		if [ "$guests" = 1 ]; then
			scenario "$name"
		else
			scenario "$name" >"$top/$name.out" 2>&1
		fi
		ended "$name" $((SECONDS - began))
	done
	! alive || power_off >/dev/null
}

host_side() { # the scenarios that need no guest
	local name began
	work=$top/host qemu=
	mkdir "$work"
	trap - EXIT
	for name in "${here[@]}"; do
		began=$SECONDS passed=0 failed=0 skipped=0
		timeout $SCENARIO_SECONDS bash "$host/$name.sh" >"$work/tap" 2>"$work/err"
		count "$name" $? >"$work/said"
		cat "$work/tap" "$work/said" "$work/err" >"$top/$name.out"
		ended "$name" $((SECONDS - began))
	done
}

show() { # show NAME: what it said, counted; without a count it was not run
	local ok bad skip seconds
	[ ! -e "$top/$1.out" ] || cat "$top/$1.out"
	if [ ! -e "$top/$1.count" ]; then
		echo "not ok - no test guest runs $1"
		echo 0 1 0 0 >"$top/$1.count"
	fi
	read -r ok bad skip seconds <"$top/$1.count"
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	echo "# $1: $seconds s"
}

chosen() { # chosen FOLDER [WORD...]: the names
	local folder=$1 file name
	shift
	for file in "$folder"/*.sh; do
		name=$(basename "$file" .sh)
		[ $# = 0 ] || grep -qF "$(printf '%s\n' "$@")" <<<"$name" || continue
		echo "$name"
	done
}

run_all() { # the guests, and the scenarios' output in the order of their names
	local n left=("${here[@]}" "${names[@]}")
	{ for n in $long; do printf '%s\n' "${names[@]}" | grep -xF -- "$n"; done
	printf '%s\n' "${names[@]}" | grep -vxF "${long// /$'\n'}"; } | grep . >"$top/queue"
	host_side &
	for ((n = 1; n <= guests; n++)); do guest $n & done
	while [ -n "$(jobs -rp)" ]; do
		sleep 1
		while [ ${#left[@]} != 0 ] && [ -e "$top/${left[0]}.count" ]; do
			show "${left[0]}"
			left=("${left[@]:1}")
		done
	done
	for n in "${left[@]}"; do show "$n"; done
	[ $failed = 0 ] || grep -hs . "$top"/*/said
}

tsc=$(build/release/tsckhz) || exit 1
payload || exit 1
if [ "${1-}" = --shell ]; then
	work=$top/1
	mkdir "$work"
	fresh || fresh || {
		console; echo "not ok - the test guest boots, and takes the tree"; failed=1; closing
	}
	echo "# the tree is in /root/banger; the disk is thrown away at the end"
	ssh -t "${ssh_opts[@]}" -p "$port" root@127.0.0.1
	power_off
	exit 0
fi
mapfile -t names < <(chosen $scenarios "$@")
mapfile -t here < <(chosen $host "$@")
[ $((${#names[@]} + ${#here[@]})) != 0 ] || {
	echo "not ok - no scenario has $* in its name"; failed=1; closing
}
guests=${GUESTS:-2}
[ ${#names[@]} -ge "$guests" ] || guests=${#names[@]}
run_all
echo "# all of it: $SECONDS s, $guests guests side by side; the longest:"
for n in "${here[@]}" "${names[@]}"; do
	echo "# $(cut -d' ' -f4 "$top/$n.count") s: $n"
done | sort -k2,2nr
closing
