/* net.h - the one state struct of the net role; net.c is the role itself. */
#ifndef BANGER_PRIVHELPER_NET_NET_H
#define BANGER_PRIVHELPER_NET_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "privhelper/net/netlink.h"
#include "privhelper/role/role.h"

struct net_state {
	const struct config *config;
	int route, nft, ct; /* netlink sockets: NETLINK_ROUTE, and two of NETLINK_NETFILTER */
	int link_events, nft_events; /* and two that only listen: events.c */
	uint32_t nft_port;  /* the address of `nft`, which the kernel says with each change that we asked for */
	int bridge;         /* ifindex */
	bool bridged;       /* the bridge was found in order, or made so, when the latest round of LIST began */
	bool rules_changed; /* by somebody else, since we loaded them */
	bool events_left;   /* of nft_events more are waiting; what was dropped behind them is not told any more (netlink(7)) */
	bool flowless[SLOT_MAX]; /* known of a slot: no flow of its address is left, and it can begin none (conntrack.c) */
	bool retired[SLOT_MAX]; /* since this start: a tap that somebody takes away, or out of its group, hides none */
	struct netlink netlink;
	uint8_t event[NL_IN_SIZE] __attribute__((aligned(8))); /* the one that is being read */
};

#endif
