/* events.h - receives the kernel's notifications of changes to our links and rules. */
#ifndef BANGER_PRIVHELPER_NET_EVENTS_H
#define BANGER_PRIVHELPER_NET_EVENTS_H

#include "privhelper/net/net.h"

/* Subscribe to the notifications of links (RTNLGRP_LINK) and of nftables (NFNLGRP_NFTABLES).
 * n->config and n->nft must be set.
 * Return: 0, or -1 with errno. */
int net_events_open(struct net_state *n);

/**
 * net_events_wait() - wait for the next request, and meanwhile for another process's `ip link del`
 * or `nft flush ruleset`
 *
 * A removal of our links, or a change of our tables, wakes the controller (WAKE_FD), which then
 * lists all objects.  The notification names no object to it.  After a change of our tables,
 * n->rules_changed is true and n->flowless is clear.
 *
 * Returns when RPC_FD is readable.  Each change of the rules that was in effect before then has
 * been noticed.
 */
void net_events_wait(struct net_state *n);

#endif
