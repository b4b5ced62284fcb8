#!/bin/bash
# 05-policy.sh - asks the policy, compiled on the host from the guest's modules and ours, what it
# allows and what it refuses.
#
# The guest would need minutes for what takes the host seconds.  File contexts are left out: they
# are not asked for here, and the distribution's own conflict with each other, which secilc -v takes
# for an error.
. "$(dirname "$0")/../lib.sh"
cd "$ROOT" || exit 1
. tests/guest/release.sh
# The policy's language and the format of modules have versions: the release's own tools read them.
[ "$suite" = "$host_suite" ] || { in_release bash tests/guest/host/05-policy.sh; exit; }
module=$programs/selinux/banger.pp base=$cache/guest/policy
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
check "selint finds nothing in the module's source" make -C selinux --no-print-directory lint
/usr/libexec/selinux/hll/pp "$module" | sed '/^ *(filecon /d' >"$work/banger.cil"
# -m: Debian 13 declares roles twice, which semodule(8) allows too.
compile() { secilc -m "$@" -o "$work/policy" -f /dev/null "$base"/*.cil "$work/banger.cil"; }
need "the module keeps its own promises (neverallow)" compile
policy=$work/policy

# ---- what the policy allows ----
entered=$(sesearch -A -rt -t '^banger_' -c process -p transition "$policy")
enters() { # enters DOMAIN: the domains that may enter it
	echo "$entered" | awk -v to="$1:process" '
		$3 == to { print $2 }
		$3 == "banger_role_domain:process" && to ~ /_(net|blk|spawn)_t:/ { print $2 }' |
		sort -u | xargs
}
is "$(enters banger_vm_t)" banger_spawn_t "the spawn role alone enters banger_vm_t"
for t in banger_t banger_net_t banger_blk_t banger_spawn_t; do
	is "$(enters $t)" banger_sup_t "the supervisor alone enters $t"
done
is "$(enters banger_sup_t)" "init_t initrc_t" "init alone enters banger_sup_t"
is "$(sesearch -A -rs -s '^banger_' -c process -p setexec,setcurrent "$policy" |
	awk '{ print $2 (/setcurrent/ ? " becomes another" : "") }')" banger_spawn_t \
	"the spawn role alone asks for another domain"
logs=$(sesearch -A -t banger_reqlog_t -c file -p write,append "$policy")
is "$(echo "$logs" | awk '/[{ ]write[ }]/ { print $2 }' | sort -u | xargs)" \
	"files_unconfined_type logrotate_t" \
	"administrators and logrotate alone write in the request log"
is "$(echo "$logs" | awk '/[{ ]append[ }]/ { print $2 }' | sort -u | xargs)" \
	"banger_role_domain banger_sup_t files_unconfined_type" \
	"the roles, the supervisor and administrators append to it"
caps=$(sesearch -A -rs -s '^banger_' -c capability,capability2,cap_userns "$policy")
is "$(echo "$caps" | awk '{ print $2 }' | sort -u | xargs)" \
	"banger_blk_t banger_net_t banger_spawn_t banger_sup_t" \
	"neither the controller nor a VMM has a capability"
is "$(echo "$caps" | grep net_admin | awk '{ print $2 }')" banger_net_t \
	"the net role alone has CAP_NET_ADMIN"
is "$(seinfo -a mcs_constrained_type -x "$policy" | grep -c banger_vm_t)" 1 \
	"categories keep VMMs apart"
is "$(seinfo --permissive "$policy" | grep -c banger)" 0 "no domain of banger's is permissive"

# ---- what it refuses: a policy with a rule that breaks a promise does not compile ----
# All rules are added at once: -v names each rule, and the promise that it breaks.
rules=() names=()
breaks() { # breaks NAME SOURCES TARGETS CLASSES PERMISSIONS: one rule for each combination
	local s t c p
	for s in $2; do for t in $3; do for c in $4; do for p in $5; do
		rules+=("(allow $s $t ($c ($p)))") names+=("$1")
	done; done; done; done
}
roles="banger_net_t banger_blk_t banger_spawn_t"
ours="banger_t banger_sup_t $roles"
breaks "a controller or a VMM with a capability" "banger_t banger_vm_t" self \
	"capability cap_userns" chown
breaks "or another one" "banger_t banger_vm_t" self "capability2 cap2_userns" syslog
breaks "a controller with a socket of the network's" banger_t self \
	"netlink_generic_socket netlink_netfilter_socket netlink_route_socket netlink_socket
	packet_socket rawip_socket tcp_socket tun_socket udp_socket" create
breaks "a controller that opens KVM, tun, loops, device-mapper" banger_t \
	"banger_kvm_device_t banger_tun_device_t kvm_device_t loop_control_device_t
	lvm_control_t tun_tap_device_t" chr_file open
breaks "a controller that writes to a disk" banger_t \
	"banger_disk_device_t banger_loop_device_t fixed_disk_device_t" blk_file write
breaks "a loop, but by the blk role" \
	"banger_t banger_sup_t banger_net_t banger_spawn_t banger_vm_t" banger_loop_device_t \
	blk_file read
breaks "a disk of the host's" "$ours banger_vm_t" fixed_disk_device_t blk_file read
breaks "the host's KVM or tun node" "$ours banger_vm_t" \
	"kvm_device_t tun_tap_device_t" chr_file ioctl
breaks "loops and device-mapper, but by the blk role" \
	"banger_t banger_sup_t banger_net_t banger_spawn_t banger_vm_t" \
	"loop_control_device_t lvm_control_t" chr_file ioctl
breaks "a net role that reads state, images, disks" banger_net_t \
	"banger_slot_t banger_image_t banger_var_lib_t" file read
breaks "another role with a socket of the network's" "banger_blk_t banger_spawn_t" self \
	"netlink_generic_socket netlink_netfilter_socket netlink_route_socket
	tcp_socket udp_socket" create
breaks "a program in the domain of who executes it" "$ours banger_vm_t" bin_t file execute_no_trans
breaks "a shell" "$ours banger_vm_t" shell_exec_t file execute
breaks "a domain that is left" "banger_t banger_blk_t banger_net_t banger_vm_t" initrc_t process \
	"transition dyntransition"
breaks "a spawn role that starts other things than VMMs" banger_spawn_t \
	"banger_t initrc_t unconfined_t" process transition
breaks "a supervisor that starts other things than the set" banger_sup_t \
	"banger_vm_t initrc_t unconfined_t" process transition
breaks "a supervisor or a spawn role that becomes another" "banger_sup_t banger_spawn_t" \
	"initrc_t banger_vm_t" process dyntransition
breaks "an outsider who enters our domains" unconfined_t "$ours banger_vm_t" process transition
breaks "an init that enters others than the supervisor's" init_t \
	"banger_t banger_net_t banger_vm_t" process transition
breaks "an outsider who becomes one of ours" unconfined_t "$ours banger_vm_t" process dyntransition
breaks "a VMM's ioctl on a file" banger_vm_t "banger_image_t banger_slot_t banger_vm_tmpfs_t" file \
	ioctl
breaks "or on a FIFO" banger_vm_t banger_slot_t fifo_file ioctl
breaks "a VMM that reads what is the daemon's" banger_vm_t \
	"banger_etc_t banger_log_t banger_reqlog_t banger_runtime_t banger_var_lib_t" file read
breaks "or looks into its folders" banger_vm_t "banger_console_t banger_runtime_t" dir search
breaks "or writes to its sockets" banger_vm_t "banger_console_t banger_runtime_t" sock_file write
breaks "a VMM that opens a console" banger_vm_t banger_console_t fifo_file open
breaks "a VMM that writes to an image" banger_vm_t banger_image_t file "append create write"
breaks "a VMM that connects to a socket of ours, of a VMM's, of others" banger_vm_t \
	"$ours banger_vm_t init_t unconfined_t" unix_stream_socket connectto
breaks "a VMM that sends to a socket" banger_vm_t "banger_sup_t syslogd_t" unix_dgram_socket sendto
sockets="netlink_netfilter_socket netlink_route_socket packet_socket rawip_socket"
breaks "a VMM with a socket of the network's" banger_vm_t self \
	"$sockets tcp_socket udp_socket" create
breaks "an outsider who appends to the request log" \
	"logrotate_t syslogd_t user_t banger_t" banger_reqlog_t file append
breaks "its writers write in it" "banger_sup_t $roles" banger_reqlog_t file write
breaks "or it is renamed, or taken away" "banger_sup_t banger_t" banger_reqlog_t file \
	"rename unlink"
breaks "an outsider who writes the key of a request log" "logrotate_t user_t" banger_reqkey_t file \
	"append write"
breaks "a controller or a VMM that reads it" "banger_t banger_vm_t" banger_reqkey_t file read
breaks "a role that opens it, or appends to it" "$roles" banger_reqkey_t file "append open"
breaks "a role that opens or reads the request log" "$roles" banger_reqlog_t file "open read"

printf '%s\n' "${rules[@]}" >"$work/broken.cil"
compile -v "$work/broken.cil" >"$work/report" 2>&1
is "$?" 255 "a policy with broken promises does not compile" # secilc's only failure
sed -n 's/^ *\((allow .*\)/\1/p' "$work/report" | sort -u >"$work/named"
built=
for i in "${!rules[@]}"; do
	grep -qxF "${rules[i]}" "$work/named" || built+="${rules[i]} "
	[ "${names[i]}" != "${names[i + 1]-}" ] || continue
	is "$built" "" "not built: ${names[i]}"
	built=
done
# As each promise stands in the module, a set of types or classes being one each.
sed -n "s,^neverallow check failed at $work/banger.cil:\(.*\),^\1:,p" "$work/report" >"$work/found"
is "$(grep -n '^(neverallow' "$work/banger.cil" | grep -vf "$work/found")" "" \
	"each promise is broken by one of these rules"
echo '(allow banger_vm_t banger_slot_t (file (read)))' >"$work/harmless.cil"
check "built: a rule that breaks none" compile "$work/harmless.cil"
done_testing
