/* events.h - what the kernel tells of changes that somebody else makes. */
#ifndef BANGER_PRIVHELPER_NET_EVENTS_H
#define BANGER_PRIVHELPER_NET_EVENTS_H

#include "privhelper/net/net.h"

/* Listen to what the kernel says of links and of nftables.  Return: 0, or -1 with errno. */
int net_events_open(struct net_state *n);

/* Take in what was said of the rules so far: once somebody else has changed them, no slot counts as flowless. */
void net_events_of_rules(struct net_state *n);

/**
 * net_wait() - wait for the next request, and meanwhile for somebody else's `ip link del` or `nft flush ruleset`
 *
 * One that takes something of ours away is told at WAKE_FD; what it was, the controller finds out as at any other time.
 */
void net_wait(struct role *r);

#endif
