/* bridge.h - the bridge of all guests. */
#ifndef BANGER_PRIVHELPER_NET_BRIDGE_H
#define BANGER_PRIVHELPER_NET_BRIDGE_H

#include "privhelper/net/net.h"

/* Make the bridge or find ours, give it its address.  A foreign one of that name is refused.  Return: 0, or -1 (logged). */
int net_bridge_prepare(struct net_state *n);

/* Put it back if somebody took it, its address or its state away; its ports are net_tap_repair()'s (tap.h).  Return: 0, or -1 with errno. */
int net_bridge_repair(struct net_state *n);

#endif
