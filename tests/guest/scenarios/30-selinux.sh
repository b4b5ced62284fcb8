#!/bin/bash
# Our policy module: each process in its own domain, the whole life of a VM enforcing and without a denial, the promises
# in the policy as it is loaded, and the module's own life: installed under a VM that runs, again, and removed.
. "$(dirname "$0")/../lib.sh"
PP=$ROOT/build/selinux/banger.pp
[ -e "$PP" ] || { skip "the policy module" "it was not built: the host has no selinux-policy-dev"; done_testing; }
need "SELinux is enforcing" eval '[ "$(getenforce)" = Enforcing ]'
# Promises (neverallow) are looked at when the policy is built, but only if this is asked for.
sed -i 's/^expand-check=.*/expand-check=1/' /etc/selinux/semanage.conf
installed
tiny_image

domain_of() { ps -o label= -p "$1" | cut -d: -f3; }
level_of() { ps -o label= -p "$1" | cut -d: -f4-; }
seen=$(wc -l </var/log/audit/audit.log)
denials() { # denials: what was denied to us, or to others because of us, since the last call
	sleep 1
	tail -n "+$((seen + 1))" /var/log/audit/audit.log | grep -aE 'avc: +denied|SELINUX_ERR' | grep -a banger
	seen=$(wc -l </var/log/audit/audit.log)
}

# ---- installed under a VM that runs ----
need "a VM starts without the module" eval "banger vm create old --image tiny --memory 128M && banger vm start old"
need "its guest is up" wait_for 180 console_has old BEAT
boot=$(boot_of old) vmm=$(vmm_of old)
out=$(make -C "$ROOT" --no-print-directory install-selinux 2>&1)
is "$?: $out" "0: *VMs that run were not started under this module*banger is running*" "make install-selinux says what to do about what runs"
is "$(semodule -lfull | grep -w banger)" "400 banger *" "the module is loaded at priority 400"
denials >/dev/null
need "banger is restarted" systemctl restart banger
for p in privhelper:sup role-net:net role-blk:blk role-spawn:spawn; do
	is "$(domain_of "$(part ${p%:*})")" "banger_${p#*:}_t" "${p%:*} is in banger_${p#*:}_t"
done
is "$(domain_of "$(part controller)")" banger_t "the controller is in banger_t"
is "$(state_of old) $(vmm_of old)" "running $vmm" "the VM from before is adopted"
check "its guest goes on" beats old "$boot"
is "$(domain_of "$vmm")" initrc_t "in the domain of its start"
check "it is stopped and started" eval "banger vm stop old && banger vm start old"
is "$(domain_of "$(vmm_of old)")" banger_vm_t "and now it is confined"

# ---- the whole life ----
life() { # life NAME: of a VM whose guest says BEAT
	check "$1: create, start" eval "banger vm create $1 --image tiny --memory 128M && banger vm start $1"
	check "$1: its guest is up" wait_for 180 console_has "$1" BEAT
	is "$(domain_of "$(vmm_of "$1")") $(level_of "$(vmm_of "$1")")" "banger_vm_t s0:c$(slot_of "$1")" "$1: in banger_vm_t, with its slot's category"
	check "$1: NAT and back" eval "banger vm set $1 --nat && banger vm set $1 --no-nat"
	check "$1: stop, start" eval "banger vm stop $1 && banger vm start $1"
	check "$1: restart" banger vm restart "$1"
	check "$1: and its guest is up again" wait_for 180 console_has "$1" BEAT
}
life a
i=$(slot_of a)
is "$(stat -c %C /run/banger/slots/"$i" /run/banger/slots/vda"$i" /var/lib/banger/slots/"$i" /var/lib/banger/slots/"$i"/{cow,initrd} | cut -d: -f4- | sort -u)" \
	"s0:c$i" "the slot's folders, node and files have its category"
is "$(stat -c %C /var/lib/banger/slots/"$i"/kernel)" "system_u:object_r:banger_image_t:s0" "the kernel, which all share, has none"
is "$(ss -xlpZ 2>/dev/null | grep "/run/$i/api.sock")" "*banger_vm_t:s0:c$i*" "its API socket is its own"
for p in privhelper role-net role-blk role-spawn controller; do
	boot=$(boot_of a) vmm=$(vmm_of a) old=$(part privhelper)
	kill -9 "$(part $p)"
	check "kill -9 of $p: a new set" wait_for 20 eval '[ "$(part privhelper)" != '"$old"' ] && [ "$(part privhelper)" != 0 ] && banger vm list'
	is "$(state_of a) $(vmm_of a)" "running $vmm" "kill -9 of $p: the VM is adopted"
done
check "the guest goes on" beats a "$boot"
check "a kernel and an image are imported and deleted" eval 'banger kernel import second --deb build/cache/kernel.deb &&
	banger image import second /tmp/tiny.ext4 --kernel second && banger image delete second && banger kernel delete second'
check "doctor" banger doctor
check "audit show" eval "banger audit show | grep -q vmm_spawn"
check "delete" banger vm delete a

# Under emulation QEMU writes the code that it runs; Firecracker opens other things.
conf() { # conf KEY VALUE
	sed -i "s,^;\?$1 =.*,$1 = $2," /etc/banger/banger.conf
	systemctl restart banger
}
conf accel tcg
check "a VM is emulated" eval "banger vm create emulated --image tiny --memory 128M && banger vm start emulated"
check "its guest is up" wait_for 300 console_has emulated BEAT
check "delete" banger vm delete emulated
conf accel auto
if command -v firecracker >/dev/null; then
	conf firecracker "$(command -v firecracker)"
	life cracker
	is "$(ps -o comm= -p "$(vmm_of cracker)")" firecracker "it is Firecracker"
	check "delete" banger vm delete cracker
	conf firecracker ""
else
	skip "Firecracker" "it is not here"
fi
check "delete the VM from before" banger vm delete old
is "$(denials)" "" "nothing was denied in all of it"

# ---- what the loaded policy says; each question costs seconds, so there are few ----
entered=$(sesearch -A -rt -t '^banger_' -c process -p transition)
enters() { echo "$entered" | awk -v to="$1:process" '$3 == to || ($3 == "banger_role_domain:process" && to ~ /_(net|blk|spawn)_t:/) { print $2 }' | sort -u | xargs; }
is "$(enters banger_vm_t)" banger_spawn_t "who may enter banger_vm_t"
for t in banger_t banger_net_t banger_blk_t banger_spawn_t; do
	is "$(enters $t)" banger_sup_t "who may enter $t"
done
is "$(enters banger_sup_t)" "init_t initrc_t" "who may enter banger_sup_t"
logs=$(sesearch -A -t banger_reqlog_t -c file -p write,append)
is "$(echo "$logs" | awk '/[{ ]write[ }]/ { print $2 }' | sort -u | xargs)" files_unconfined_type "who may write in the request log: administrators alone"
is "$(echo "$logs" | awk '{ print $2 }' | sort -u | xargs)" "banger_role_domain banger_sup_t files_unconfined_type" "who may append to it"
caps=$(sesearch -A -rs -s '^banger_' -c capability -c capability2 -c cap_userns)
is "$(echo "$caps" | awk '{ print $2 }' | sort -u | xargs)" "banger_net_t banger_role_domain banger_sup_t" "who has a capability: neither the controller nor a VMM"
is "$(echo "$caps" | grep net_admin | awk '{ print $2 }')" banger_net_t "who has CAP_NET_ADMIN"
is "$(seinfo -a mcs_constrained_type -x | grep -c banger_vm_t)" 1 "categories keep VMMs apart"
is "$(seinfo --permissive | grep -c banger)" 0 "no domain of ours is permissive"

# A rule that breaks a promise makes a policy that is not built.
broken() { # broken NAME RULE
	echo "$2" >/tmp/banger_broken.cil
	refuses "not built: $1" semodule -n -i /tmp/banger_broken.cil
}
broken "a VMM that reads the state database" '(allow banger_vm_t banger_var_lib_t (file (read)))'
broken "a controller with a capability" '(allow banger_t self (capability (chown)))'
broken "a role that executes a shell" '(allow banger_net_t shell_exec_t (file (execute)))'

# ---- the module's own life ----
check "a VM starts" eval "banger vm create b --image tiny --memory 128M && banger vm start b"
check "its guest is up" wait_for 180 console_has b BEAT
boot=$(boot_of b) vmm=$(vmm_of b)
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
is "$(semodule -l | grep -c banger)/$(seinfo -t 2>/dev/null | grep -c banger)" 0/0 "the module is gone"
is "$(systemctl is-active banger) $(domain_of "$(part controller)")" "active initrc_t" "banger runs without it"
is "$(find /etc/banger /run/banger /usr/libexec/banger /var/lib/banger /var/log/banger -context '*unlabeled_t*' | head -n 3)" "" "no label is left without a meaning"
check "the VM starts again" banger vm start b
check "and is deleted" banger vm delete b
done_testing
