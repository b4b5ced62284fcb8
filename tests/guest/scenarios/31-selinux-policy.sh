#!/bin/bash
# What the loaded policy says, who may break its promises (nobody), and the module's own life: again over itself while a VM
# runs, and removed.
. "$(dirname "$0")/../lib.sh"
has_policy
check "selint finds nothing in the module's source" make -C "$ROOT"/selinux --no-print-directory lint
installed
tiny_image

# ---- an upgrade, from a module that lacks a rule ----
/usr/libexec/selinux/hll/pp "$POLICY" /tmp/banger.cil
sed -i '/^(allow banger_t banger_var_lib_t (file (map)))$/d' /tmp/banger.cil
maps() { sesearch -A -s banger_t -t banger_var_lib_t -c file -p map; }
need "an older module is loaded" semodule -X 400 -i /tmp/banger.cil
is "$(semodule -lfull | grep -w banger) $(maps)" "400 banger * " "it lacks a rule"
need "make install-selinux over it" make -C "$ROOT" --no-print-directory install-selinux
is "$(semodule -lfull | grep -wc banger) $(maps)" "1 allow banger_t banger_var_lib_t:file *map*" "brings the rule"
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

# A rule that breaks a promise makes a policy that is not built, where that is looked at; ours breaks none.  All rows are
# tried at once: the error names each rule, and the promise that it breaks.
rules=() names=()
breaks() { # breaks NAME SOURCES TARGETS CLASSES PERMISSIONS: by a rule for each of them
	local s t c p
	for s in $2; do for t in $3; do for c in $4; do for p in $5; do
		rules+=("(allow $s $t ($c ($p)))") names+=("$1")
	done; done; done; done
}
roles="banger_net_t banger_blk_t banger_spawn_t"
ours="banger_t banger_sup_t $roles"
breaks "a controller or a VMM with a capability" "banger_t banger_vm_t" self "capability cap_userns" chown
breaks "or another one" "banger_t banger_vm_t" self "capability2 cap2_userns" syslog
breaks "a controller with a socket of the network's" banger_t self "netlink_generic_socket netlink_netfilter_socket netlink_route_socket netlink_socket
	packet_socket rawip_socket tcp_socket tun_socket udp_socket" create
breaks "a controller that opens KVM, tun, loops, device-mapper" banger_t "banger_kvm_device_t banger_tun_device_t kvm_device_t loop_control_device_t
	lvm_control_t tun_tap_device_t" chr_file open
breaks "a controller that writes to a disk" banger_t "banger_disk_device_t banger_loop_device_t fixed_disk_device_t" blk_file write
breaks "a loop, but by the blk role" "banger_t banger_sup_t banger_net_t banger_spawn_t banger_vm_t" banger_loop_device_t blk_file read
breaks "a disk of the host's" "$ours banger_vm_t" fixed_disk_device_t blk_file read
breaks "the host's KVM or tun node" "$ours banger_vm_t" "kvm_device_t tun_tap_device_t" chr_file ioctl
breaks "loops and device-mapper, but by the blk role" "banger_t banger_sup_t banger_net_t banger_spawn_t banger_vm_t" "loop_control_device_t lvm_control_t" chr_file ioctl
breaks "a net role that reads state, images, disks" banger_net_t "banger_slot_t banger_image_t banger_var_lib_t" file read
breaks "another role with a socket of the network's" "banger_blk_t banger_spawn_t" self "netlink_generic_socket netlink_netfilter_socket netlink_route_socket
	tcp_socket udp_socket" create
breaks "a program in the domain of who executes it" "$ours banger_vm_t" bin_t file execute_no_trans
breaks "a shell" "$ours banger_vm_t" shell_exec_t file execute
breaks "a domain that is left" "banger_t banger_blk_t banger_net_t banger_vm_t" initrc_t process "transition dyntransition"
breaks "a spawn role that starts other things than VMMs" banger_spawn_t "banger_t initrc_t unconfined_t" process transition
breaks "a supervisor that starts other things than the set" banger_sup_t "banger_vm_t initrc_t unconfined_t" process transition
breaks "a supervisor or a spawn role that becomes another" "banger_sup_t banger_spawn_t" "initrc_t banger_vm_t" process dyntransition
breaks "an outsider who enters our domains" unconfined_t "$ours banger_vm_t" process transition
breaks "an init that enters others than the supervisor's" init_t "banger_t banger_net_t banger_vm_t" process transition
breaks "an outsider who becomes one of ours" unconfined_t "$ours banger_vm_t" process dyntransition
breaks "a VMM's ioctl on a file" banger_vm_t "banger_image_t banger_slot_t banger_vm_tmpfs_t" file ioctl
breaks "or on a FIFO" banger_vm_t banger_slot_t fifo_file ioctl
breaks "a VMM that reads what is the daemon's" banger_vm_t "banger_etc_t banger_log_t banger_reqlog_t banger_runtime_t banger_var_lib_t" file read
breaks "or looks into its folders" banger_vm_t "banger_console_t banger_runtime_t" dir search
breaks "or writes to its sockets" banger_vm_t "banger_console_t banger_runtime_t" sock_file write
breaks "a VMM that opens a console" banger_vm_t banger_console_t fifo_file open
breaks "a VMM that writes to an image" banger_vm_t banger_image_t file "append create write"
breaks "a VMM that connects to a socket of ours, of a VMM's, of others" banger_vm_t "$ours banger_vm_t init_t unconfined_t" unix_stream_socket connectto
breaks "a VMM that sends to a socket" banger_vm_t "banger_sup_t syslogd_t" unix_dgram_socket sendto
breaks "a VMM with a socket of the network's" banger_vm_t self "netlink_netfilter_socket netlink_route_socket packet_socket rawip_socket tcp_socket udp_socket" create
breaks "an outsider who appends to the request log" "logrotate_t syslogd_t user_t banger_t" banger_reqlog_t file append
breaks "its writers write in it" "banger_sup_t $roles" banger_reqlog_t file write
breaks "or it is renamed, or taken away" "banger_sup_t banger_t" banger_reqlog_t file "rename unlink"
breaks "a role that opens or reads the request log" "$roles" banger_reqlog_t file "open read"

promises 1
printf '%s\n' "${rules[@]}" >/tmp/banger_broken.cil
: >/tmp/reports
while [ -s /tmp/banger_broken.cil ]; do # -v: of each promise all rules are named that break it, not the first four
	report=$(semodule -v -n -i /tmp/banger_broken.cil 2>&1) && semodule -n -r banger_broken && break # not to a file: it may not write there
	sed -n 's/^ *\((allow .*\)/\1/p' <<<"$report" | sort -u >/tmp/named
	[ -s /tmp/named ] || { echo "# $report"; break; }
	echo "$report" >>/tmp/reports
	grep -vxFf /tmp/named /tmp/banger_broken.cil >/tmp/left
	mv /tmp/left /tmp/banger_broken.cil
done
built=
for i in "${!rules[@]}"; do
	! grep -qxF "${rules[i]}" /tmp/banger_broken.cil || built+="${rules[i]} "
	[ "${names[i]}" != "${names[i + 1]-}" ] || continue
	is "$built" "" "not built: ${names[i]}"
	built=
done
# As each stands in the module, a set of types or classes being one each.
/usr/libexec/selinux/hll/pp "$POLICY" /tmp/banger.cil
is "$(grep -n '^(neverallow' /tmp/banger.cil | grep -vf <(sed -n 's,^neverallow check failed at .*/banger/cil:\(.*\),^\1:,p' /tmp/reports))" "" \
	"and no promise is left that none of these breaks"
echo '(allow banger_vm_t banger_slot_t (file (read)))' >/tmp/banger_harmless.cil
check "built: what breaks none" semodule -n -i /tmp/banger_harmless.cil
semodule -n -r banger_harmless

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
