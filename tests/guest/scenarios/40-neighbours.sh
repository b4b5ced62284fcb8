#!/bin/bash
# Others on the host who change networks and firewalls: what they do to a VM's, what doctor says of
# it, and that its hint helps.
. "$(dirname "$0")/../lib.sh"
installed
tiny_image

# ---- an outside behind NAT, and a VM that says each second whether it reaches it ----
ip netns add out
ip link add up0 type veth peer name up0 netns out
ip addr add 198.51.100.2/24 dev up0
ip link set up0 up
ip -n out addr add 198.51.100.1/24 dev up0
ip -n out link set up0 up
mkdir -p /tmp/www && echo outside >/tmp/www/index.html
ip netns exec out busybox httpd -f -p 8080 -h /tmp/www &
server=$!
reaches() { says_more 60 far REACHED 3; } # from now on
cut_off() { says_more 60 far LOST 3; }
doctor() {
	banger doctor -o json | jq -r ".[] | select(.name == \"$1\") | \"\(.verdict) \(.text)\""
}
# our chains with their rules, and the elements of our sets but "flows", to which packets add; a
# digest of them
ours() {
	nft -j list ruleset |
		jq -c '[.nftables[] | select((.rule // .set // .chain // {}).table == "banger")
		| if .set.name? == "flows" then del(.set.elem) else . end
		| del(.. | .handle?) | del(.. | .packets?, .bytes?)]' |
		tee /tmp/ours | sha256sum | head -c 16
}
address() { ip -j -4 addr show banger0 | jq -r '.[0].addr_info[].local'; }
need "a VM with NAT" tiny_started far --nat
need "its guest is up" says 180 far REACHED
need "it reaches the outside" reaches
tap=bgr$(slot_of far) rules=$(ours)
is "$(grep -c "banger:$(slot_of far):" /tmp/ours)" 1 "nft: its elements are there"
is "$(doctor firewall)" "PASS *" "doctor: nobody is in the way"

# ---- iptables, of either kind ----
iptables -F && iptables -t nat -F
is "$(ours)" "$rules" "iptables -F: nft: ours is as it was"
check "and the VM reaches the outside" reaches
iptables -P FORWARD DROP
check "a policy that drops what is forwarded cuts it off" cut_off
is "$(doctor firewall)" "WARN chain FORWARD of table filter may drop packets of guests with NAT" \
	"doctor names it"
iptables -I FORWARD -i banger0 -j ACCEPT && iptables -I FORWARD -o banger0 -j ACCEPT
check "what doctor's hint says helps" reaches
iptables -F && iptables -P FORWARD ACCEPT
nft delete table ip filter
iptables-legacy -P FORWARD DROP
check "the older iptables cuts it off as well" cut_off
is "$(doctor firewall)" \
	"WARN chain FORWARD of iptables-legacy may drop packets of guests with NAT" \
	"doctor names it"
iptables-legacy -P FORWARD ACCEPT
check "without it the VM reaches the outside" reaches
is "$(doctor firewall)" "PASS *" "doctor is content"
rmmod iptable_filter

# ---- rules for bridged frames ----
modprobe br_netfilter
sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-arptables=1
check "with br_netfilter on it reaches the outside" reaches
sysctl -qw net.bridge.bridge-nf-call-iptables=0
check "and with it off" reaches
rmmod br_netfilter

# ---- Docker, ufw, firewalld ----
begin() { systemctl -q unmask "$@" && systemctl start "$@"; }
end() { systemctl stop "$@"; systemctl -q mask "$@"; }
# the others', in the end
tables() { nft list tables | grep -v ' banger$' | while read -r t; do nft delete "$t"; done; }
check "Docker starts" begin containerd docker.socket docker
check "and the VM reaches the outside: it leaves alone who forwards already" reaches
sysctl -qw net.ipv4.ip_forward=0
systemctl restart docker
is "$(iptables -S FORWARD | head -n 1)" "-P FORWARD DROP" \
	"where Docker turns forwarding on, it has what is forwarded dropped"
check "which cuts the VM off" cut_off
is "$(doctor firewall)" "WARN chain FORWARD of table filter *" "doctor names its chain"
iptables -I DOCKER-USER -i banger0 -j ACCEPT && iptables -I DOCKER-USER -o banger0 -j ACCEPT
check "what doctor's hint says helps, in Docker's own chain" reaches
systemctl restart docker
check "also when Docker is started anew" reaches
end docker.socket docker containerd
iptables -P FORWARD ACCEPT
ip link del docker0
tables
check "without Docker the VM reaches the outside" reaches

ufw allow 22 >/dev/null
check "ufw is turned on" eval 'ufw --force enable'
check "which cuts the VM off" cut_off
is "$(doctor firewall)" "WARN chain FORWARD of table filter *" "doctor names its chain"
ufw route allow in on banger0 >/dev/null && ufw route allow out on banger0 >/dev/null
check "what doctor's hint says helps" reaches
check "ufw is turned off" ufw --force reset
tables
check "without it the VM reaches the outside" reaches

setenforce 0 # Debian's policy lets nobody speak to the next ones by D-Bus
check "firewalld starts" begin firewalld
check "which cuts the VM off" cut_off
is "$(doctor firewall)" "WARN chain filter_FORWARD of table firewalld *" "doctor names its chain"
check "its zone of trust takes the bridge" firewall-cmd --zone=trusted --add-interface=banger0
check "what doctor's hint says helps" reaches
firewall-cmd -q --permanent --zone=trusted --add-interface=banger0
is "$(firewall-cmd --reload) $(ours)" "success $rules" "a reload of it leaves ours as it was"
check "and the VM reaches the outside" reaches
firewall-cmd -q --permanent --zone=trusted --remove-interface=banger0
end firewalld
tables
check "without it the VM reaches the outside" reaches
is "$(ours)" "$rules" "nft: ours is as it was after all of them"

# ---- who takes all interfaces for theirs ----
networkd_has() { networkctl list --no-legend --no-pager "$1" | awk '{ print $NF }'; }
cat >/etc/systemd/network/90-all.network <<-END
	[Match]
	Kind=bridge tun veth
	[Network]
	Address=203.0.113.77/24
	LinkLocalAddressing=no
	IPv6AcceptRA=no
END
systemctl restart systemd-networkd
check "networkd: it has what no file of ours keeps it from" \
	wait_for 60 eval '[ "$(networkd_has up0)" = configured ]'
is "$(networkd_has banger0) $(networkd_has "$tap")" "unmanaged unmanaged" \
	"networkd: bridge and tap are not its"
is "$(address)" "10.98.0.1" "ip: the bridge has its address, and no other"
rm /etc/systemd/network/90-all.network
systemctl restart systemd-networkd
ip addr replace 198.51.100.2/24 dev up0
check "and the VM reaches the outside" reaches
cat >/etc/NetworkManager/conf.d/00-uplink.conf <<-END
	[main]
	plugins=keyfile
	[keyfile]
	unmanaged-devices=interface-name:en*;interface-name:eth*
END
check "NetworkManager starts" begin NetworkManager
check "it knows our bridge" wait_for 60 eval 'nmcli -t -f DEVICE device | grep -qx banger0'
is "$(nmcli -t -f DEVICE,STATE device | grep -E "^(banger0|$tap):" | sort | xargs)" \
	"banger0:unmanaged $tap:unmanaged" "nmcli: bridge and tap are not its"
is "$(address)" "10.98.0.1" "ip: the bridge has its address, and no other"
end NetworkManager
setenforce 1
rm /etc/NetworkManager/conf.d/00-uplink.conf
ip addr replace 198.51.100.2/24 dev up0 && ip link set up0 up
check "and the VM reaches the outside" reaches

# ---- the host's table of neighbours is full ----
was=$(sysctl -n net.ipv4.neigh.default.gc_thresh3)
for ((i = 10; i < 20; i++)); do
	ip neigh add 198.51.100.$i lladdr 02:00:00:00:00:$i nud reachable dev up0
done
sysctl -qw net.ipv4.neigh.default.gc_thresh3=5
is "$(doctor neighbours)" "FAIL *guests can not be reached" \
	"a full table of neighbours: doctor says so"
check "a VM can be started and stopped all the same" \
	eval 'tiny_started also && banger vm delete also'
sysctl -qw "net.ipv4.neigh.default.gc_thresh3=$was"
ip neigh flush dev up0
check "with room again the first one reaches the outside" reaches

check "it goes" banger vm delete far
kill $server
ip link del up0
ip netns del out
done_testing
