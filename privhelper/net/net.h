/* net.h - the state struct of the net role, which each of its files is handed; net.c is the role
 * itself. */
#ifndef BANGER_PRIVHELPER_NET_NET_H
#define BANGER_PRIVHELPER_NET_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "privhelper/net/netlink.h"
#include "privhelper/role/role.h"

struct net_state {
	const struct config *config;
	struct reqlog *log; /* for the records of repairs */
	int route, nft, ct; /* netlink sockets: NETLINK_ROUTE, and two of NETLINK_NETFILTER */
	/* netlink sockets that receive notifications only (events.c) */
	int link_events, nft_events;
	/* port id of `nft`; a notification carries the port id of the socket that made the
	 * change */
	uint32_t nft_port;
	int bridge; /* ifindex */
	/* the bridge was in order, or repaired, before the current request */
	bool bridged;
	bool rules_changed; /* another process has changed the rules since we loaded them */
	/* conntrack has no flow of the slot's address, and the rules let it begin none */
	bool flowless[SLOT_MAX];
	/* retired since this start; kept here too, as root can delete a tap or change its group */
	bool retired[SLOT_MAX];
	struct netlink netlink;
};

#endif
