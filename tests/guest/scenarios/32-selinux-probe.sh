#!/bin/bash
# A program in each of our domains tries what that domain must not do: each try ends in EACCES or
# EPERM, and the log of denials names what was tried.  Beside them stand tries that succeed, so that
# a probe that can do nothing proves nothing.
. "$(dirname "$0")/../lib.sh"
has_policy
PROBE=$ROOT/build/release/probe P=/usr/lib/banger-probe

# ---- the probe may be executed in our domains ----
# That breaks promises, so they are not looked at here.  The probe may also ask for another domain,
# which else the spawn role alone may (31-selinux-policy.sh): what is tried is to enter it.
DOMAINS="banger_sup_t banger_net_t banger_blk_t banger_spawn_t banger_t banger_vm_t"
rules() {
	for t in banger_probe_exec_t banger_probe_out_t; do
		echo "(type $t) (roletype object_r $t) (typeattributeset file_type ($t))"
	done
	echo '(typeattributeset exec_type (banger_probe_exec_t))'
	echo '(typeattributeset entry_type (banger_probe_exec_t))'
	for d in $DOMAINS; do
		echo "(allow $d banger_probe_exec_t (file (entrypoint execute)))
		(allow $d banger_probe_exec_t (file (getattr map open read)))
		(allow init_t $d (process (transition siginh rlimitinh noatsecure)))
		(allow init_t $d (process2 (nnp_transition nosuid_transition)))
		(allow $d self (process (setcurrent setexec)))
		(allow $d init_t (fd (use)))
		(allow $d banger_probe_out_t (file (append getattr write)))"
	done
	echo '(allow init_t banger_probe_exec_t (file (execute getattr map open read)))'
	echo '(allow init_t banger_probe_out_t (file (append getattr open write)))'
	echo '(allow init_t banger_reqlog_t (file (append getattr open)))'
}
rules >/tmp/banger_probe.cil
# Nothing is kept from the log (-D): a denial that is not audited could not be asserted.
need "the module and the probe's rules are loaded" semodule -X 400 -D -i "$POLICY" \
	-i /tmp/banger_probe.cil

# ---- stand-ins, open to all by their modes: what says no is the policy ----
rm -rf $P
mkdir -p $P/slot1 $P/slot2
chmod 755 $P $P/slot?
file() { # file NAME TYPE [LEVEL]
	echo stand-in >"$P/$1"
	chmod 666 "$P/$1"
	chcon "system_u:object_r:$2:${3-s0}" "$P/$1"
}
node() { # node NAME b|c MAJOR MINOR TYPE [LEVEL]
	mknod -m 666 "$P/$1" "$2" "$3" "$4"
	chcon "system_u:object_r:$5:${6-s0}" "$P/$1"
}
minor() { stat -c '%t %T' "$1" | { read -r major minor; echo $((16#$major)) $((16#$minor)); }; }
file db banger_var_lib_t; file image banger_image_t; file log banger_reqlog_t
file conf banger_etc_t; file shadow shadow_t; file out banger_probe_out_t
file slot1/disk banger_slot_t s0:c1; file slot2/disk banger_slot_t s0:c2
file other banger_slot_t s0:c2
chcon system_u:object_r:banger_slot_t:s0:c1 $P/slot1
chcon system_u:object_r:banger_slot_t:s0:c2 $P/slot2
truncate -s 1M /tmp/probe.disk
loop=$(losetup -f --show /tmp/probe.disk)
for n in 1 2; do
	# shellcheck disable=SC2046
	node disk$n b $(minor "$loop") banger_disk_device_t s0:c$n
done
# shellcheck disable=SC2046
{
	node loop b $(minor "$loop") banger_loop_device_t
	node hostdisk b $(minor /dev/vda) fixed_disk_device_t
	node null c 1 3 banger_device_t
	node tun c 10 200 banger_tun_device_t
	node hosttun c 10 200 tun_tap_device_t
	node kvm c 10 232 banger_kvm_device_t
	node hostkvm c 10 232 kvm_device_t
	node loopctl c $(minor /dev/loop-control) loop_control_device_t
	node dmctl c $(minor /dev/mapper/control) lvm_control_t
}
# Folders where files may be taken away, and then files that may not; sockets, and what listens
# without a file.
mkdir -m 777 $P/run $P/lib
chcon system_u:object_r:banger_runtime_t:s0 $P/run
chcon system_u:object_r:banger_var_lib_t:s0 $P/lib
for d in run lib slot1; do file $d/log banger_reqlog_t; done
perl -MIO::Socket::UNIX -e '
	for (@ARGV) {
		push @s, IO::Socket::UNIX->new(Local => $_, Listen => 9) or die;
		chmod 0666, $_;
	}
	sleep' $P/control $P/api2 &
listener=$!
need "sockets stand in" wait_for 60 test -S $P/api2
chcon system_u:object_r:banger_runtime_t:s0 $P/control
chcon system_u:object_r:banger_slot_t:s0:c2 $P/api2
cp "$PROBE" $P/probe
cp /bin/true $P/true
chcon system_u:object_r:banger_probe_exec_t:s0 $P/probe
cp /bin/dash $P/sh
chcon system_u:object_r:bin_t:s0 $P/true
chcon system_u:object_r:shell_exec_t:s0 $P/sh
# What stands in has the labels of what it stands for.
installed
"$ROOT"/selinux/relabel.sh
check "the service runs" systemctl restart banger
for pair in db:/var/lib/banger/banger.db log:/var/log/banger/net.log conf:/etc/banger/banger.conf \
	disk1:/run/banger/slots/vda1 slot2:/run/banger/slots/2; do
	is "$(stat -c %C $P/${pair%%:*})" "$(stat -c %C ${pair#*:})" \
		"${pair#*:} has the label of its stand-in"
done

# What answers in a domain, at a name without a file: nothing but the policy for sockets is between
# it and who connects.
listens() { # listens NAME DOMAIN LEVEL
	systemd-run --quiet --collect --unit "probe-$1" \
		-p "SELinuxContext=system_u:system_r:$2:$3" -p StandardInput=null \
		-p StandardOutput=append:$P/out -p StandardError=append:$P/log $P/probe "listen:@$1"
	need "$2 listens at @$1" wait_for 60 grep -q "@$1\$" /proc/net/unix
}
listens sup banger_sup_t s0
listens vm2 banger_vm_t s0:c2

# tries DOMAIN [LEVEL] <<TABLE: lines "ACT ok", "ACT ERRNO" (the policy let it pass), or "ACT
# PERMISSION TYPE CLASS [IOCTL]".
logged() { # logged PERMISSION TYPE CLASS [IOCTL]: such a denial is among the last ones
	local place="tcontext=[^ ]*:$2:[^ ]* tclass=$3 "
	grep -qE "\{[^}]* $1 [^}]*\}.*${4:+ioctlcmd=$4 .*}$place" /tmp/denied
}
tries() {
	local domain=$1 level=${2-s0} acts=() wants=() act want out got i
	while read -r act want; do
		[ -n "$act" ] || continue
		acts+=("$act") wants+=("$want")
	done
	audit_mark
	: >$P/out
	# Opened by systemd, which executes the probe: D-Bus may not carry a descriptor of ours.
	systemd-run --quiet --wait --collect -p "SELinuxContext=system_u:system_r:$domain:$level" \
		-p StandardInput=null \
		-p StandardOutput=append:$P/out -p StandardError=append:$P/log $P/probe "${acts[@]}"
	out=$(cat $P/out)
	audit_since | grep -a "avc: *denied.*:$domain:" >/tmp/denied
	for i in "${!acts[@]}"; do
		got=$(echo "$out" | grep -F "${acts[i]}: " | head -n 1)
		got=${got##*: }
		# shellcheck disable=SC2086
		set -- ${wants[i]}
		if [ $# = 1 ]; then
			is "$got" "$1" "$domain may: ${acts[i]}"
		elif [ "$got" != EACCES ] && [ "$got" != EPERM ]; then
			not_ok "$domain is refused: ${acts[i]}" "got: $got" "want: EACCES or EPERM"
		elif ! logged "$@"; then
			not_ok "$domain is refused, and the log says so: ${acts[i]}" \
				"want: { $1 } on $2:$3 ${4-}" \
				"$(sed 's/.*denied/denied/' /tmp/denied | tail -n 5)"
		else
			ok "$domain is refused: ${acts[i]}"
		fi
	done
}

tries banger_vm_t s0:c1 <<TABLE
write:$P/disk1 ok
read:$P/slot1/disk ok
read:$P/image ok
ioctl:$P/tun:800454cf ok
ioctl:$P/kvm:ae00 EINVAL
write:$P/null ok
ioctl:$P/null:5401 ioctl banger_device_t chr_file 0x5401
ioctl:$P/disk1:80081272 ok
write:$P/disk2 write banger_disk_device_t blk_file
ioctl:$P/disk1:125d ioctl banger_disk_device_t blk_file 0x125d
ioctl:$P/null:5411 ioctl banger_device_t chr_file 0x5411
ioctl:$P/slot1/disk:9409 ioctl banger_slot_t file 0x9409
ioctl:$P/image:9409 ioctl banger_image_t file 0x9409
read:$P/loop read banger_loop_device_t blk_file
read:$P/slot2/disk search banger_slot_t dir
read:$P/other read banger_slot_t file
write:$P/image write banger_image_t file
read:$P/db read banger_var_lib_t file
read:$P/log read banger_reqlog_t file
append:$P/log append banger_reqlog_t file
read:$P/conf read banger_etc_t file
read:$P/shadow read shadow_t file
read:$P/hostdisk read fixed_disk_device_t blk_file
read:$P/hostkvm read kvm_device_t chr_file
read:$P/hosttun read tun_tap_device_t chr_file
read:$P/loopctl read loop_control_device_t chr_file
read:$P/dmctl read lvm_control_t chr_file
ioctl:$P/tun:400454cc ioctl banger_tun_device_t chr_file 0x54cc
ioctl:$P/tun:400454cb ioctl banger_tun_device_t chr_file 0x54cb
ioctl:$P/tun:8924 ioctl banger_tun_device_t chr_file 0x8924
connect:/run/banger/control.sock search banger_runtime_t dir
connect:$P/control write banger_runtime_t sock_file
connect:$P/api2 write banger_slot_t sock_file
connect:@sup connectto banger_sup_t unix_stream_socket
connect:@vm2 connectto banger_vm_t unix_stream_socket
unlink:$P/slot1/log unlink banger_reqlog_t file
rename:$P/slot1/log rename banger_reqlog_t file
socket:route create banger_vm_t netlink_route_socket
socket:netfilter create banger_vm_t netlink_netfilter_socket
socket:inet create banger_vm_t tcp_socket
socket:packet create banger_vm_t packet_socket
exec:$P/true execute bin_t file
exec:$P/sh execute shell_exec_t file
enter:system_u:system_r:banger_t:s0 transition banger_t process
become:system_u:system_r:initrc_t:s0 dyntransition initrc_t process
relabel:$P/other:system_u:object_r:banger_slot_t:s0:c1 relabelfrom banger_slot_t file
cap:admin sys_admin banger_vm_t capability
TABLE

tries banger_t <<TABLE
read:$P/db ok
read:$P/log ok
write:$P/image ok
relabel:$P/slot1/disk:system_u:object_r:banger_slot_t:s0:c1 ok
write:$P/log write banger_reqlog_t file
append:$P/log append banger_reqlog_t file
ioctl:$P/log:9409 ioctl banger_reqlog_t file 0x9409
ioctl:$P/db:9409 ENOTTY
ioctl:$P/db:5411 ioctl banger_var_lib_t file 0x5411
relabel:$P/log:system_u:object_r:banger_slot_t:s0 relabelfrom banger_reqlog_t file
read:$P/conf open banger_etc_t file
read:$P/shadow read shadow_t file
write:$P/disk1 write banger_disk_device_t blk_file
read:$P/loop read banger_loop_device_t blk_file
read:$P/hostdisk read fixed_disk_device_t blk_file
read:$P/tun read banger_tun_device_t chr_file
read:$P/hosttun read tun_tap_device_t chr_file
read:$P/kvm read banger_kvm_device_t chr_file
read:$P/hostkvm read kvm_device_t chr_file
read:$P/loopctl read loop_control_device_t chr_file
read:$P/dmctl read lvm_control_t chr_file
socket:route create banger_t netlink_route_socket
socket:netfilter create banger_t netlink_netfilter_socket
socket:inet create banger_t tcp_socket
socket:packet create banger_t packet_socket
exec:$P/true execute bin_t file
exec:$P/sh execute shell_exec_t file
enter:system_u:system_r:banger_vm_t:s0 transition banger_vm_t process
become:system_u:system_r:banger_net_t:s0 dyntransition banger_net_t process
cap:admin sys_admin banger_t capability
chown:$P/image chown banger_t capability
connect:@vm2 ok
connect:@sup connectto banger_sup_t unix_stream_socket
unlink:$P/lib/log unlink banger_reqlog_t file
rename:$P/lib/log rename banger_reqlog_t file
TABLE

tries banger_net_t <<TABLE
fd:append ok
ioctl:$P/tun:400454cb EBADFD
ioctl:$P/tun:800454d2 ioctl banger_tun_device_t chr_file 0x54d2
ioctl:$P/tun:400454d4 ioctl banger_tun_device_t chr_file 0x54d4
fd:truncate write banger_reqlog_t file
socket:route ok
socket:netfilter ok
socket:inet create banger_net_t tcp_socket
socket:packet create banger_net_t packet_socket
read:$P/log read banger_reqlog_t file
append:$P/log open banger_reqlog_t file
read:$P/db read banger_var_lib_t file
read:$P/image read banger_image_t file
read:$P/other read banger_slot_t file
read:$P/disk1 read banger_disk_device_t blk_file
read:$P/loop read banger_loop_device_t blk_file
read:$P/hostdisk read fixed_disk_device_t blk_file
read:$P/hosttun read tun_tap_device_t chr_file
read:$P/kvm read banger_kvm_device_t chr_file
read:$P/loopctl read loop_control_device_t chr_file
read:$P/dmctl read lvm_control_t chr_file
exec:$P/true execute bin_t file
exec:$P/sh execute shell_exec_t file
enter:system_u:system_r:banger_vm_t:s0 transition banger_vm_t process
become:system_u:system_r:banger_blk_t:s0 dyntransition banger_blk_t process
connect:@sup connectto banger_sup_t unix_stream_socket
connect:@vm2 connectto banger_vm_t unix_stream_socket
TABLE

tries banger_blk_t <<TABLE
fd:append ok
fd:truncate write banger_reqlog_t file
ioctl:$P/loopctl:4c82 ok
ioctl:$P/loop:80081272 ok
ioctl:$P/loopctl:4c81 ioctl loop_control_device_t chr_file 0x4c81
ioctl:$P/loop:4c01 ioctl banger_loop_device_t blk_file 0x4c01
ioctl:$P/dmctl:c138fd01 ioctl lvm_control_t chr_file 0xfd01
write:$P/disk1 write banger_disk_device_t blk_file
read:$P/hostdisk read fixed_disk_device_t blk_file
read:$P/tun read banger_tun_device_t chr_file
read:$P/kvm read banger_kvm_device_t chr_file
read:$P/log read banger_reqlog_t file
read:$P/db read banger_var_lib_t file
read:$P/image open banger_image_t file
read:$P/other open banger_slot_t file
socket:route create banger_blk_t netlink_route_socket
socket:netfilter create banger_blk_t netlink_netfilter_socket
socket:inet create banger_blk_t tcp_socket
exec:$P/true execute bin_t file
exec:$P/sh execute shell_exec_t file
enter:system_u:system_r:banger_vm_t:s0 transition banger_vm_t process
become:system_u:system_r:banger_net_t:s0 dyntransition banger_net_t process
cap:net net_admin banger_blk_t capability
connect:@sup connectto banger_sup_t unix_stream_socket
connect:@vm2 connectto banger_vm_t unix_stream_socket
unlink:$P/slot1/log unlink banger_reqlog_t file
rename:$P/slot1/log rename banger_reqlog_t file
TABLE

tries banger_spawn_t <<TABLE
fd:append ok
fd:truncate write banger_reqlog_t file
read:$P/log read banger_reqlog_t file
read:$P/db read banger_var_lib_t file
read:$P/image read banger_image_t file
read:$P/other read banger_slot_t file
write:$P/disk1 write banger_disk_device_t blk_file
read:$P/loop read banger_loop_device_t blk_file
read:$P/hostdisk read fixed_disk_device_t blk_file
ioctl:$P/null:5401 ioctl banger_device_t chr_file 0x5401
read:$P/tun read banger_tun_device_t chr_file
read:$P/kvm read banger_kvm_device_t chr_file
read:$P/loopctl read loop_control_device_t chr_file
read:$P/dmctl read lvm_control_t chr_file
socket:route create banger_spawn_t netlink_route_socket
socket:netfilter create banger_spawn_t netlink_netfilter_socket
socket:inet create banger_spawn_t tcp_socket
exec:$P/true execute bin_t file
exec:$P/sh execute shell_exec_t file
enter:system_u:system_r:banger_t:s0 transition banger_t process
enter:system_u:system_r:initrc_t:s0 transition initrc_t process
become:system_u:system_r:banger_vm_t:s0 dyntransition banger_vm_t process
connect:@sup connectto banger_sup_t unix_stream_socket
connect:@vm2 connectto banger_vm_t unix_stream_socket
unlink:$P/slot1/log unlink banger_reqlog_t file
rename:$P/slot1/log rename banger_reqlog_t file
TABLE

tries banger_sup_t <<TABLE
fd:append ok
append:$P/log ok
write:$P/log write banger_reqlog_t file
read:$P/conf ok
write:$P/conf write banger_etc_t file
read:$P/db read banger_var_lib_t file
read:$P/image read banger_image_t file
read:$P/other read banger_slot_t file
write:$P/disk1 write banger_disk_device_t blk_file
read:$P/loop read banger_loop_device_t blk_file
read:$P/hostdisk read fixed_disk_device_t blk_file
read:$P/tun read banger_tun_device_t chr_file
read:$P/kvm read banger_kvm_device_t chr_file
read:$P/shadow read shadow_t file
socket:route create banger_sup_t netlink_route_socket
socket:inet create banger_sup_t tcp_socket
exec:$P/true execute bin_t file
exec:$P/sh execute shell_exec_t file
enter:system_u:system_r:banger_vm_t:s0 transition banger_vm_t process
become:system_u:system_r:banger_t:s0 dyntransition banger_t process
connect:@vm2 connectto banger_vm_t unix_stream_socket
unlink:$P/run/log unlink banger_reqlog_t file
rename:$P/run/log rename banger_reqlog_t file
TABLE

# ---- an administrator, who may do nearly anything, but not enter our domains ----
audit_mark
for d in $DOMAINS; do
	refuses "unconfined_t does not enter $d" runcon -r system_r -t "$d" $P/probe cap:net
done
audit_since | grep -a 'avc: *denied.*{ transition }.*scontext=[^ ]*:unconfined_t:' >/tmp/denied
for d in $DOMAINS; do
	is "$(grep -c "tcontext=[^ ]*:$d:" /tmp/denied)" 1 \
		"it is the transition to $d that is refused"
done

# ---- and away ----
systemctl stop probe-sup probe-vm2
kill $listener
losetup -d "$loop"
rm -rf $P /tmp/probe.disk
check "the probe's rules are gone" semodule -X 400 -r banger_probe
check "the module too" "$ROOT"/selinux/remove.sh
check "the log keeps quiet again about what it should" semodule -B
done_testing
