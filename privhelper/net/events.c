/* events.c - notices at once when another process removes our links or changes our rules.
 *
 * A notification has two uses: it wakes the controller, and one of the rules has them loaded again
 * (n->rules_changed) and clears n->flowless.  Notifications of nftables carry the port id of the
 * process that made the change, by which we ignore our own changes.  Those of links do not: our own
 * removals are read and dropped before each wait.  A foreign removal at that moment is dropped with
 * them; the controller's periodic inventory finds it.
 *
 * The sockets are connected to the kernel, so they receive from no other process (netlink.h). */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "privhelper/net/events.h"
#include "privhelper/net/image.h"
#include "privhelper/net/set.h"
#include "proto/slot.h"

_Static_assert(sizeof(SLOT_TAP_PREFIX) == sizeof(uint32_t), "the prefix and its NUL fill a word");

/* The kernel runs this program on each notification of links, and queues it if the result is not 0
 * (socket(7), SO_ATTACH_FILTER): an RTM_DELLINK whose IFLA_IFNAME begins with the taps' prefix, or
 * with the first four bytes of the bridge's name.  The bridge and its ports each have their own.
 * RTM_DELLINK also reports a port that leaves the bridge.  SKF_AD_NLATTR searches the attributes
 * from A on for type X, and stores the offset at A, or 0. */
enum { AT_BRIDGE = 7, AT_TAP = 9 };
static struct sock_filter removals[] = {
	/* the low byte; each type of rtnetlink is below 256 */
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RTM_DELLINK, 0, 9),
	BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, IFLA_IFNAME),
	BPF_STMT(BPF_LD | BPF_W | BPF_IMM, NLMSG_LENGTH(sizeof(struct ifinfomsg))),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR)),
	BPF_STMT(BPF_MISC | BPF_TAX, 0),
	BPF_STMT(BPF_LD | BPF_W | BPF_IND, NLA_HDRLEN),
	[AT_BRIDGE] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0),
	BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffffff00),
	[AT_TAP] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

static int join(int fd, int group)
{
	return setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group));
}

int net_events_open(struct net_state *n)
{
	const struct sock_fprog filter = { ARRAY_SIZE(removals), removals };
	struct sockaddr_nl own = { 0 };
	socklen_t size = sizeof(own);

	n->link_events = nl_open(NETLINK_ROUTE);
	n->nft_events = nl_open(NETLINK_NETFILTER);
	if (n->link_events < 0 || n->nft_events < 0 || getsockname(n->nft, (void *)&own, &size) < 0)
		return -1;
	n->nft_port = own.nl_pid;
	memcpy(&removals[AT_BRIDGE].k, n->config->bridge, sizeof(uint32_t));
	memcpy(&removals[AT_TAP].k, SLOT_TAP_PREFIX, sizeof(uint32_t));
	removals[AT_BRIDGE].k = ntohl(removals[AT_BRIDGE].k); /* a filter loads in network order */
	removals[AT_TAP].k = ntohl(removals[AT_TAP].k);
	if (setsockopt(n->link_events, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0)
		return -1;
	return join(n->link_events, RTNLGRP_LINK) | join(n->nft_events, NFNLGRP_NFTABLES);
}

/* True for any change of our tables by another process: a rule that it adds may accept packets that
 * our rules drop.  Attribute 1 is the table's name in each of these messages
 * (linux/netfilter/nf_tables.h: NFTA_TABLE_NAME, NFTA_CHAIN_TABLE...).  In NFT_MSG_NEWGEN it is a
 * number, which is no name. */
static bool is_foreign(const struct net_state *n, const struct nlmsghdr *h)
{
	const struct nlattr *a;

	if (NFNL_SUBSYS_ID(h->nlmsg_type) != NFNL_SUBSYS_NFTABLES || h->nlmsg_pid == n->nft_port)
		return false;
	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_TABLE_NAME &&
		    mnl_attr_get_payload_len(a) == sizeof(NET_TABLE) &&
		    memcmp(mnl_attr_get_payload(a), NET_TABLE, sizeof(NET_TABLE)) == 0)
			return true;
	}
	return false;
}

/* Read the notifications that wait on @fd.  Return: true if an object of ours was removed or
 * changed, or may have been, because notifications were lost (ENOBUFS). */
static bool take(struct net_state *n, int fd)
{
	void *buf = n->netlink.in;
	bool ours = false;
	ssize_t r;

	while ((r = recvfrom(fd, buf, NL_IN_SIZE, MSG_DONTWAIT, NULL, NULL)) >= 0 ||
	       errno == ENOBUFS) {
		const struct nlmsghdr *h = buf;
		int left = (int)r;
		ours |= r < 0 || fd == n->link_events;
		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			ours |= is_foreign(n, h);
	}
	return ours;
}

/* Wait until the kernel has queued the notifications of each change that is in effect: it does both
 * under one mutex, which an empty batch takes as well (net/netfilter/nf_tables_api.c,
 * nf_tables_commit(); nf_tables_valid_genid()).
 * Return: true, or false: it may not have queued them. */
static bool settle(struct net_state *n)
{
	struct nl_out o;

	nl_begin(&n->netlink, &o);
	net_batch_mark(&o, NFNL_MSG_BATCH_BEGIN);
	net_batch_mark(&o, NFNL_MSG_BATCH_END);
	return send(n->nft, n->netlink.out, o.used + o.h->nlmsg_len, 0) >= 0;
}

void net_events_wait(struct net_state *n)
{
	struct pollfd p[] = { { RPC_FD, POLLIN, 0 },
			      { n->link_events, POLLIN, 0 },
			      { n->nft_events, POLLIN, 0 } };
	const uint64_t one = 1;

	(void)take(n, n->link_events);
	while (!p[0].revents) {
		(void)poll(p, ARRAY_SIZE(p), -1);
		const bool links = take(n, n->link_events);
		const bool rules = !settle(n) || take(n, n->nft_events);
		n->rules_changed |= rules;
		if (rules)
			memset(n->flowless, 0, sizeof(n->flowless));
		/* a full counter has woken the controller already */
		if (links || rules)
			(void)!write(WAKE_FD, &one, sizeof(one));
	}
}
