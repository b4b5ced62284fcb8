#!/bin/bash
# The power goes while VMs run and one is being made; then a clean reboot.  What is said afterwards
# is true.
. "$(dirname "$0")/../lib.sh"
states() {
	banger vm list --all -o json |
		jq -r 'map(select(.name != "again") | "\(.name) \(.state)") | join(", ")'
}
# what of ours the kernel holds, by its own tools: links, loops, snapshots, NAT elements, control
# groups
kernel_has() {
	ip -j link | jq '[.[] | select(.ifname | test("^bgr[0-9]"))] | length'
	loops
	dmsetup ls | grep -c ^bgr-
	nft -j list set inet banger nat4 |
		jq '[.nftables[].set? // empty | .elem // empty] | length'
	find /sys/fs/cgroup/banger/vm -mindepth 1 -type d | wc -l
}
orderly() {
	is "$(journalctl -b --no-pager | grep -ci 'ordering cycle')" 0 \
		"systemd finds no cycle in the units' order"
}

case $PHASE in
1)
	installed
	tiny_image
	for vm in one two three; do
		check "$vm is created" banger vm create $vm --image tiny --memory 128M --nat
	done
	check "two are started" one_by_one start one two
	check "their guests are up" eval 'says 120 one "BEAT" && says 120 two "BEAT"'
	boot_of one >/root/boot-of-one
	check "one more is to be restarted always" tiny_started again --restart always
	check "and one that was, but is stopped" \
		eval 'tiny_started rests --restart always && banger vm kill rests'
	banger vm start three >/dev/null 2>&1 & # the power goes in the middle of this
	sleep 0.1
	check "and a VM is created, as the last thing before it" \
		banger vm create last --image tiny --memory 128M
	done_testing 94
	;;
2)
	check "after the power cut the service is up by itself" wait_for 180 banger vm list
	orderly
	is "$(journalctl -b -u banger --no-pager | grep -c 'can not be read\|corrupt')" 0 \
		"without a complaint about its database"
	is "$(sqlite3 /var/lib/banger/banger.db 'PRAGMA integrity_check')" ok \
		"sqlite3: the database is whole"
	is "$(states)" \
		"last created, one stopped, rests stopped, three @(stopped|created), two stopped" \
		"no VM is said to run, and the last one is there"
	is "$(vm_field one reason)" "the host was started again" "and why is said"
	check "the one with a restart policy comes back by itself" \
		wait_for 180 eval '[ "$(state_of again)" = running ]'
	is "$(kernel_has | xargs)" "1 2 1 0 1" \
		"the kernel holds what is of that one, and nothing else"
	is "$(sqlite3 /var/lib/banger/banger.db \
		"SELECT DISTINCT name FROM ledger JOIN vms ON vms.id = ledger.vm")" again \
		"the ledger says so too"
	check "they start again" one_by_one start last one two three
	check "with their disks" eval 'says 120 one "GUEST-UP boot [23]" &&
		says 120 two "GUEST-UP boot [23]" && says 120 last "GUEST-UP boot 1"'
	is "$(systemctl is-active banger-vms)" active \
		"guests will be powered off before the host goes down"
	another_boot() { [[ $(boot_of one) == ????????-* && $(boot_of one) != "$1" ]]; }
	check "in a new boot of the guest" wait_for 60 another_boot "$(cat /root/boot-of-one)"
	done_testing 93
	;;
3)
	check "after a clean reboot the service is up by itself" wait_for 180 banger vm list
	orderly
	is "$(states)" "last stopped, one stopped, rests stopped, three stopped, two stopped" \
		"no VM is said to run"
	is "$(vm_field one reason)" "the host was shut down" "they were ended in good order"
	check "again comes back, again" wait_for 180 eval '[ "$(state_of again)" = running ]'
	is "$(kernel_has | xargs)" "1 2 1 0 1" \
		"the kernel holds what is of that one, and nothing else"
	check "they start again" banger vm start one
	check "with its disk" says 120 one "GUEST-UP boot [345]"
	check "all go" banger vm delete last one two three again rests
	check "nothing is left" wait_for 60 eval '[ "$(kernel_has | xargs)" = "0 0 0 0 0" ]'
	done_testing 94
	;;
4)
	check "after one more power cut the service is up by itself" wait_for 180 banger vm list
	is "$(banger vm list --all -o json) $(find /var/lib/banger/slots -type f -printf '%p ')" \
		"[[]] " "what was deleted does not come back, no file of it either"
	is "$(banger host gc --dry-run)" "0 found*" "nor is there anything to collect"
	done_testing
	;;
esac
