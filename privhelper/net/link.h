/* link.h - what the kernel shows of an interface, and the messages that change one. */
#ifndef BANGER_PRIVHELPER_NET_LINK_H
#define BANGER_PRIVHELPER_NET_LINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "privhelper/net/net.h"
#include "privhelper/net/netlink.h"
#include "privhelper/net/tag.h"

/* The group of interfaces (IFLA_GROUP) that a tap is in once it may go; "bgr" and a zero. */
#define NET_RETIRED 0x62677200u

/* What we ask about an interface. */
struct net_link {
	int index; /* 0: there is none */
	int master; /* ifindex of the bridge that it is a port of; 0: none */
	int named;  /* slot whose tap has this name; -1: none */
	bool up, bridge, tun, ours, tagged, persistent, retired;
	bool isolated, hears; /* of a port; it hears what is not for it, or is learned from */
	uint32_t owner, group;
	struct net_tag tag;
};

/* An nl_fn: read an RTM_NEWLINK into the struct net_link at @arg, which the caller has filled with what is not told. */
void net_link_read(void *arg, const struct nlmsghdr *h);

/* Return: 0, also when there is none of that name (index 0), or -1 with errno. */
int net_link_find(struct net_state *n, const char *name, struct net_link *l);
int net_link_find_tap(struct net_state *n, uint32_t slot, struct net_link *l);

/* One of ours: name, kind and tag agree.  The kernel finds interfaces by their other names too (ip-link(8), altname). */
bool net_link_is_tap(const struct net_link *l, uint32_t slot);

/* Append an acknowledged message of @type (RTM_*) about interface @index; the bits of @flags are set. */
void net_link_put(struct nl_out *o, uint16_t type, int family, int index, unsigned flags);

/* The host talks no IPv6 on this interface: no address of its own, so no solicitations (addrconf.c).  A kernel without
 * IPv6 refuses the request, which is as good. */
void net_link_no_ipv6(struct net_state *n, int index);

#endif
