/* events.c - somebody else takes away what is ours: told at once, instead of found at the next look.
 *
 * What the kernel says is used for nothing but that word, and to doubt what was known of flows.  Of rules it says who
 * changed them, so that we know our own.  Our own removals of links come by as well, after the request that caused them;
 * they are taken in before the next wait and not told.  Something of somebody else's may be lost with them: the
 * controller looks now and then in any case. */
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

#define EVENTS_MOST 1000 /* taken in one go: who makes more of them does not keep requests waiting */

static int listen_to(int protocol, unsigned group)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

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

/* The string in attribute @type of @h, behind a fixed header of @extra bytes; NULL when there is none. */
static const char *text_of(const struct nlmsghdr *h, size_t extra, uint16_t type)
{
	const struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(h) < extra)
		return NULL;
	mnl_attr_for_each(a, h, (unsigned)extra)
		if (mnl_attr_get_type(a) == type && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			return mnl_attr_get_str(a);
	return NULL;
}

/* Also a port that leaves the bridge: the kernel says so with the same message, of family AF_BRIDGE. */
static bool link_is_ours(struct net_state *n, const struct nlmsghdr *h)
{
	const char *name = h->nlmsg_type == RTM_DELLINK ? text_of(h, sizeof(struct ifinfomsg), IFLA_IFNAME) : NULL;

	return name && (strncmp(name, SLOT_TAP_PREFIX, strlen(SLOT_TAP_PREFIX)) == 0 || strcmp(name, n->config->bridge) == 0);
}

/*
 * Another's change of a table of ours, whatever it is: a rule of his in it lets through what ours would not.  Attribute 1
 * of every one of them is the table's name (linux/netfilter/nf_tables.h: NFTA_TABLE_NAME, NFTA_CHAIN_TABLE...); that of
 * NFT_MSG_NEWGEN is a number.
 */
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

/* Return: something of ours was taken away or changed, or (there were too many events) may have been. */
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
		/* Only the kernel is believed; any process may send to us. */
		if (len < 0 || (from.nl_pid == 0 && is_ours(n, fd, n->event, len)))
			ours = true;
	}
	*left = true;
	return true; /* whatever the others say */
}

static void tell(void)
{
	const uint64_t one = 1;

	(void)!write(WAKE_FD, &one, sizeof(one)); /* full: it was told often enough */
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
	struct pollfd p[] = { { RPC_FD, POLLIN, 0 }, { n->link_events, POLLIN, 0 }, { n->nft_events, POLLIN, 0 } };

	bool left = false;

	(void)take(n, n->link_events, &left);
	while (!p[0].revents) {
		net_events_of_rules(n);
		if (poll(p, ARRAY_SIZE(p), -1) > 0 && take(n, n->link_events, &left))
			tell();
	}
}
