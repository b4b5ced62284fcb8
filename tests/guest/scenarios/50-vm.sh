#!/bin/bash
# What a user does with a real Debian guest, under nested KVM: by QEMU, and by Firecracker where the
# harness was given one.
. "$(dirname "$0")/../lib.sh"
installed
for user in alice bob; do id $user >/dev/null 2>&1 || useradd -m $user; done
alice() { runuser -u alice -- banger "$@" 2>/run/err; }
bob() { runuser -u bob -- banger "$@" 2>/run/err; }
err() { cat /run/err; }
guest() { alice vm exec --timeout 300s debian -- "$1"; } # guest COMMAND
vm_of() { alice vm show debian -o json | jq -r "$1"; }
vmm_pid() { vm_of .runtime.pid; }
boot_id() { guest "cat /proc/sys/kernel/random/boot_id"; }
snapshots() { dmsetup ls | grep -c ^bgr-; }
taps() { ip -j link | jq '[.[] | select(.ifname | test("^bgr[0-9]"))] | length'; }
nat_elements() {
	nft -j list set inet banger nat4 |
		jq '[.nftables[].set? // empty | .elem // empty] | length'
}
vm_groups() { find /sys/fs/cgroup/banger/vm -mindepth 1 -type d; }
nothing_left() {
	[ "$(snapshots)/$(taps)/$(nat_elements)/$(loops)" = 0/0/0/0 ] && [ -z "$(vm_groups)" ]
}
stopped() { [ "$(vm_of .state)" = stopped ]; }

# ---- an outside, behind NAT ----
ip netns add out
ip link add up0 type veth peer name up0 netns out
ip addr add 198.51.100.2/24 dev up0
ip link set up0 up
ip route add default via 198.51.100.1
ip -n out addr add 198.51.100.1/24 dev up0
ip -n out link set up0 up
kernel_there() {
	banger kernel list -o json | jq -e '.[] | select(.name == "debian")' ||
		banger kernel import debian --deb "$ROOT/build/cache/kernel.deb"
}
need "a kernel is imported" kernel_there
need "a Debian image is imported" banger image import debian "$ROOT/build/cache/guest/root.ext4" \
	--kernel debian

# ---- one command ----
out=$(alice vm run --rm --nat --timeout 300s --name once --image debian --memory 384M -- \
	'echo "hello from $(hostname), $(id -un)"; ping -c 1 -W 5 198.51.100.1; exit 42')
is "$?" 42 "vm run: its exit status is the guest's"
is "$out" "hello from once, root*1 received*" \
	"its output too, and it reached the outside through NAT"
check "and nothing of it is left" wait_for 60 nothing_left
is "$(alice vm list -o json)" "[[]]" "not even its row"
is "$(banger doctor -o json |
	jq -r '.[] | select(.name == "kvm" and .where == "daemon") | .text')" "runs guests" \
	"our own probe says that KVM runs guests here"

# ---- what a monitor says of itself ----
newest_metrics() { alice vm logs --metrics debian | jq -s -c "last | $1"; } # newest_metrics JQ
flushes() { alice vm logs --vmm debian | grep -c FlushMetrics; }
goes_on() { # a flush that is asked for now comes out at the end of both
	local before
	before=$(flushes) || return 1
	[ "$(newest_metrics 'has("vcpu")')" = true ] && [ "$(flushes)" -gt "$before" ]
}
says_qemu() {
	is "$(alice vm logs --vmm debian; echo $?) $(err)" \
		"5 *only Firecracker writes*to the console*" \
		"qemu: it has no log of its own, and that is said"
	is "$(alice vm logs --metrics debian; echo $?) $(err)" "5 *no metrics*" \
		"qemu: no metrics either"
}
says_firecracker() {
	is "$(alice vm logs --vmm debian |
		grep -c 'Put request on "/actions" with body.*InstanceStart')" 1 \
		"firecracker: its own log"
	is "$(newest_metrics 'has("vcpu") and has("net")')" true "firecracker: its metrics"
	is "$(alice vm logs --metrics debian |
		jq -s 'map(.utc_timestamp_ms) | length > 1 and .[0] > 0 and . == sort')" true \
		"firecracker: a line each time, the newest last"
	is "$(alice vm logs debian | tr -d '\r' | awk '
		/Put request on "\/logger"/ { seen = 1; next }
		seen && /\[bgr-[0-9]+:/' | wc -l)" 0 \
		"firecracker: once it has its log, the console is the guest's alone"
	is "$(alice vm logs debian | grep -c 'Put request on "/logger"')" 1 \
		"firecracker: what it said before is on the console"
	is "$(bob vm logs --metrics debian; echo $?)$(bob vm logs --vmm debian; echo $?)" 33 \
		"firecracker: another user is shown neither"
	is "$(find "/run/banger/slots/$(vm_of .slot)" -type p -printf '%f %m %u\n' |
		sort | xargs)" "log 606 banger metrics 606 banger" \
		"firecracker: their FIFOs are the controller's"
}

# ---- a life by each driver ----
life() { # life DRIVER
	local by=$1 was pid enough_memory
	enough_memory='awk "/MemTotal/ { print (\$2 > 300000) }" /proc/meminfo'
	check "$by: created" alice vm create --nat --image debian --memory 384M debian
	check "$by: started" alice vm start debian
	is "$(vm_of '.vmm + " " + .accel')" "$by kvm" "$by: it is what runs it, on KVM"
	was=$(boot_id)
	is "$was" "????????-????-*" "$by: ssh into the guest"
	is "$(guest "hostname; nproc; $enough_memory" | xargs)" "debian 1 1" \
		"$by: it has its name, its processor and its memory"
	is "$(guest 'ip -j -4 addr show eth0' | jq -r '.[0].addr_info[0].local')" "$(vm_of .ip)" \
		"$by: its address is its slot's"
	is "$(guest 'ping -c 1 -s 1400 -W 5 198.51.100.1')" "*1 received*" \
		"$by: it reaches the outside"
	is "$(alice vm stats debian -o json | jq '.[0] |
		.cpu_us > 100000 and .received > 1000 and .sent > 1000 and .memory == 402653184')" \
		true "$by: its counters count"
	is "$(alice vm stats debian | xargs)" "NAME CPU MEMORY * debian [0-9]*% */*384M *" \
		"$by: and are a table for people"
	"says_$by"
	check "$by: NAT is taken from it" alice vm set debian --no-nat
	is "$(guest 'ping -c 1 -W 3 198.51.100.1')" "*0 received*" \
		"$by: and it reaches the outside no more"
	is "$(bob vm list -o json)$(bob vm show debian -o json)" "[[]]" \
		"$by: another user does not see it"
	is "$(bob vm kill debian; echo $?) $(err)" "3 *there is no such VM*" \
		"$by: nor can they touch it"
	pid=$(vmm_pid)
	is "$(awk '/^(Uid|CapEff|Seccomp|NoNewPrivs):/ { print $2 }' "/proc/$pid/status" | xargs)" \
		"$((1879048192 + $(vm_of .slot))) 0000000000000000 1 2" \
		"$by: the VMM has a uid of its own, no capability, no new privileges, a filter"
	systemctl restart banger
	check "$by: the set is started anew" wait_for 60 banger vm list
	is "$(vm_of .state) $(vmm_pid)" "running $pid" "$by: it is adopted"
	is "$(boot_id)" "$was" "$by: the guest did not notice"
	[ "$by" = qemu ] || check "$by: its log and its metrics go on" goes_on
	guest 'echo kept >/root/file; sync'
	check "$by: stopped" alice vm stop debian --timeout 300s
	is "$(err)" "*release*" "$by: by its own power-off, not by force"
	is "$(alice vm logs debian)" "*reboot: *" "$by: as its console says"
	check "$by: nothing of it is left" wait_for 60 nothing_left
	check "$by: started again" alice vm start debian
	is "$(guest 'cat /root/file')" kept "$by: its file is there"
	check "$by: killed" alice vm kill debian
	check "$by: nothing of it is left after a kill" wait_for 60 nothing_left
	check "$by: started once more" alice vm start debian
	kill -9 "$(vmm_pid)"
	check "$by: a VMM that dies is noticed" wait_for 60 stopped
	check "$by: nothing of it is left either" wait_for 60 nothing_left
	alice vm start debian
	check "$by: a guest that is asked to stop while it boots does so in the end" \
		alice vm stop debian --timeout 300s
	is "$(err)" "*release*" "$by: by itself"
	check "$by: deleted" alice vm delete debian
}
life qemu

# ---- its errors ----
errors() { # errors DRIVER KERNEL-FILE KERNEL-WORDS DISK-WORDS
	local by=$1 slot node
	check "$by: one more" alice vm create --image debian --memory 256M debian
	slot=$(vm_of .slot)
	rm "/var/lib/banger/slots/$slot/$2"
	head -c 4096 /dev/urandom >"/var/lib/banger/slots/$slot/$2"
	chown banger:$((1879048192 + slot)) "/var/lib/banger/slots/$slot/$2" &&
		chmod 644 "/var/lib/banger/slots/$slot/$2"
	refuses "$by: a kernel that is none: the start fails" alice vm start debian
	is "$(err)" "*banger: *$3*" "$by: in its own words"
	check "$by: nothing of it is left after a bad kernel" wait_for 60 nothing_left
	alice vm delete debian
	alice vm create --image debian --memory 256M debian
	node=/run/banger/slots/vda$(vm_of .slot)
	mv "$node" "$node.away"
	refuses "$by: a disk that is not there: the start fails" alice vm start debian
	is "$(err)" "*banger: *$4*" "$by: in its own words"
	mv "$node.away" "$node"
	check "$by: nothing of it is left after a bad disk" wait_for 60 nothing_left
	check "$by: with its disk it starts" alice vm start debian
	is "$(guest hostname)" debian "$by: the guest lets its owner in"
	check "$by: is killed in that moment" alice vm kill debian
	check "$by: and started" alice vm start debian
	is "$(guest hostname) $(err)" "debian " "$by: it is still known, and lets its owner in"
	check "$by: deleted while it runs" alice vm delete debian
	check "$by: and gone" wait_for 60 nothing_left
}
errors qemu kernel "its last line: *kernel*" "/run/vda*No such file"

if command -v firecracker >/dev/null; then
	sed -i "s,^;\?firecracker =.*,firecracker = $(command -v firecracker)," \
		/etc/banger/banger.conf
	check "Firecracker is named in banger.conf" systemctl restart banger
	check "and the service is up" wait_for 60 banger vm list
	life firecracker
	errors firecracker vmlinux "Firecracker: /actions: status 400*ernel" \
		"Firecracker: /*: status 400*"
else
	skip "Firecracker: boot, ssh, NAT, Ctrl-Alt-Del, kill, adoption, errors" \
		"no firecracker on the host's PATH"
fi
check "the image goes" banger image delete debian
ip link del up0
ip netns del out
done_testing
