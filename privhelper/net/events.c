/* events.c - notices at once when another process removes or changes our links and rules.
 *
 * A notification has two uses: it wakes the controller, and it clears n->flowless.  Notifications
 * of nftables carry the port id of the process that made the change, by which we ignore our own
 * changes.  Those of links do not: our own removals are read and dropped before each wait.  A
 * foreign removal at that moment is dropped with them; the controller's periodic inventory finds
 * it. */
#include <errno.h>
#include <libmnl/libmnl.h>
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
#include "proto/slot.h"

/* Notifications read at a time: a process that causes more of them can not keep requests
 * waiting. */
#define EVENTS_MOST 1000

static int listen_to(int protocol, unsigned group)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
					protocol);

	if (fd < 0 || bind(fd, (const void *)&any, sizeof(any)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return -1;
	return steal_fd(&fd);
}

int net_events_open(struct net_state *n)
{
	struct sockaddr_nl own = { 0 };
	socklen_t size = sizeof(own);

	if (getsockname(n->nft, (void *)&own, &size) < 0)
		return -1;
	n->nft_port = own.nl_pid;
	n->link_events = listen_to(NETLINK_ROUTE, RTNLGRP_LINK);
	n->nft_events = listen_to(NETLINK_NETFILTER, NFNLGRP_NFTABLES);
	return n->link_events < 0 || n->nft_events < 0 ? -1 : 0;
}

/* Return: the string in attribute @type of @h, behind a fixed header of @extra bytes; NULL without
 * one. */
static const char *text_of(const struct nlmsghdr *h, size_t extra, uint16_t type)
{
	const struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(h) < extra)
		return NULL;
	mnl_attr_for_each(a, h, (unsigned)extra) if (mnl_attr_get_type(a) == type &&
						     mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >=
							     0) return mnl_attr_get_str(a);
	return NULL;
}

/* RTM_DELLINK also reports a port that leaves the bridge, then with the family AF_BRIDGE. */
static bool link_is_ours(struct net_state *n, const struct nlmsghdr *h)
{
	const char *name = h->nlmsg_type == RTM_DELLINK
				   ? text_of(h, sizeof(struct ifinfomsg), IFLA_IFNAME)
				   : NULL;

	return name && (strncmp(name, SLOT_TAP_PREFIX, strlen(SLOT_TAP_PREFIX)) == 0 ||
			strcmp(name, n->config->bridge) == 0);
}

/* True for any change of our tables by another process: a rule that it adds may accept packets that
 * our rules drop.  Attribute 1 is the table's name in each of these messages
 * (linux/netfilter/nf_tables.h: NFTA_TABLE_NAME, NFTA_CHAIN_TABLE...).  In NFT_MSG_NEWGEN it is a
 * number, which text_of() refuses. */
static bool rule_is_ours(struct net_state *n, const struct nlmsghdr *h)
{
	if (NFNL_SUBSYS_ID(h->nlmsg_type) != NFNL_SUBSYS_NFTABLES || h->nlmsg_pid == n->nft_port)
		return false;
	const char *table = text_of(h, sizeof(struct nfgenmsg), NFTA_TABLE_NAME);
	return table && strcmp(table, NET_TABLE) == 0;
}

static bool is_ours(struct net_state *n, int fd, const void *buf, ssize_t len)
{
	int left = (int)len;

	for (const struct nlmsghdr *h = buf; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
		if (fd == n->link_events ? link_is_ours(n, h) : rule_is_ours(n, h))
			return true;
	return false;
}

/* Read the notifications that wait on @fd.  @left: in and out: more may wait than one call reads.
 * Return: true if an object of ours was removed or changed, or may have been: notifications were
 * lost or are left. */
static bool take(struct net_state *n, int fd, bool *left)
{
	bool ours = *left;

	*left = false;
	for (int i = 0; i < EVENTS_MOST; i++) {
		struct sockaddr_nl from = { 0 };
		socklen_t size = sizeof(from);
		ssize_t len = recvfrom(fd, n->event, sizeof(n->event), 0, (void *)&from, &size);
		if (len < 0 && errno != ENOBUFS)
			return ours;
		/* Any process may send to this socket; the kernel's port id is 0 (netlink(7)). */
		if (len < 0 || (from.nl_pid == 0 && is_ours(n, fd, n->event, len)))
			ours = true;
	}
	*left = true;
	return true;
}

static void tell(void)
{
	const uint64_t one = 1;

	/* a full counter has woken the controller already */
	(void)!write(WAKE_FD, &one, sizeof(one));
}

void net_events_of_rules(struct net_state *n)
{
	if (!take(n, n->nft_events, &n->events_left))
		return;
	n->rules_changed = true;
	memset(n->flowless, 0, sizeof(n->flowless));
	tell();
}

void net_wait(struct role *r)
{
	struct net_state *n = r->state;
	struct pollfd p[] = { { RPC_FD, POLLIN, 0 },
			      { n->link_events, POLLIN, 0 },
			      { n->nft_events, POLLIN, 0 } };

	bool left = false;

	(void)take(n, n->link_events, &left);
	while (!p[0].revents) {
		net_events_of_rules(n);
		if (poll(p, ARRAY_SIZE(p), -1) > 0 && take(n, n->link_events, &left))
			tell();
	}
}
