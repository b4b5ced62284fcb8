#!/bin/bash
# Hosts that lack something, one boot each: `banger doctor` names it and what to do, and what can
# work does.
. "$(dirname "$0")/../lib.sh"
next() { # next KERNEL-WORDS: the following phase boots with them
	echo "$*" >/root/next-cmdline
	done_testing 93
}
doctor_row() {
	banger doctor -o json | jq -r --arg n "$1" --arg w "$2" \
		'.[] | select(.name == $n and .where == $w) | "\(.verdict): \(.text): \(.hint)"'
}
# is_down: the service is started again and again; what the command line and doctor say of that
is_down() {
	wait_for 180 eval '[ "$(systemctl show -P NRestarts banger)" -gt 0 ]'
	is "$(systemctl show -P NRestarts banger)" "[1-9]*" "it is tried again"
	local out rc
	# else it has just ended
	wait_for 60 eval 'out=$(banger vm list 2>&1); rc=$?; [[ $out == *systemctl* ]]'
	is "$rc: $out" "8: *banger: *try: systemctl *banger*" \
		"the command line says that the service is down, and what to do"
	banger doctor >/dev/null 2>&1
	is "$?" 9 "doctor fails"
}
# The journal has each start's end; the state of the unit changes from moment to moment.
service_never_up() {
	local said
	journalctl --sync
	said=$(journalctl -b -u banger --no-pager -o cat)
	[[ $said == *"Failed to start banger"* && $said != *"Started banger"* ]]
}
a_life() { # a_life: create, start, boot, kill, delete; by whatever this host has
	check "a VM is created and started all the same" tiny_started bad
	check "and its guest runs" says 400 bad "BEAT"
	is "$(banger vm show bad -o json | jq -r ".storage + \" \" + .accel")" "$1" \
		"by what there is"
	check "it goes" banger vm delete bad
}

case $PHASE in
1)
	installed
	tiny_image
	is "$(banger doctor -o json | jq -r '[.[] | select(.verdict == "FAIL")] | length')" 0 \
		"on a good day doctor finds nothing to fail"
	next module_blacklist=kvm,kvm_amd,kvm_intel lsm=lockdown,yama,integrity,selinux,bpf
	;;
2)
	check "without Landlock the service does not start, and is not tried again" \
		wait_for 180 eval '[ "$(systemctl is-failed banger)" = failed ]'
	is "$(systemctl show -P ExecMainStatus banger)" 78 \
		"its status is that of a wrong configuration"
	journalctl --sync
	is "$(journalctl -b -u banger --no-pager)" "*landlock = require*lsm= list, or set auto*" \
		"the service's log says what to do"
	hint="boot with landlock in the kernel's lsm= list, or set auto"
	is "$(doctor_row landlock here)" "FAIL: not in use by this kernel*: $hint*" \
		"and so does doctor"
	sed -i 's/^;landlock = require$/landlock = auto/' /etc/banger/banger.conf
	systemctl start banger
	check "without KVM and with landlock = auto the service is up" wait_for 180 banger vm list
	is "$(doctor_row kvm here)" "WARN: no /dev/kvm*kvm_amd*" "doctor names KVM, and what to do"
	is "$(doctor_row kvm daemon)" "WARN: /dev/kvm is missing*kvm_amd*" \
		"the daemon's opinion too"
	is "$(doctor_row landlock daemon)" \
		"WARN: not in use, and *auto*: *landlock in its lsm= list" "doctor names Landlock"
	is "$(doctor_row selinux daemon)" "WARN: our module is not loaded*make install-selinux*" \
		"and SELinux without our module"
	out=$(banger vm create bad --image tiny --memory 128M 2>&1 && banger vm start bad 2>&1)
	is "$out" "*jit buffer*make install-selinux*" \
		"SELinux without our policy forbids emulation: the start says so"
	check "it goes" banger vm delete bad
	setenforce 0
	a_life "dm-snapshot tcg"
	setenforce 1
	sed -i 's/^landlock = auto$/;landlock = require/' /etc/banger/banger.conf
	next module_blacklist=dm_snapshot,dm_mod
	;;
3)
	check "without device-mapper the service is up" wait_for 180 banger vm list
	is "$(doctor_row device-mapper daemon)" "WARN: not in the kernel*modprobe dm_snapshot" \
		"doctor names device-mapper"
	is "$(doctor_row storage daemon)" "*copy*" "and what is used instead"
	a_life "copy kvm"
	next module_blacklist=nf_tables
	;;
4)
	is_down
	check "without nftables the service does not start: guests could not be kept apart" \
		service_never_up
	is "$(doctor_row nftables here)" "FAIL: nf_tables is not in the kernel*modprobe nf_tables" \
		"doctor says so without the service"
	is "$(doctor_row "cgroup v2" here)" "PASS: *" "and that nothing else is missing"
	journalctl --sync
	is "$(journalctl -b -u banger --no-pager)" "*banger-role-net: *nft*" \
		"the service's log says it too"
	# The last word is an environment variable of PID 1, which Debian 13's systemd wants too.
	next systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1 \
		SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1
	;;
5)
	is_down
	check "with cgroup v1 alone the service does not start: VMMs could not be ended" \
		service_never_up
	is "$(doctor_row "cgroup v2" here)" \
		"FAIL: none is mounted*boot with systemd.unified_cgroup_hierarchy=1" \
		"doctor says so, and what to do"
	journalctl --sync
	is "$(journalctl -b -u banger --no-pager)" "*no cgroup v2 is mounted*" \
		"the service's log says it too"
	done_testing 93
	;;
6)
	check "on a good day again the service is up" wait_for 180 banger vm list
	a_life "dm-snapshot kvm"
	is "$(banger vm list -o json)" "[[]]" "nothing was lost or left on the way"
	done_testing
	;;
esac
