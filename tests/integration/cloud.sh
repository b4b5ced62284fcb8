#!/bin/bash
# A cloud image: the table of a whole disk, cloud-init and networkd in it.  What its VM is told.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib_guest.sh"

cloud_image() { # an image with the files that init looks for, and none of the programs
	local d=$T/guest
	guest_image
	mkdir -p "$d/etc/cloud" "$d/usr/lib/systemd"
	printf '#!/bin/sh\n' >"$d/usr/lib/systemd/systemd-networkd"
	chmod 755 "$d/usr/lib/systemd/systemd-networkd"
	cat >"$d/etc/fstab" <<-'FSTAB'
		# the disk's own
		PARTUUID=11111111-2222-3333-4444-555555555555 / ext4 rw,discard,x-systemd.growfs 0 1
		UUID=ABCD-1234 /boot/efi vfat umask=0077 0 1
		LABEL=here /mnt ext4 noauto 0 0
		/dev/sda3 none swap sw 0 0
		tmpfs /tmp tmpfs mode=1777,size=10%,uid=* 0 0
		/dev/vda /again ext4 noauto 0 0
	FSTAB
	mke2fs -q -F -t ext4 -L here -d "$d" -E root_owner=0:0 "$T/guest.ext4" 16M
}

set_prepare
conf_make slots=2 per_owner=2
cloud_image
did "the set comes up" set_start
did "kernel and image" set_images
check "a VM of it starts" \
	eval 'banger create web --image tiny --memory 192M && banger start web'
check "and comes up" wait_for 300 in_guest true

is "$(in_guest cat /etc/fstab)" '# the disk'"'"'s own
/dev/vda / ext4 rw,discard,x-systemd.growfs 0 1
# not in this VM: UUID=ABCD-1234 /boot/efi vfat umask=0077 0 1
LABEL=here /mnt ext4 noauto 0 0
# not in this VM: /dev/sda3 none swap sw 0 0
tmpfs /tmp tmpfs mode=1777,size=10%,uid=\* 0 0
/dev/vda /again ext4 noauto 0 0' "fstab: the root is this disk, and what is not here is no line"

address=$(banger show web -o json | jq -r .ip)
gateway=$(in_guest ip route | awk '/^default/ { print $3 }')
seed=/var/lib/cloud/seed/nocloud
is "$(in_guest cat $seed/meta-data)" "instance-id: '$(banger show web -o json | jq -r .id)'
local-hostname: 'web'" "cloud-init is told which VM it is in"
is "$(in_guest cat $seed/user-data)" "#cloud-config
# banger: what this VM was told
disable_root: false
ssh_deletekeys: false
ssh_authorized_keys:
  - 'ssh-ed25519 [A-Za-z0-9]*'" "and which key may log in"
is "$(in_guest cat $seed/network-config)" "version: 2
ethernets:
  eth0:
    dhcp4: false
    addresses: \['$address/*'\]
    gateway4: '$gateway'
*" "its address and gateway"
is "$(in_guest cat /etc/systemd/network/05-banger.network)" "\[Match\]
Name=eth0

\[Network\]
Address=$address/*
Gateway=$gateway*" "and networkd too"

in_guest sh -c "echo '#cloud-config' >$seed/user-data; echo mine >$seed/meta-data; sync" >/dev/null
check "another start" eval 'banger stop --force web; banger start web'
check "comes up" wait_for 300 in_guest true
is "$(in_guest cat $seed/meta-data)" mine "a source that the image has stays"
is "$(in_guest grep -c vda /etc/fstab)" 2 "fstab is not changed again"
banger rm web >/dev/null
