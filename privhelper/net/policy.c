/* policy.c - what the net role may do after its lock-down. */
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "common/config.h"
#include "privhelper/policies.h"

/* openat(2) needs no check of the path: the role's root holds the tun node alone. */
static const struct rule rules[] = {
	{ SCMP_SYS(sendto), 0, { BOUND(0, NET_ROUTE) }, "taps, the bridge" },
	{ SCMP_SYS(sendto), 0, { BOUND(0, NET_NFT) }, "nft rules and elements" },
	{ SCMP_SYS(sendto), 0, { BOUND(0, NET_CT) }, "flows of conntrack" },
	{ SCMP_SYS(recvfrom), 0, { BOUND(0, NET_ROUTE) }, "the kernel's answers" },
	{ SCMP_SYS(recvfrom), 0, { BOUND(0, NET_NFT) }, "the kernel's answers" },
	{ SCMP_SYS(recvfrom), 0, { BOUND(0, NET_CT) }, "the kernel's answers" },
	{ SCMP_SYS(recvfrom), 0, { BOUND(0, NET_LINK_EVENTS) }, "changes of links by others" },
	{ SCMP_SYS(recvfrom), 0, { BOUND(0, NET_NFT_EVENTS) }, "changes of rules by others" },
	{ SCMP_SYS(poll), 0, ANY, "waits for a request or a change" },
	{ SCMP_SYS(write), 0, { IS(0, WAKE_FD) }, "tells the controller of a change" },
	{ SCMP_SYS(ioctl), 0, { IS(1, TUNSETIFF) }, "makes or opens a tap" },
	{ SCMP_SYS(ioctl), 0, { IS(1, TUNSETOWNER) }, "gives it to the slot's uid" },
	{ SCMP_SYS(ioctl), 0, { IS(1, TUNSETGROUP) }, "and to its gid" },
	{ SCMP_SYS(ioctl), 0, { IS(1, TUNSETPERSIST) }, "keeps or removes it" },
	{ SCMP_SYS(openat),
	  0,
	  { IS(0, AT_FDCWD), IS(2, O_RDWR | O_CLOEXEC) },
	  "the tun node; a descriptor that a peer sent opens nothing" },
	{ 0 },
};

static const unsigned caps[] = { CAP_NET_ADMIN, UINT_MAX };

const struct policy policy_net = {
	.process = "banger-role-net",
	.account = "banger-net",
	.caps = caps,
	.namespaces = "ipc mnt uts",
	.files = "a read-only root with the tun node alone",
	.writes = "",
	.holds = "null config socket reqlog reqkey eventfd tun",
	.limits = lockdown_limits,
	.lists = { lockdown_rules, role_rules, rules },
	.vars = { [NET_ROUTE] = "rtnetlink socket",
		  [NET_NFT] = "nftables socket",
		  [NET_CT] = "conntrack socket",
		  [NET_LINK_EVENTS] = "socket of link events",
		  [NET_NFT_EVENTS] = "socket of rule events" },
};
