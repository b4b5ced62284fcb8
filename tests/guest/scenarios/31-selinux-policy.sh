#!/bin/bash
# The life of the policy module: an upgrade, an installation over itself while a VM runs, its
# removal.  What the policy allows is asked on the host (../host/05-policy.sh).
. "$(dirname "$0")/../lib.sh"
has_policy
installed
tiny_image

# ---- an upgrade, from a module that lacks a rule ----
/usr/libexec/selinux/hll/pp "$POLICY" /tmp/banger.cil
sed -i '/^(allow banger_t banger_var_lib_t (file (map)))$/d' /tmp/banger.cil
maps() { sesearch -A -s banger_t -t banger_var_lib_t -c file -p map; }
need "an older module is loaded" semodule -X 400 -i /tmp/banger.cil
is "$(semodule -lfull | grep -w banger) $(maps)" "400 banger * " "it lacks a rule"
need "make install-selinux over it" make -C "$ROOT" --no-print-directory install-selinux
is "$(semodule -lfull | grep -wc banger) $(maps)" "1 allow banger_t banger_var_lib_t:file *map*" \
	"brings the rule"
confined


# ---- the module's own life ----
check "a VM starts" tiny_started b
check "its guest is up" says 180 b BEAT
boot=$(boot_of b) vmm=$(vmm_of b)
audit_mark
out=$(make -C "$ROOT" --no-print-directory install-selinux 2>&1)
is "$?: $out" "0: *banger is running*" "an upgrade of the module"
check "restart" systemctl restart banger
is "$(state_of b) $(vmm_of b) $(level_of "$(vmm_of b)")" "running $vmm s0:c$(slot_of b)" \
	"the VM is adopted, in its category"
check "its guest goes on" beats b "$boot"
refuses "the module is not removed while a VM runs in its domain" \
	make -C "$ROOT" --no-print-directory uninstall-selinux
check "make install: labels stay" make -C "$ROOT" --no-print-directory install
is "$(stat -c %C /var/lib/banger/slots/"$(slot_of b)")" "*:banger_slot_t:s0:c$(slot_of b)" \
	"with the category"
check "the VM is stopped" banger vm stop b
is "$(denials)" "" "nothing was denied"
check "make uninstall-selinux" make -C "$ROOT" --no-print-directory uninstall-selinux
is "$(semodule -l | grep -c banger)/$(seinfo -t 2>/dev/null | grep -c banger)" 0/0 \
	"the module is gone"
is "$(systemctl is-active banger) $(domain_of "$(part controller)")" "active initrc_t" \
	"banger runs without it"
is "$(find /etc/banger /run/banger /usr/libexec/banger /var/lib/banger /var/log/banger \
	-context '*unlabeled_t*' | head -n 3)" "" "no label is left without a meaning"
check "the VM starts again" banger vm start b
check "and is deleted" banger vm delete b
done_testing
