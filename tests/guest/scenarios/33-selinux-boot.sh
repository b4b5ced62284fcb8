#!/bin/bash
# A host that boots with the module: nothing of ours was loaded or made before the policy confined
# it.
. "$(dirname "$0")/../lib.sh"
has_policy

case $PHASE in
1)
	installed
	tiny_image
	confined
	check "a VM is to run always" tiny_started b --nat --restart always
	check "and one is not" tiny_started c
	check "their guests are up" eval "says 180 b BEAT && says 180 c BEAT"
	audit_mark
	echo "$AUDIT_MARK" >/root/audit-mark
	done_testing 93
	;;
2)
	check "the service is up by itself" wait_for 180 banger vm list
	is "$(state_of c), $(vm_field c reason)" "stopped, the host was shut down" \
		"before, VMs were ended in good order"
	is "$(domain_of "$(part controller)")" banger_t "the controller is in banger_t"
	check "so is the VM" wait_for 180 eval '[ "$(state_of b)" = running ]'
	is "$(domain_of "$(vmm_of b)") $(level_of "$(vmm_of b)")" "banger_vm_t s0:c$(slot_of b)" \
		"in its domain, with its category"
	check "its guest is up" says 180 b "GUEST-UP boot 2"
	is "$(journalctl -b --no-pager -o cat | grep -aE "avc: +denied" | grep -a banger)" "" \
		"nothing was denied since the host was started"
	AUDIT_MARK=$(cat /root/audit-mark)
	check "the log of before is there" audit_has "$AUDIT_MARK"
	is "$(denials)" "" "nor while it went down"
	check "delete" banger vm delete b c
	check "uninstall takes the module too" make -C "$ROOT" --no-print-directory uninstall
	files=$(ls /usr/share/selinux/packages/banger.pp /usr/sbin/banger-* 2>/dev/null)
	is "$(semodule -l | grep -cx banger)/$files" "0/" "nothing of it is left"
	unlabeled=$(find /etc/banger /var/lib/banger /var/log/banger -context '*unlabeled_t*')
	is "$(head -n 3 <<<"$unlabeled")" "" "no label is left without a meaning"
	done_testing
	;;
esac
