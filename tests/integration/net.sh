#!/bin/bash
# Tests the net role against a scripted peer, in a network namespace of its own. ip, bridge, nft and
# conntrack show what the role makes. net_guest.pl plays guests on real taps.  One more namespace
# behind a veth is the outside.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
in_ns "$@"
needs jq nft ip bridge conntrack perl setpriv nsenter ping
[ -c /dev/net/tun ] || skip_all "this kernel has no /dev/net/tun"

GW=10.97.0.1 BR=bgtest BRMAC=02:fc:ff:00:00:01 FLOWS=64
mac() { printf '02:fc:00:00:00:%02x' "$1"; }
addr() { echo "10.97.0.$((2 + $1))"; }
net() { ask net "$@"; }
tap_remove() { # tap_remove slot=N...: the two steps of it; "ok" when both are
	local got
	got=$(net tap_retire "$@")
	[ "$got" = ok ] || { echo "$got"; return; }
	got=$(net tap_sweep)
	echo "${got%% *}"
}
link() { ip -j -d link show "$1" 2>/dev/null | jq -c ".[0] | $2"; }
elements() { # elements FAMILY SET: value and comment of each, one a line
	nft -j list set "$1" banger "$2" |
		jq -r '.nftables[].set? // empty | .elem[]? | .elem // {val: ., comment: "none"} |
		[(.val.concat? // [.val] | join("/")), .comment] | join(" ")' 2>/dev/null | sort
}
objects() { # what LIST says, all pages, one object a line
	local cursor=0 line
	while line=$(net list cursor=$cursor) && [[ $line == ok* ]]; do
		line=${line#ok next=} cursor=${line%% *} line=${line##*objects=}
		tr ',' '\n' <<<"$line" | paste -d, - - - - - | sed '/^,*$/d'
		[ "$cursor" != 0 ] || break
	done
}
role_pid() { pgrep -P "${PEER_PID[net]}"; }

# ---- the start ----
conf_make per_owner=8 flows=$FLOWS
ip link add $BR type bridge
peer_start net
is "$(net hello)" "exit 71" "a bridge that somebody else made is refused"
is "$(link $BR '.ifalias // "none"')" '"none"' "and is not touched"
peer_stop net
ip link del $BR
ip link add $BR type veth peer name other && ip link set $BR alias banger:bridge
peer_start net
is "$(net hello)" "exit 71" "what has the alias but is no bridge is refused as well"
peer_stop net
ip link del $BR
is "$(cat "$T/net.err")" "*bridge $BR: an interface of that name exists and is not ours*" \
	"the log says why"
: >"$T/net.err"

echo 0 >/proc/sys/net/ipv4/ip_forward
peer_start net
is "$(net run)" ok "the role gets ready"
pid=$(role_pid)
is "$(cat /proc/sys/net/ipv4/ip_forward)" 1 "forwarding is on"
is "$(link $BR '[.ifalias, .address, .linkinfo.info_kind, (.flags | index("UP") != null)]')" \
	"[[]\"banger:bridge\",\"$BRMAC\",\"bridge\",true[]]" \
	"the bridge has tag and address, and is up"
is "$(ip -j -4 addr show $BR | jq -c '.[0].addr_info | map([.local, .prefixlen])')" \
	"[[][[]\"$GW\",24[]][]]" "the bridge has the gateway's address alone"
privileges() { # privileges PID: its uids, capabilities, whether it may gain more, and its filter
	awk '/^Uid:/ { print $2, $3, $4, $5 }
		/^(CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):/ { print $2 }' \
		"/proc/$1/status" | xargs
}
is "$(privileges "$pid")" \
	"$NET_ID $NET_ID $NET_ID $NET_ID 0000000000001000 0000000000001000 0000000000000000 1 2" \
	"the role has its own uid, CAP_NET_ADMIN alone, and a filter"
is "$(ls -A "/proc/$pid/root" | tr '\n' ' ')" "tun " "its root has one node"
refuses "the root is read-only" touch "/proc/$pid/root/x"

# ---- the rules, against their text ----
rules_text() {
	cat <<END
table bridge banger {
	set guest { type ifname . ether_addr . ipv4_addr; size 1000; }
	chain pre {
		type filter hook prerouting priority -300; policy accept;
		iifname != "bgr*" accept
		ether type ip iifname . ether saddr . ip saddr @guest accept
		ether type arp iifname . ether saddr . arp saddr ip @guest \
			iifname . arp saddr ether . arp saddr ip @guest accept
		counter drop
	}
	chain in {
		type filter hook input priority -300; policy accept;
		iifname "bgr*" ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 drop
	}
}
table inet banger {
	set nat4 { type ipv4_addr; size 1000; }
	set flows { type ipv4_addr; size 1000; flags dynamic; }
	chain pre {
		type filter hook prerouting priority raw; policy accept;
		iifname "bgr*" drop
		iifname "$BR" icmp type echo-request fib daddr type local notrack
	}
	chain post {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr @nat4 oifname $1 masquerade
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname "$BR" ip daddr 169.254.0.0/16 drop
		iifname "$BR" ip saddr @nat4 oifname $1 ct status confirmed accept
		iifname "$BR" ip saddr @nat4 oifname $1 ct state new,related add @flows \
			{ ip saddr limit rate $((FLOWS / 32))/second burst $FLOWS packets \
			ct count $FLOWS } accept
		oifname "$BR" ct state established,related accept
		iifname "$BR" drop
		oifname "$BR" drop
	}
	chain input {
		type filter hook input priority filter; policy accept;
		iifname != "$BR" accept
		meta nfproto != ipv4 drop
		ct state established,related ct direction reply accept
		icmp type echo-request accept
		drop
	}
}
END
}
# as nft encodes the text: what it prints of the loaded expressions, without handles and use counts
rules_of_nft() {
	unshare -n sh -c 'nft -f "$1" && nft --debug=netlink list ruleset' sh "$1" | normal
}
without_elements() { sed -E '/^\telement /d; /elements = \{.*\}$/d; /elements = \{/,/\}$/d'; }
normal() {
	sed -E 's/ use [0-9]+//; s/ handle [0-9]+//
		s/pkts [0-9]+ bytes [0-9]+/pkts 0 bytes 0/
		s/packets [0-9]+ bytes [0-9]+/packets 0 bytes 0/
		s/^((ip|inet|bridge) [a-z]+ [a-z]+) [0-9 ]+$/\1/'
}
rules_text "!= \"$BR\"" >"$T/want.nft"
rules_of_nft "$T/want.nft" >"$T/want"
nft --debug=netlink list ruleset | normal >"$T/got"
check "the rules are what nft makes of their text, expression by expression" \
	diff -u "$T/want" "$T/got"
is "$(wc -l <"$T/want")" "2[0-9][0-9]" "and that is a real listing"

# ---- taps ----
is "$(net tap_create slot=1)" "ok ifindex=*" "a tap is made"
index=$(link bgr1 .ifindex)
uid=$((UID_BASE + 1))
is "$(net tap_create slot=1)" "ok ifindex=$index" "made again, it is there, with the same ifindex"
is "$(link bgr1 '[.ifalias, .master, (.flags | index("UP") != null)]')" \
	"[[]\"banger:1:1:1000\",\"$BR\",true[]]" "it has the tag, is in the bridge and up"
is "$(link bgr1 '.linkinfo.info_data | [.type, .pi, .vnet_hdr, .persist]')" \
	'[[]"tap",false,true,true[]]' "it is a persistent tap"
is "$(link bgr1 '.linkinfo.info_data | [.user, .group]' | tr -d '"')" "[[]${uid},${uid}[]]" \
	"owner and group are the slot's"
is "$(bridge -j -d link show dev bgr1 |
	jq -c '.[0] | [.isolated, .learning, .flood, .mcast_flood]')" \
	"[[]true,false,false,false[]]" "its port is isolated, learns nothing and is not flooded"
is "$(bridge -j fdb show dev bgr1 |
	jq -r '.[] | select(.state == "static" or .flags[]? == "static") | .mac')" "$(mac 1)" \
	"the bridge knows its guest's MAC"
is "$(objects)" "1,1,1,1000,$index" "LIST tells it from its tag"

mount -t tmpfs -o mode=755 dev "$T/net-dev" 2>/dev/null || {
	mkdir "$T/net-dev" && mount -t tmpfs -o mode=755 dev "$T/net-dev"
}
mknod -m 666 "$T/net-dev/tun" c 10 200
install -m 755 "$ROOT/tests/integration/net_guest.pl" "$T/net-dev/guest"
# only in ( )
as() {
	local id=$((UID_BASE + $1)); shift; exec setpriv --reuid $id --regid $id --clear-groups "$@"
}
is "$(as 1 perl "$T/net-dev/guest" "$T/net-dev/tun" bgr1 "$(mac 1)" "$(addr 1)" </dev/null 2>&1)" \
	"attached*" "the slot's uid may attach to it"
is "$(as 2 perl "$T/net-dev/guest" "$T/net-dev/tun" bgr1 "$(mac 1)" "$(addr 1)" </dev/null 2>&1)" \
	"attach: Operation not permitted" "another slot's uid may not"

ip link add bgr3 type veth peer name other
is "$(net tap_create slot=3)" denied "a foreign interface of a tap's name is not taken over"
is "$(tap_remove slot=3)" denied "nor removed"
is "$(link bgr3 '.ifalias // "none"')" '"none"' "nor touched"
ip link del bgr3
ip tuntap add bgr3 mode tap
is "$(net tap_create slot=3)" denied "nor is a foreign tap"
ip link set bgr3 alias banger:2:1:1000
is "$(net tap_create slot=3)" denied "nor a tap with another slot's tag"
ip link set bgr3 alias banger:3:1:1000x
is "$(tap_remove slot=3)" denied "nor one whose tag is not exactly a tag"
is "$(link bgr3 .ifname)" '"bgr3"' "all that left it alone"
is "$(objects)" "1,1,1,1000,$index" "and LIST has nothing of it"
net woken >/dev/null
ip link add notours type bridge && ip link set notours up && ip link del notours
nft add table inet other && nft add set inet other banger \
	'{ type ipv4_addr; elements = { 192.0.2.1 }; }' && nft delete table inet other
is "$(net woken 300)" no "what others do with theirs is no news"
ip link del bgr3
is "$(net woken 5000)" yes "a tap that somebody deletes is, at once"

ip link set bgr1 alias banger:1:1:1001
is "$(net tap_create slot=1)" busy "a tap that is tagged for another owner is not handed out"
ip link set bgr1 alias banger:1:1:1000
is "$(net tap_create slot=1 owner=1001)" denied "nor asked for by another owner"
is "$(net tap_create slot=1 gen=2)" busy "a newer generation waits until the slot is free"
is "$(tap_remove slot=1)" ok "a tap is removed"
refuses "it is gone" ip link show bgr1
is "$(tap_remove slot=1)" ok "removed again, it is absent, and that is fine"
is "$(net woken 300)" no "what was asked for is no news"
is "$(net tap_create slot=1 gen=2)" "ok *" "now the newer generation has it"
is "$(tap_remove slot=1 gen=1)" denied "and the older one can not remove it"
is "$(tap_remove slot=1 gen=2)" ok "its own can"

# ---- set elements ----
is "$(net guest_allow slot=1 gen=3)" ok "a guest is allowed"
is "$(net guest_allow slot=1 gen=3)" ok "twice is once"
is "$(elements bridge guest)" "bgr1/$(mac 1)/$(addr 1) banger:1:3:1000" \
	"the set has its tap, MAC, address and tag"
is "$(net nat_add slot=1 gen=3)" ok "it gets NAT"
is "$(net nat_add slot=1 gen=3)" ok "twice is once"
is "$(elements inet nat4)" "$(addr 1) banger:1:3:1000" "the set has its address and tag"
is "$(objects | tr '\n' ' ')" "2,1,3,1000,0 3,1,3,1000,0 " "LIST tells both"
is "$(net nat_remove slot=1 gen=3)$(net nat_remove slot=1 gen=3)" okok "NAT is removed, twice"
is "$(net guest_deny slot=1 gen=3)$(net guest_deny slot=1 gen=3)" okok "the guest is denied, twice"
is "$(elements bridge guest)$(elements inet nat4)" "" "both sets are empty"
nft add element inet banger nat4 "{ $(addr 2) comment \"mine\" }"
is "$(net nat_remove slot=2) $(elements inet nat4)" "ok " \
	"an element that somebody else put there goes with the next request, whatever it is"
nft add element inet banger nat4 "{ $(addr 2) comment \"mine\" }"
is "$(objects)" "" "nor is it listed"
nft add element inet banger nat4 "{ $(addr 2) comment \"mine\" }"
is "$(net nat_add slot=2) $(elements inet nat4)" "ok $(addr 2) banger:2:1:1000" \
	"nor in the way of ours"
is "$(net nat_remove slot=2) $(elements inet nat4)" "ok " "which is removed"

# Each netlink socket of the role is connected to the kernel: another process can not send to it.
# send_to_role: a message of 20 bytes to each port of routes (0) and netfilter (12); says how many
# arrived, and how many ports there are.
send_to_role() {
	awk '($2 == 0 || $2 == 12) && $3 != 0 { print $2, $3 }' /proc/net/netlink |
		perl -MSocket -e '
			my $message = pack("LSSLLL", 20, 16, 0, 0, 0, 0);
			while (<>) {
				my ($protocol, $port) = split;
				socket(S, 16, SOCK_RAW, $protocol) or die;
				$all++;
				$arrived++ if send(S, $message, 0, pack("SSLL", 16, 0, $port, 0));
			}
			print $arrived + 0, " of ", $all'
}
is "$(send_to_role)" "0 of 5" "no other process can send to the sockets of the role"

# ---- traffic: guests 4 and 5, an outside behind a veth ----
guest_start() { # guest_start SLOT: on its tap, as its uid
	mkfifo "$T/g$1.in" "$T/g$1.out"
	# The guest must not inherit our ends of the peer's pipes, or the peer would never see the
	# end of its commands.
	as "$1" perl "$T/net-dev/guest" "$T/net-dev/tun" "bgr$1" "$(mac "$1")" "$(addr "$1")" \
		<"$T/g$1.in" >"$T/g$1.out" 2>"$T/g$1.err" {PEER_IN[net]}>&- {PEER_OUT[net]}<&- &
	G_PID[$1]=$!
	PIDS+=($!)
	exec {G_IN[$1]}>"$T/g$1.in" {G_OUT[$1]}<"$T/g$1.out"
	read -r -t 10 line <&"${G_OUT[$1]}" && [ "$line" = attached ] ||
		not_ok "guest $1 runs" "$(cat "$T/g$1.err")"
}
guest() { # guest SLOT COMMAND...: its answer
	local line
	echo "${*:2}" >&"${G_IN[$1]}"
	read -r -t 10 line <&"${G_OUT[$1]}" || line="no answer"
	echo "$line"
}
declare -A G_IN G_OUT G_PID
for i in 4 5; do
	is "$(net tap_create slot=$i)" "ok *" "tap $i is there"
	guest_start $i
	# the host asks nothing while frames are counted
	ip neigh add "$(addr $i)" lladdr "$(mac $i)" dev $BR nud permanent
done
unshare -n sleep 600 {PEER_IN[net]}>&- {PEER_OUT[net]}<&- &
out=$!
PIDS+=($!)
wait_for 60 eval '[ ! /proc/$out/ns/net -ef /proc/self/ns/net ]'
ip link add up0 type veth peer name eth0 netns "$out"
ip addr add 192.0.2.1/24 dev up0
ip link set up0 up
nsenter -t "$out" -n sh \
	-c 'ip link set lo up; ip addr add 192.0.2.2/24 dev eth0; ip link set eth0 up'
# Frames and packets that come after our rules: frames from a tap in the bridge, packets that enter
# IP from a tap itself.
nft -f - <<'END'
table bridge watch {
	counter passed { }
	chain pre { type filter hook prerouting priority 0; iifname "bgr*" counter name passed; }
}
table inet watch {
	counter leaked { }
	counter early { }
	chain early {
		type filter hook prerouting priority -450
		iifname "bgr*" counter name early
	}
	chain late {
		type filter hook prerouting priority -200
		iifname "bgr*" counter name leaked
	}
}
END
counter() { nft -j list counter "$1" watch "$2" | jq '.nftables[].counter? // empty | .packets'; }
dropped() {
	nft -j list chain bridge banger pre |
		jq '.nftables[].rule? // empty | .expr[].counter? // empty | .packets'
}
passes() { # passes WANT(+0|+1) NAME GUEST COMMAND...: checks whether frames of the command pass
	local before=$(counter bridge passed) drops=$(dropped) want=$1 name=$2 got
	shift 2
	GOT=$(guest "$@")
	got=$(($(counter bridge passed) - before)) drops=$(($(dropped) - drops))
	if [ "$want" = +0 ]; then
		is "$got $drops" "0 1" "$name"
	else
		is "$got $drops" "[1-9]* 0" "$name"
	fi
}
m4=$(mac 4) a4=$(addr 4) m5=$(mac 5) a5=$(addr 5)

passes +0 "a tap without an element has no network: ARP" 4 arp "$m4" "$m4" "$a4" $GW
passes +0 "nor IP" 4 ping "$m4" "$a4" $BRMAC $GW
is "$(net guest_allow slot=4)$(net guest_allow slot=5)" okok "both guests are allowed"
passes +1 "its own ARP passes" 4 arp "$m4" "$m4" "$a4" $GW
is "$GOT" "reply $BRMAC" "and the bridge answers"
passes +1 "its own IP passes" 4 ping "$m4" "$a4" $BRMAC $GW
is "$GOT" reply "and the host answers a ping"
passes +0 "a wrong source address is dropped" 4 ping "$m4" "$a5" $BRMAC $GW
passes +0 "a wrong MAC is dropped" 4 ping "$m5" "$a4" $BRMAC $GW
passes +0 "another guest's MAC and address are dropped" 4 ping "$m5" "$a5" $BRMAC $GW
passes +0 "ARP for a wrong address is dropped" 4 arp "$m4" "$m4" "$a5" $GW
passes +0 "ARP that claims the gateway is dropped" 4 arp "$m4" "$m4" $GW "$a5"
passes +0 "ARP from a wrong MAC is dropped" 4 arp "$m5" "$m4" "$a4" $GW
passes +0 "ARP that names a wrong MAC inside is dropped" 4 arp "$m4" "$m5" "$a4" $GW
passes +0 "a VLAN tag does not help, with a wrong address" 4 ping "$m4" "$a5" $BRMAC $GW vlan
passes +0 "nor with its own" 4 ping "$m4" "$a4" $BRMAC $GW vlan
from4=ffffffffffff${m4//:/} # a broadcast of guest 4's
ipv6_addresses=$(printf 'fe80%028dff02%028d' 1 1)
passes +0 "IPv6 is dropped" 4 raw "${from4}86dd6000000000083aff${ipv6_addresses}8000000000000000"
passes +0 "another EtherType is dropped" 4 raw \
	"${from4}88cc0207040000000000010000000000000000000000"
passes +1 "a ping to the other guest's MAC enters the bridge" 4 ping "$m4" "$a4" "$m5" "$a5"
is "$GOT" none "and ends there: ports are isolated"
is "$(guest 5 wait 100)" "seen 0" "the other guest has seen none of all that"
passes +1 "a packet for the other guest by way of the gateway" 4 ping "$m4" "$a4" $BRMAC "$a5"
is "$GOT" none "is dropped by the host"

# Frames to 01:80:c2:00:00:0x skip the bridge's prerouting: straight to the host's IP, as if they
# came from the tap; those to ..:0e (LLDP) skip the bridge's input as well (net/bridge/br_input.c,
# br_handle_frame()).
is "$(guest 4 ping "$m4" "$a5" 01:80:c2:00:00:03 $GW)" none "a ping to a link-local group"
is "$(counter inet early) $(counter inet leaked)" "0 0" "never becomes a packet"
is "$(guest 4 ping "$m4" 192.0.2.9 01:80:c2:00:00:0e $GW)" none "a ping to the group of LLDP"
is "$(counter inet early) $(counter inet leaked)" "1 0" \
	"becomes one, and the rule for packets from taps drops it"
nft flush chain bridge banger in
is "$(guest 4 ping "$m4" "$a5" 01:80:c2:00:00:03 $GW)" none \
	"one more, without the bridge's rule for them"
is "$(counter inet early) $(counter inet leaked)" "2 0" "ends at the rule for packets from taps"

# ---- repair ----
is "$(objects | wc -l)" 4 "LIST sees four objects"
nft --debug=netlink list table bridge banger | normal | without_elements >"$T/got"
unshare -n sh -c 'nft -f "$1" && nft --debug=netlink list table bridge banger' sh "$T/want.nft" |
	normal >"$T/want"
check "and has put the missing rule back" diff -u "$T/want" "$T/got"
is "$(elements bridge guest | wc -l)" 2 "with the elements of both guests"
is "$(guest 4 ping "$m4" "$a4" $BRMAC $GW)" reply "which have their network"
net woken >/dev/null
nft delete element bridge banger guest "{ bgr4 . $m4 . $a4 }"
is "$(net woken 5000)" yes "an element that somebody deletes is told at once"
nft delete table bridge banger
is "$(net woken 5000)" yes "and a table"
is "$(net guest_allow slot=4)" ok "an element finds its table gone"
is "$(elements bridge guest)" "bgr4/$m4/$a4 banger:4:1:1000" "made again"
is "$(nft -j list table bridge banger | jq '[.nftables[].rule? // empty] | length')" 5 \
	"with its rules"
is "$(net guest_allow slot=5)" ok "the other guest is allowed again"

# An administrator's changes of links are undone by the next LIST, and by the next tap.
port() {
	ip -j -d link show "bgr$1" |
		jq -r '.[] | [.master, (.flags | index("UP") != null),
			(.linkinfo.info_slave_data | .isolated, .learning, .flood, .mcast_flood)] |
			map(tostring) | join(" ")'
}
good="bgtest true true false false false"
is "$(port 4)" "$good" "a tap is up, in the bridge, apart and deaf"
while read -r broken; do
	eval "$broken"
	is "$(objects | grep -c '^1,[45],.*,0$')" 0 \
		"$broken: LIST finds nothing that it can not put back"
	is "$(port 4) $(port 5)" "$good $good" "each port is as it was"
	is "$(guest 4 ping "$m4" "$a4" $BRMAC $GW)" reply "and the guest has its network"
done <<'EOF'
ip link del bgtest
ip link set bgtest down
ip addr flush dev bgtest
ip link set bgr4 nomaster
ip link set bgr4 down
bridge link set dev bgr4 isolated off
bridge link set dev bgr4 learning on
bridge link set dev bgr4 flood on
EOF
ip link del bgtest
is "$(net tap_create slot=6)" "ok ifindex=*" "a tap finds its bridge gone"
is "$(port 6)" "$good" "and has it made again"
is "$(tap_remove slot=6)" ok "that tap is removed"
ip link del bgtest
ip link add bgtest type veth peer name other
is "$(objects | grep -c '^1,[45],.*,0$')" 2 \
	"with a foreign interface in its place the taps are told to be unconnected"
is "$(ip -j -d link show bgtest | jq -r '.[].linkinfo.info_kind')" veth "which is not touched"
is "$(net tap_create slot=6)" "kernel" "and no further tap is made"
ip link del bgtest
is "$(objects | grep -c '^1,[45],.*,0$') $(port 4)" "0 $good" "once it has gone all is well again"

# ---- NAT ----
host_of() {
	nsenter -t "$out" -n conntrack -L -p icmp 2>/dev/null | grep -o 'src=[0-9.]*' | head -n 1
}
is "$(guest 4 ping "$m4" "$a4" $BRMAC 192.0.2.2)" none "without NAT the outside is out of reach"
is "$(net nat_add slot=4)" ok "NAT for guest 4"
is "$(guest 4 ping "$m4" "$a4" $BRMAC 192.0.2.2)" reply "now it is in reach"
is "$(guest 5 ping "$m5" "$a5" $BRMAC 192.0.2.2)" none "for that guest alone"
sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.$BR.rp_filter=1
is "$(guest 4 ping "$m4" "$a4" $BRMAC 192.0.2.2)" reply \
	"with rp_filter strict a guest reaches the outside"
is "$(conntrack -L -s "$a4" -d 192.0.2.2 -p icmp 2>/dev/null | tr -s ' ')" \
	"*src=$a4 dst=192.0.2.2 * src=192.0.2.2 dst=192.0.2.1*" "by the host's address"
is "$(guest 4 ping "$m4" "$a4" $BRMAC "$a5")" none "NAT is no way to the other guest"
nsenter -t "$out" -n ip route add 10.97.0.0/24 via 192.0.2.1
if nsenter -t "$out" -n ping -c 1 -W 1 "$a4" >/dev/null; then
	not_ok "the outside can not begin"
else
	ok "the outside can not begin"
fi
guest 4 wait 1500 >/dev/null & # it answers ARP and echo meanwhile
waiter=$!
check "the host reaches its guest" ping -c 1 -W 1 "$a4"
wait $waiter

flows() { conntrack -L 2>/dev/null | grep -c -w -e "src=$1"; }

# ---- link-local addresses: the metadata of a cloud is the host's ----
nsenter -t "$out" -n ip addr add 169.254.169.254/32 dev lo
ip route add 169.254.169.254 via 192.0.2.2
check "the host reaches a link-local address outside" ping -c 1 -W 1 169.254.169.254
is "$(guest 4 ping "$m4" "$a4" $BRMAC 169.254.169.254)" none "a guest with NAT does not"
is "$(nft -j list chain inet banger forward |
	jq -c '[.nftables[].rule? // empty | .expr[] | .match? // empty |
		select(.left.payload.field? == "daddr") | .right.prefix]')" \
	'[[]{"addr":"169.254.0.0","len":16}[]]' "nft: one rule forbids it to all of them"
ip route del 169.254.169.254
nsenter -t "$out" -n ip addr del 169.254.169.254/32 dev lo

# ---- how many flows a guest can have ----
open_flows() { conntrack -L -s "$1" -d 192.0.2.2 -p "$2" 2>/dev/null | wc -l; }
conntrack -F >/dev/null 2>&1
is "$(guest 5 ping "$m5" "$a5" $BRMAC $GW) $(guest 5 ping "$m5" "$a5" $BRMAC 192.0.2.1)" \
	"reply reply" "a guest without NAT pings addresses of the host"
is "$(flows "$a5")" 0 "which leaves no entry in the table of flows"
is "$(net nat_add slot=5)" ok "NAT for guest 5"
is "$(guest 5 flood udp $((FLOWS + 40)) "$m5" "$a5" $BRMAC 192.0.2.2 2000)" sent \
	"it begins more flows than it may have"
is "$(open_flows "$a5" udp)" $FLOWS "and has as many as it may"
is "$(guest 4 ping "$m4" "$a4" $BRMAC 192.0.2.2)" reply "the other guest has its own share"
sleep 2.5
is "$(guest 5 flood udp 10 "$m5" "$a5" $BRMAC 192.0.2.2 3000) $(open_flows "$a5" udp)" \
	"sent $FLOWS" "later it has not one more"
is "$(nft list set inet banger flows | grep -o "$a5 [^,}]*")" \
	"$a5 limit rate $((FLOWS / 32))/second burst $FLOWS packets ct count $FLOWS " \
	"nft: its element has both limits"
conntrack -D -s "$a5" >/dev/null 2>&1
sleep 2
is "$(guest 5 flood udp 3 "$m5" "$a5" $BRMAC 192.0.2.2 4000) $(open_flows "$a5" udp)" "sent [1-3]" \
	"once they have ended it begins new ones"
# Closed connections are not counted, so they must not be made faster than their entries expire.
nsenter -t "$out" -n perl -MSocket -e '
	socket(S, AF_INET, SOCK_STREAM, 0);
	bind(S, sockaddr_in(9, INADDR_ANY)) or die;
	listen(S, 999) or die;
	$| = 1;
	print "listens\n";
	sleep 60' >"$T/listens" {PEER_IN[net]}>&- {PEER_OUT[net]}<&- &
listener=$!
check "the outside has a service" wait_for 60 grep -q listens "$T/listens"
for port in 2000 3000; do
	is "$(guest 4 flood syn $FLOWS "$m4" "$a4" $BRMAC 192.0.2.2 $port)" sent \
		"a guest begins connections"
	sleep 0.3
	is "$(guest 4 flood rst $FLOWS "$m4" "$a4" $BRMAC 192.0.2.2 $port)" sent "and ends them"
	sleep 0.3
done
is "$(conntrack -L -s "$a4" -p tcp 2>/dev/null | grep -c CLOSE)" "[5-7][0-9]" \
	"no more of them than a burst are in the table"
kill $listener
conntrack -F >/dev/null 2>&1
is "$(net nat_remove slot=5)" ok "guest 5 has no NAT again"

# ---- conntrack ----
# insert N ADDR [-r]: flows of it to N places; -r: from them to it, so that it is the one who
# answers
insert() {
	local i dirs="-s $2 -d 203.0.113."
	[ -z "${3-}" ] || dirs="-d $2 -s 203.0.113."
	for ((i = 1; i <= $1; i++)); do
		echo "-I $dirs$((i % 250)) -p udp --sport $((1000 + i)) --dport 53 -t 300"
	done >"$T/flows"
	conntrack -R "$T/flows" >/dev/null 2>&1 || conntrack --load-file "$T/flows" >/dev/null 2>&1
}
retired=$((0x62677200))
insert 1 "$a4"
insert 1 "$a5"
guest 4 wait 1500 >/dev/null &
waiter=$!
check "the host begins a flow" ping -c 1 -W 1 "$a4"
wait $waiter
is "$(flows "$a4") $(flows "$a5")" "[1-9]* [1-9]*" "both guests have flows"
is "$(conntrack -L -s $GW -d "$a4" 2>/dev/null | wc -l)" "[1-9]*" "one began at the host"
for i in 0 1 2 3; do is "$(net tap_create slot=$i gen=50)" "ok *" "a tap for slot $i"; done
insert 1500 "$(addr 0)"
insert 1500 "$(addr 1)"
insert 500 "$(addr 2)" -r
is "$(flows "$(addr 0)") $(flows "$(addr 1)") $(flows "$(addr 2)")" "1500 1500 500" \
	"with flows, some begun elsewhere"
is "$(net tap_sweep)" "ok taps=0" "a sweep takes nothing that is not retired"
is "$(net tap_retire slot=0 gen=50)" ok "one is retired"
is "$(ip -j link show group $retired | jq -r ".[].ifname // empty")" bgr0 \
	"ip: it is in our group of interfaces"
is "$(objects | grep '^1,0,50,')" 1,0,50,1000,0 "and still listed, but as one of no use"
is "$(net tap_create slot=0 gen=50)" busy "it is not handed out again"
is "$(net tap_sweep)" "ok taps=1" "it goes with the next sweep"
is "$(link bgr0 .ifname)" "" "ip: it is gone"
is "$(flows "$(addr 0)") $(flows "$(addr 1)") $(flows "$(addr 2)")" "0 1500 500" \
	"with all its flows and nobody else's"
is "$(net tap_retire slot=1 gen=50) $(net tap_retire slot=2 gen=50)" "ok ok" "two are retired"
insert 20 "$(addr 0)"
is "$(net restart) $(net run) $(flows "$(addr 0)") $(flows "$a5")" "started ok 0 [1-9]*" \
	"the role is started anew: flows of who is not there are forgotten, nobody else's"
is "$(net guest_allow slot=4)$(net guest_allow slot=5)$(net nat_add slot=4)" okokok \
	"elements are as before"
is "$(net tap_sweep)" "ok taps=2" "both go with the next sweep: it is written at the taps"
is "$(link bgr1 .ifname)$(link bgr2 .ifname) $(link bgr3 .ifname)" ' "bgr3"' \
	"ip: they are gone, and the third is not"
is "$(flows "$(addr 1)") $(flows "$(addr 2)")" "0 0" "with all their flows"
is "$(flows "$a4") $(flows "$a5")" "[1-9]* [1-9]*" "and none of the others'"
nft delete table inet banger # while a rule is missing, anybody can begin them
insert 20 "$(addr 0)"
is "$(net tap_retire slot=0 gen=50) $(flows "$(addr 0)")" "ok 0" \
	"a slot whose tap somebody took has its flows forgotten as well"
for i in 0 1; do is "$(net tap_create slot=$i gen=50)" "ok *" "a tap for slot $i"; done
ip link add decoy type bridge && ip link set decoy group $retired
ip tuntap add decoy2 mode tap && ip link set decoy2 group $retired alias banger:2:50:1000
is "$(net tap_retire slot=0 gen=50) $(net tap_retire slot=1 gen=50) $(net tap_sweep)" \
	"ok ok ok taps=2" "with interfaces of somebody else's in our group"
is "$(ip -j link | jq -r '.[].ifname | select(test("^(decoy|bgr[0-3]$)"))' | paste -sd' ')" \
	"bgr3 decoy decoy2" "the taps alone are removed"
ip link del decoy && ip link del decoy2
for i in 0 1 2; do
	is "$(net tap_create slot=$i gen=50) $(net tap_retire slot=$i gen=50)" "ok ifindex=* ok" \
		"slot $i: made and retired"
	insert 20 "$(addr $i)"
done
ip link set bgr1 group 0 && ip link del bgr2
is "$(net tap_create slot=2 gen=51)" busy \
	"one that somebody took meanwhile is not made again before the sweep"
is "$(net tap_sweep)" "ok taps=2" "one that somebody took out of the group is swept with the rest"
is "$(link bgr0 .ifname)$(link bgr1 .ifname)$(link bgr2 .ifname)" "" "ip: none of them is left"
is "$(flows "$(addr 0)") $(flows "$(addr 1)") $(flows "$(addr 2)")" "0 0 0" \
	"conntrack: no flow of theirs is left"
is "$(net tap_create slot=2 gen=51) $(tap_remove slot=2 gen=51)" "ok ifindex=* ok" \
	"their slots are free"
lies=0 meant=0
for ((round = 60; round < 80; round++)); do # in the time of the walk through the flows
	[[ $(net tap_create slot=1 gen=$round) == ok* &&
		$(net tap_retire slot=1 gen=$round) == ok ]] && meant=$((meant + 1))
	(sleep "0.0$((RANDOM % 2))$((RANDOM % 10))"; ip link set bgr1 group 0) 2>/dev/null &
	got=$(net tap_sweep)
	wait $!
	[[ $got != ok* || -z $(link bgr1 .ifname) ]] || lies=$((lies + 1))
	tap_remove slot=1 gen=$round >/dev/null
done
is "$meant $lies" "20 0" \
	"whenever somebody takes one out of the group, the sweep says ok only when it has gone"
ip link add altlink type bridge && ip link property add dev altlink altname bgr2 &&
	ip link set altlink alias banger:2:51:1000
is "$(net tap_create slot=2 gen=51) $(net tap_retire slot=2 gen=51)" "denied denied" \
	"what has a tap's name for another name is not ours"
ip link del altlink
is "$(tap_remove slot=3 gen=50)" ok "the third goes"
# A taken-over controller may leave a guest's element to the end, or not retire its tap at all.
is "$(net tap_create slot=2 gen=52) $(net guest_allow slot=2 gen=52)" "ok ifindex=* ok" \
	"a guest may talk"
is "$(net tap_retire slot=2 gen=52) $(net tap_sweep)" "ok ok taps=1" \
	"its tap goes, while its element stays"
insert 20 "$(addr 2)" # by frames that were on their way
is "$(net guest_deny slot=2 gen=52) $(net tap_create slot=2 gen=53) $(flows "$(addr 2)")" \
	"ok ok ifindex=* 0" "the slot's next holder gets none of its flows"
is "$(net guest_allow slot=2 gen=53) $(net guest_deny slot=2 gen=53)" "ok ok" \
	"that one may talk, and no more"
is "$(net tap_retire slot=2 gen=53) $(net tap_sweep)" "ok ok taps=1" \
	"its tap goes after its element"
is "$(net guest_allow slot=2 gen=54) $(net tap_create slot=2 gen=54)" "ok ok ifindex=*" \
	"the next has its element before its tap"
ip link del bgr2
insert 20 "$(addr 2)" -r
is "$(net guest_deny slot=2 gen=54) $(net tap_create slot=2 gen=55) $(flows "$(addr 2)")" \
	"ok ok ifindex=* 0" "nor does one whose tap somebody took away leave any"
is "$(tap_remove slot=2 gen=55)" ok "it goes"
insert 20 "$(addr 2)"
is "$(net restart) $(net run) $(net tap_create slot=2 gen=56) $(flows "$(addr 2)")" \
	"started ok ok ifindex=* 0" "nor does one that was there before the role was started"
is "$(net guest_allow slot=2 gen=56) $(net guest_deny slot=2 gen=56) $(tap_remove slot=2 gen=56)" \
	"ok ok ok" "it goes"
# While the rules are missing, another guest can begin flows in a guest's name, however short that
# time is.
nft delete table bridge banger
insert 20 "$(addr 2)"
is "$(net list cursor=0)" "ok *" "somebody took the rules, LIST puts them back"
is "$(net tap_create slot=2 gen=57) $(flows "$(addr 2)")" "ok ifindex=* 0" \
	"the slot's next holder gets no flow of that time"
is "$(net guest_allow slot=2 gen=57) $(net guest_deny slot=2 gen=57) $(tap_remove slot=2 gen=57)" \
	"ok ok ok" "it goes"
nft list table bridge banger >"$T/rules.nft"
nft flush chain bridge banger pre
insert 20 "$(addr 2)"
nft delete table bridge banger && nft -f "$T/rules.nft"
is "$(net tap_create slot=2 gen=58) $(flows "$(addr 2)")" "ok ifindex=* 0" \
	"nor when somebody puts them back himself"
# A large change is in effect some time before the kernel tells of it.
for ((i = 0; i < 60000; i++)); do
	echo "10.$((i / 62500)).$((i / 250)).$((i % 250))"
done | paste -sd, | sed 's/.*/add table inet large\
add set inet large many { type ipv4_addr; }\
add element inet large many { & }/' >"$T/large.nft"
echo "delete table bridge banger" >>"$T/large.nft"
nft -f "$T/large.nft" &
large=$!
check "the rules go with a large change" \
	wait_for 60 eval '! nft list chain bridge banger pre >/dev/null 2>&1'
bridge_rules() { nft -j list table bridge banger | jq '[.nftables[].rule? // empty] | length'; }
is "$(net tap_create slot=3 gen=59) $(bridge_rules)" "ok ifindex=* 5" \
	"a new tap has the rules again"
wait $large
is "$(tap_remove slot=3 gen=59)" ok "it goes"
nft delete table inet large
is "$(net guest_allow slot=2 gen=58)" ok "a guest may talk"
nft flush chain bridge banger pre
is "$(net guest_deny slot=2 gen=58) $(net tap_retire slot=2 gen=58) $(net tap_sweep)" \
	"ok ok ok taps=1" "it goes while they are away"
nft add rule bridge banger pre iifname '"bgr*"' accept
insert 20 "$(addr 2)"
is "$(net tap_create slot=2 gen=59) $(flows "$(addr 2)")" "ok ifindex=* 0" \
	"its next holder gets no flow of that time"
# A tap may lose its name or tag for a while: a guest that sends still has its element.
is "$(net guest_allow slot=2 gen=59)" ok "a guest may talk"
ip link set bgr2 down && ip link set bgr2 name away2
is "$(net tap_retire slot=2 gen=59)" ok "its tap is retired while it has another name"
ip link set away2 name bgr2 && ip link set bgr2 up
insert 20 "$(addr 2)"
ip link del bgr2
is "$(net guest_deny slot=2 gen=59) $(net tap_create slot=2 gen=60) $(flows "$(addr 2)")" \
	"ok ok ifindex=* 0" "what it said then is forgotten"
is "$(net guest_allow slot=2 gen=60)" ok "a guest may talk"
ip link set bgr2 alias lost
is "$(net restart) $(net run) $(net tap_retire slot=3 gen=60)" "started ok ok" \
	"the role is started anew while its tap has no tag"
insert 20 "$(addr 2)"
ip link del bgr2
is "$(net guest_deny slot=2 gen=60) $(net tap_create slot=2 gen=61) $(flows "$(addr 2)")" \
	"ok ok ifindex=* 0" "what it said then is forgotten"
# These changes of the rules do not change the number of rules.
nft add element bridge banger guest "{ \"bgr5\" . $(mac 5) . $(addr 2) }"
is "$(net list cursor=0) $(elements bridge guest | grep -c "/$(addr 2) ")" "ok * 0" \
	"LIST takes somebody else's element away"
nft 'add table bridge banger { flags dormant; }'
is "$(net list cursor=0) $(nft list table bridge banger | grep -c dormant)" "ok * 0" \
	"and has the rules looked at that he turned off"
handle=$(nft -a list chain bridge banger pre | sed -n 's/.*counter packets.*drop # handle //p')
nft replace rule bridge banger pre handle "$handle" counter accept
counted_drops() { nft list chain bridge banger pre | grep -c 'counter packets.* drop'; }
is "$(net tap_create slot=3 gen=60) $(counted_drops)" "ok ifindex=* 1" \
	"a tap is made under rules that are ours alone"
is "$(tap_remove slot=3 gen=60)" ok "it goes"
told=$(grep -c 'nftables rules' "$T/net.err")
for i in 1 2 3; do
	net list cursor=0 >/dev/null; net tap_create slot=3 gen=6$i >/dev/null
	tap_remove slot=3 gen=6$i >/dev/null
done
is "$(($(grep -c 'nftables rules' "$T/net.err") - told))" 0 "our own changes are nobody else's"
# The outside can begin a flow in the name of a guest; such a flow does not let that guest reach the
# host's service.
for i in all up0; do echo 0 >"/proc/sys/net/ipv4/conf/$i/rp_filter"; done
perl -MSocket -e '
	socket(S, AF_INET, SOCK_DGRAM, 0);
	bind(S, sockaddr_in(99, inet_aton("192.0.2.1"))) or die;
	$| = 1;
	print "bound\n";
	while (my $from = recv(S, $_, 100, 0)) {
		print "$_\n";
		send(S, "answer", 0, $from);
	}' >"$T/heard" {PEER_IN[net]}>&- {PEER_OUT[net]}<&- &
PIDS+=($!)
check "the host has a service" wait_for 60 grep -q bound "$T/heard"
nsenter -t "$out" -n ip addr add "$a4/32" dev lo
nsenter -t "$out" -n perl -MSocket -e '
	socket(S, AF_INET, SOCK_DGRAM, 0);
	bind(S, sockaddr_in(1000, inet_aton($ARGV[0]))) or die;
	send(S, "outside", 0, sockaddr_in(99, inet_aton("192.0.2.1")))' "$a4"
check "somebody outside talks to it as guest 4" wait_for 60 grep -q outside "$T/heard"
udp() { # udp FROM PORT: a frame of guest 4's to the service, in hexadecimal
	perl -MSocket -e '
		my $p = pack("nnnn", $ARGV[1], 99, 13, 0) . "guest";
		my $h = pack("CCnnnCCna4a4", 0x45, 0, 20 + length $p, 1, 0, 64, 17, 0,
			inet_aton($ARGV[0]), inet_aton("192.0.2.1"));
		my $s = 0;
		$s += $_ for unpack("n*", $h);
		$s = ($s & 0xffff) + ($s >> 16) while $s >> 16;
		substr($h, 10, 2) = pack("n", ~$s & 0xffff);
		print unpack("H*", $h . $p)' "$1" "$2"
}
hex_of() { tr -d : <<<"$1"; }
is "$(guest 4 raw "$(hex_of $BRMAC)$(hex_of "$m4")0800$(udp "$a4" 1000)")" sent \
	"guest 4 goes on with that flow"
sleep 0.3
is "$(grep -c guest "$T/heard")" 0 "and is not heard"
nsenter -t "$out" -n ip addr del "$a4/32" dev lo
is "$(tap_remove slot=2 gen=61)" ok "the tap of slot 2 goes"
is "$(net guest_allow slot=4) $(net guest_allow slot=5) $(net nat_add slot=4)" "ok ok ok" \
	"guests 4 and 5 are as before"
net woken >/dev/null

# ---- restart ----
before=$(objects)
link bgr4 .ifindex >"$T/index"
is "$(net restart) $(net hello)" "started ok role=1" "the role is started anew"
is "$(objects)" "$before" "LIST says what it said before"
is "$(guest 4 ping "$m4" "$a4" $BRMAC 192.0.2.2)" reply "guest 4 has its NAT still"
is "$(net reconcile_done)" ok "reconciled"
is "$(net tap_create slot=4)" "ok ifindex=$(cat "$T/index")" "its owner finds its tap"
is "$(net tap_create slot=4 owner=1001)" denied "and another owner does not"
nft delete table inet banger && nft -f "$T/want.nft" &&
	nft add element inet banger nat4 "{ $(addr 6) comment \"banger:7:1:1000\" }"
is "$(net restart) $(net run)" "started ok" "a start over tables with an element of a wrong tag"
is "$(elements inet nat4)" "" "does not keep it"
is "$(net guest_allow slot=4)$(net guest_allow slot=5)$(net nat_add slot=4)" okokok \
	"elements put back"

# A restart of the role under traffic loses no packet of a living VM.
restarts() { local i; for i in 1 2 3 4 5 6; do net restart; net run; done >"$T/restarts"; }
restarts &
waiter=$! lost=0
while kill -0 $waiter 2>/dev/null; do
	[ "$(guest 4 ping "$m4" "$a4" $BRMAC 192.0.2.2)" = reply ] || lost=$((lost + 1))
done
wait $waiter
is "$(sort -u "$T/restarts" | tr '\n' ' ') $lost" "ok started  0" "six restarts lose no packet"

# ---- kill -9 at any moment leaves nothing that is not listed ----
unlisted=0 rounds=25 killed=0
for ((round = 0; round < rounds; round++)); do
	[ "$(net restart) $(net run)" = "started ok" ] || not_ok "round $round starts"
	pid=$(role_pid)
	(sleep "0.0$((RANDOM % 30 + 10))"; kill -9 "$pid") &
	for i in 0 1 2 6; do
		for op in tap_create guest_allow nat_add nat_remove tap_retire tap_sweep \
			tap_create; do
			at="slot=$i gen=$((round + 10))"
			[ $op != tap_sweep ] || at=
			# shellcheck disable=SC2086
			got=$(net $op $at)
			[[ $got == signal* ]] && killed=$((killed + 1)) && break 2
		done
	done
	wait $!
	is_listed=$(net restart; net hello; objects)
	for i in 0 1 2 6; do
		if ip link show bgr$i >/dev/null 2>&1; then
			grep -q "^1,$i," <<<"$is_listed" || unlisted=$((unlisted + 1))
		fi
		if elements inet nat4 | grep -q "^$(addr $i) "; then
			grep -q "^3,$i," <<<"$is_listed" || unlisted=$((unlisted + 1))
		fi
		if elements bridge guest | grep -q "^bgr$i/"; then
			grep -q "^2,$i," <<<"$is_listed" || unlisted=$((unlisted + 1))
		fi
		for op in "net nat_remove" "net guest_deny" tap_remove; do
			[ "$($op slot=$i gen=$((round + 10)))" = ok ] || not_ok "round $round: $op"
		done
	done
done
is "$unlisted $killed" "0 [1-9]*" \
	"$rounds kills leave nothing unlisted, and all is removed by its owner"

# ---- room ----
peer_stop net
conf_make per_owner=8 flows=$FLOWS uplink=up0
peer_start net
is "$(net run)" ok "a start with an uplink"
rules_text '"up0"' >"$T/want.nft"
unshare -n sh -c 'nft -f "$1" && nft --debug=netlink list table inet banger' sh "$T/want.nft" |
	normal >"$T/want"
nft --debug=netlink list table inet banger | normal | without_elements >"$T/got"
check "masquerades and forwards to it alone" diff -u "$T/want" "$T/got"
is "$(guest 4 ping "$m4" "$a4" $BRMAC 192.0.2.2)" reply "guest 4 goes out by it"
ports=$(ip -j link show master $BR | jq length)
for ((i = 0; i < 512; i++)); do
	echo "link add full$i group 77 type veth peer name llun$i"
	echo "link set full$i master $BR"
	echo "link set llun$i master $BR"
done | awk -v room=$((1023 - ports)) '!/ master / || room-- > 0' >"$T/ports"
ip -b "$T/ports"
is "$(ip -j link show master $BR | jq length)" 1023 "the bridge has as many ports as it can have"
is "$(net tap_create slot=0 gen=98)" limit "one more tap is refused as a limit"
refuses "and nothing of it is left" ip link show bgr0
ip link del group 77
is "$(net tap_create slot=0 gen=98)" "ok *" "with room again it is made"
is "$(tap_remove slot=0 gen=98)" ok "and removed"
many=$(for ((i = 0; i < 999; i++)); do echo "192.168.$((i / 250)).$((i % 250)),"; done)
nft -f - <<<"add element inet banger nat4 { $many }"
is "$(net nat_add slot=5) $(elements inet nat4 | grep -c "^192.168.") $(net nat_remove slot=5)" \
	"ok 0 ok" "a set that somebody has filled is emptied first"
fill() { # fill FAMILY SET ELEMENT...: up to 1,000
	local left=$((1000 - $(elements "$1" "$2" | wc -l))) i
	for ((i = 0; i < left; i++)); do
		[ "$2" = nat4 ] && echo "10.200.$((i / 250)).$((i % 250))" ||
			echo "\"adm$i\" . 02:00:00:00:00:01 . 10.200.$((i / 250)).$((i % 250))"
	done | paste -sd, | sed "s/.*/add element $1 banger $2 { & }/" >"$T/fill"
	nft -f "$T/fill"
}
is "$(net tap_create slot=0 gen=99)" "ok ifindex=*" "a tap"
check "the set of guests is full" fill bridge guest
is "$(net guest_allow slot=0 gen=99) $(elements bridge guest | grep -c ^adm)" "ok 0" \
	"it is emptied of what others put there, and the guest is allowed"
is "$(net guest_deny slot=0 gen=99) $(tap_remove slot=0 gen=99)" "ok ok" "all of it is released"
for i in 4 5; do
	is "$(net nat_remove slot=$i) $(net guest_deny slot=$i) $(tap_remove slot=$i)" "ok ok ok" \
		"all of guest $i is released"
done
is "$(objects)" "" "LIST is empty"
is "$(elements bridge guest)$(elements inet nat4)" "" "nft: no element is left"
is "$(ip -j link | jq -r '.[].ifname | select(startswith("bgr"))')" "" "ip: no tap is left"
kill "${G_PID[@]}"
is "$(net flip tap_retire slot=1)" "tried * other 0" \
	"no flipped bit of a packet ends it in another way"
is "$(net restart) $(net run) $(net tap_sweep)" "started ok ok taps=[01]" \
	"a tap that such a packet made was retired by others"
is "$(net close)" "exit 0" "it ends when its peer does"
