#!/bin/bash
# Tests the real Firecracker, if PATH has it.  The spawn role starts it in the jail under both
# filters, and our driver configures it over its API.  The test checks that Firecracker accepts each
# request.  Whether a guest then boots depends on KVM.
. "$(dirname "$0")/lib.sh"
REAL=$(command -v firecracker) || skip_all "needs firecracker on PATH (it is in no registry)"
needs perl
[ -n "$(cgroup_mount)" ] || skip_all "needs cgroup v2"
[ -e /dev/kvm ] || skip_all "needs /dev/kvm"
[ -s "$ROOT/build/cache/kernel.deb" ] ||
	skip_all "needs build/cache/kernel.deb (system.sh fetches it)"
in_ns "$@"

# VMM binaries lie below /usr by rule; this mount is in our own namespace.
mkdir "$T/vmm" && install -m 755 "$REAL" "$T/vmm/firecracker"
mount -t tmpfs vmm /usr/local/share && cp -a "$T/vmm" /usr/local/share/
conf_make slots=2 accel=kvm firecracker=/usr/local/share/vmm/firecracker
mkdir "$T/tree" && mkdir "$T/tree/sbin" &&
	mke2fs -q -t ext4 -d "$T/tree" "$T/root.ext4" 8M >/dev/null 2>&1
cli() { BANGER_SOCKET=$T/run/control.sock HOME=$T "$B/banger" "$@" 2>"$T/err"; }
gone() {
	[ -z "$(slot_processes)$(our_cgroups)" ] &&
		[ "$(ip -j link | jq '[.[] | select(.ifname | test("^bgr[0-9]"))] | length')" = 0 ]
}
# how many seccomp filters each of the VMM's threads has; KVM's kernel threads in its process share
# them
filters() {
	local p
	for p in $(slot_processes); do
		cat "/proc/$p/task/"*/status
	done | awk '/^Seccomp_filters/ { print $2 }' | sort -u
}
said() { cli vm logs --vmm fc; }
type_x() { printf 'x\035' | cli vm console fc >/dev/null; }
drained() { # nothing that was typed waits for the monitor (FIONREAD)
	perl -e 'open F, "+<", shift or exit 2; my $n = pack "I", 0; ioctl F, 0x541b, $n or exit 3;
		exit(unpack("I", $n) > 0)' "$T/state/consoles/0.in"
}
accepted() { # accepted PATH: the real server said 204 to our PUT there, since the last start
	said | grep -A 1 "Put request on \"$1\"" | grep -q "204 No Content"
}

background "$B/banger-privhelper" --config "$CONF" 2>"$T/set.err"
check "the set comes up" wait_for 60 cli vm list
check "a kernel is imported" cli kernel import k --deb "$ROOT/build/cache/kernel.deb"
check "an image is imported" cli image import i "$T/root.ext4" --kernel k
check "a VM with two volumes" \
	cli vm create fc --image i --memory 128M -v one:/one -v two:/two:ro
for round in first second; do
	cli vm start fc >/dev/null
	started=$?
	for path in /machine-config /boot-source /drives/rootfs /drives/vol0 /drives/vol1 \
		/network-interfaces/eth0 /vsock; do
		check "$round start: $path is accepted" accepted $path
	done
	check "$round start: InstanceStart was asked" eval 'said | grep -q InstanceStart'
	check "$round start: /metrics is accepted" accepted /metrics
	is "$(cli vm logs fc | grep -c InstanceStart)" 0 \
		"$round start: the console has nothing of what its log has"
	is "$(said | grep -c "^--- banger")$(said | grep -c '/metrics')" 01 \
		"$round start: its log is that of this start alone"
	if [ $started = 0 ]; then
		is "$(cli vm show fc -o json | jq -r '.state + " " + .vmm')" "running firecracker" \
			"$round start: it runs"
		check "$round start: what is typed at its console is taken" type_x
		check "$round start: and read by the monitor" wait_for 60 drained
		is "$(filters)" 3 \
			"$round start: each thread has the filters of role, VMM and Firecracker"
		is "$(ip -j link | jq -r '.[] | select(.ifname | test("^bgr[0-9]")).operstate')" \
			UP "$round start: it holds the tap"
		is "$(cli vm logs --metrics fc |
			jq -s 'length > 0 and (last | has("vcpu") and has("net"))')" true \
			"$round start: its metrics"
	else
		is "$(cat "$T/err")" "*banger: *Firecracker: /actions: status *" \
			"$round start: the KVM here can not, and the error says so"
		check "$round start: nothing of it is left" wait_for 60 gone
	fi
	check "$round start: killed" cli vm kill fc
	check "$round start: nothing of it is left" wait_for 60 gone
done
check "deleted" cli vm delete fc

# Firecracker accepts the configuration and refuses the start on any host, because it reads the
# kernel only at the start.
check "a VM again" cli vm create fc --image i --memory 128M
for kernel in "$T"/state/slots/*/vmlinux; do
	head -c 64 /dev/zero >"$kernel"
done
refuses "a start without a kernel in its file fails" cli vm start fc
is "$(cat "$T/err")" "*banger: *Firecracker: /actions: status 400: *ernel*" \
	"with Firecracker's own words"
for path in /machine-config /boot-source /drives/rootfs /network-interfaces/eth0 /vsock; do
	check "before that, $path is accepted" accepted $path
done
is "$(cli vm show fc -o json | jq -r .state)" "@(created|stopped|failed)" "it is not said to run"
check "and nothing of it is left, without a kill" wait_for 60 gone
is "$(find "$T"/run/slots/0 "$T"/run/slots/1 -mindepth 1)" "" \
	"not even its FIFOs and its vsock socket"
check "this one is deleted too" cli vm delete fc
kill "${PIDS[0]}" && wait "${PIDS[0]}"
umount /usr/local/share
