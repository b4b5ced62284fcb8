/* bridge.h - the bridge of all guests. */
#ifndef BANGER_PRIVHELPER_NET_BRIDGE_H
#define BANGER_PRIVHELPER_NET_BRIDGE_H

#include "privhelper/net/net.h"

/**
 * net_bridge_prepare() - create the configured bridge, or find the one of an earlier start
 *
 * The bridge gets its address and is set up; n->bridge is its ifindex.  An interface of that name
 * without our alias is an error, and so is a name with the prefix of the taps.  Called as root,
 * before lock-down.
 * Return: 0, or -1 (logged).
 */
int net_bridge_prepare(struct net_state *n);

/**
 * net_bridge_repair() - restore the bridge, its address and its IFF_UP, whichever is missing
 *
 * Ports are not looked at: net_tap_repair() puts each tap back.  The bridge is left as it is while
 * our rules could not be loaded again (n->rules_changed).
 * Return: 0, or -1, also if a foreign interface has the bridge's name (logged).
 */
int net_bridge_repair(struct net_state *n);

#endif
