/* events.h - receives the kernel's notifications of changes to our links and rules. */
#ifndef BANGER_PRIVHELPER_NET_EVENTS_H
#define BANGER_PRIVHELPER_NET_EVENTS_H

#include "privhelper/net/net.h"

/* Subscribe to the notifications of links (RTNLGRP_LINK) and of nftables (NFNLGRP_NFTABLES).
 * n->nft must be open.
 * Return: 0, or -1 with errno. */
int net_events_open(struct net_state *n);

/* Read the pending notifications of nftables.  If another process changed our tables: set
 * n->rules_changed, clear n->flowless and wake the controller.  Never blocks. */
void net_events_of_rules(struct net_state *n);

/**
 * net_wait() - wait for the next request, and meanwhile for another process's `ip link del` or `nft
 * flush ruleset`
 *
 * A change that removes an object of ours wakes the controller (WAKE_FD), which then lists all
 * objects.  The notification names no object to it.  Returns when RPC_FD is readable.
 */
void net_wait(struct role *r);

#endif
