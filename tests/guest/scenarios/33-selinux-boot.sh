#!/bin/bash
# A host that boots with the module: nothing of ours was loaded or made before the policy confined it.
. "$(dirname "$0")/../lib.sh"
has_policy

case $PHASE in
1)
	installed
	tiny_image
	confined
	check "a VM is to run always" eval "banger vm create b --image tiny --memory 128M --nat --restart always && banger vm start b"
	check "its guest is up" says 180 b BEAT
	done_testing 93
	;;
2)
	check "the service is up by itself" wait_for 60 banger vm list
	is "$(domain_of "$(part controller)")" banger_t "the controller is in banger_t"
	check "so is the VM" wait_for 60 eval '[ "$(state_of b)" = running ]'
	is "$(domain_of "$(vmm_of b)") $(level_of "$(vmm_of b)")" "banger_vm_t s0:c$(slot_of b)" "in its domain, with its category"
	check "its guest is up" says 180 b "GUEST-UP boot 2"
	is "$(journalctl -b --no-pager -o cat | grep -aE "avc: +denied" | grep -a banger)" "" "nothing was denied since the host was started"
	check "delete" banger vm delete b
	check "the module is removed" "$ROOT"/selinux/remove.sh
	done_testing
	;;
esac
