/* link.h - reads an interface from the kernel, and builds the messages that change one. */
#ifndef BANGER_PRIVHELPER_NET_LINK_H
#define BANGER_PRIVHELPER_NET_LINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "privhelper/net/net.h"
#include "privhelper/net/netlink.h"
#include "privhelper/tag.h"

/* The interface group (IFLA_GROUP) of retired taps, which the next sweep removes: "bgr" and a zero
 * byte. */
#define NET_RETIRED 0x62677200u

/* One interface, as RTM_GETLINK describes it. */
struct net_link {
	int index;  /* ifindex; 0: the interface does not exist */
	int master; /* ifindex of the bridge that it is a port of; 0: none */
	int named;  /* slot whose tap has this name; -1: none */
	bool up, bridge, tun;
	bool ours;   /* its alias is SLOT_BRIDGE_ALIAS */
	bool tagged; /* its alias is a tag, which @tag holds */
	bool persistent;
	bool retired;          /* its group is NET_RETIRED */
	bool isolated, hears;  /* flags of a bridge port; hears: learning or flooding is on */
	uint32_t owner, group; /* uid and gid of a tap; UINT32_MAX: none */
	struct tag tag;
};

/* An nl_fn: read an RTM_NEWLINK into the struct net_link at @arg.  The caller has set its fields to
 * their defaults, because an attribute that the message lacks changes none. */
void net_link_read(void *arg, const struct nlmsghdr *h);

/* Read the interface named @name, or the slot's tap, into @l.  Return: 0, or -1 with errno.  An
 * interface that does not exist is no error: its index is 0. */
int net_link_find(struct net_state *n, const char *name, struct net_link *l);
int net_link_find_tap(struct net_state *n, uint32_t slot, struct net_link *l);

/* True if the interface is the slot's tap: name, kind and tag agree.  The name is compared because
 * the kernel finds interfaces by their alternative names too (ip-link(8), altname). */
bool net_link_is_tap(const struct net_link *l, uint32_t slot);

/* Append a message of @type (RTM_*) about interface @index, with NLM_F_ACK; it sets the bits of
 * @flags (IFF_*). */
void net_link_put(struct nl_out *o, uint16_t type, int family, int index, unsigned flags);

/* Keep the host from giving itself an IPv6 address on the interface, so that it sends no
 * solicitations there (net/ipv6/addrconf.c).  A kernel without IPv6 refuses the request; that error
 * is ignored. */
void net_link_no_ipv6(struct net_state *n, int index);

#endif
