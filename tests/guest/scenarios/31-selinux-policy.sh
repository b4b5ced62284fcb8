#!/bin/bash
# What the loaded policy says, who may break its promises (nobody), and the module's own life: again over itself while a VM
# runs, and removed.
. "$(dirname "$0")/../lib.sh"
has_policy
check "selint finds nothing in the module's source" make -C "$ROOT"/selinux --no-print-directory lint
installed
tiny_image
confined

# ---- what the loaded policy says; each question costs seconds, so there are few ----
entered=$(sesearch -A -rt -t '^banger_' -c process -p transition)
enters() { echo "$entered" | awk -v to="$1:process" '$3 == to || ($3 == "banger_role_domain:process" && to ~ /_(net|blk|spawn)_t:/) { print $2 }' | sort -u | xargs; }
is "$(enters banger_vm_t)" banger_spawn_t "who may enter banger_vm_t"
for t in banger_t banger_net_t banger_blk_t banger_spawn_t; do
	is "$(enters $t)" banger_sup_t "who may enter $t"
done
is "$(enters banger_sup_t)" "init_t initrc_t" "who may enter banger_sup_t"
is "$(sesearch -A -rs -s '^banger_' -c process -p setexec,setcurrent | awk '{ print $2 (/setcurrent/ ? " becomes another" : "") }')" banger_spawn_t "who may ask for another domain"
logs=$(sesearch -A -t banger_reqlog_t -c file -p write,append)
is "$(echo "$logs" | awk '/[{ ]write[ }]/ { print $2 }' | sort -u | xargs)" "files_unconfined_type logrotate_t" "who may write in the request log: administrators, and who compresses it"
is "$(echo "$logs" | awk '/[{ ]append[ }]/ { print $2 }' | sort -u | xargs)" "banger_role_domain banger_sup_t files_unconfined_type" "who may append to it"
caps=$(sesearch -A -rs -s '^banger_' -c capability,capability2,cap_userns)
is "$(echo "$caps" | awk '{ print $2 }' | sort -u | xargs)" "banger_blk_t banger_net_t banger_spawn_t banger_sup_t" "who has a capability: neither the controller nor a VMM"
is "$(echo "$caps" | grep net_admin | awk '{ print $2 }')" banger_net_t "who has CAP_NET_ADMIN"
is "$(seinfo -a mcs_constrained_type -x | grep -c banger_vm_t)" 1 "categories keep VMMs apart"
is "$(seinfo --permissive | grep -c banger)" 0 "no domain of ours is permissive"

# A rule that breaks a promise makes a policy that is not built, where that is looked at; ours breaks none.
promises 1
broken() { # broken NAME RULE
	echo "$2" >/tmp/banger_broken.cil
	refuses "not built: $1" semodule -n -i /tmp/banger_broken.cil
}
broken "a VMM that reads the state database" '(allow banger_vm_t banger_var_lib_t (file (read)))'
broken "a controller with a capability" '(allow banger_t self (capability (chown)))'
broken "a role that executes a shell" '(allow banger_net_t shell_exec_t (file (execute)))'

# ---- the module's own life ----
check "a VM starts" eval "banger vm create b --image tiny --memory 128M && banger vm start b"
check "its guest is up" says 180 b BEAT
boot=$(boot_of b) vmm=$(vmm_of b)
audit_mark
out=$(make -C "$ROOT" --no-print-directory install-selinux 2>&1)
is "$?: $out" "0: *banger is running*" "an upgrade of the module"
check "restart" systemctl restart banger
is "$(state_of b) $(vmm_of b) $(level_of "$(vmm_of b)")" "running $vmm s0:c$(slot_of b)" "the VM is adopted, in its category"
check "its guest goes on" beats b "$boot"
refuses "the module is not removed while a VM runs in its domain" make -C "$ROOT" --no-print-directory uninstall-selinux
check "make install: labels stay" make -C "$ROOT" --no-print-directory install
is "$(stat -c %C /var/lib/banger/slots/"$(slot_of b)")" "*:banger_slot_t:s0:c$(slot_of b)" "with the category"
check "the VM is stopped" banger vm stop b
is "$(denials)" "" "nothing was denied"
check "make uninstall-selinux" make -C "$ROOT" --no-print-directory uninstall-selinux
promises 0
is "$(semodule -l | grep -c banger)/$(seinfo -t 2>/dev/null | grep -c banger)" 0/0 "the module is gone"
is "$(systemctl is-active banger) $(domain_of "$(part controller)")" "active initrc_t" "banger runs without it"
is "$(find /etc/banger /run/banger /usr/libexec/banger /var/lib/banger /var/log/banger -context '*unlabeled_t*' | head -n 3)" "" "no label is left without a meaning"
check "the VM starts again" banger vm start b
check "and is deleted" banger vm delete b
done_testing
