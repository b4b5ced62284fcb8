/* root.h - the root that the role lives in. */
#ifndef BANGER_PRIVHELPER_NET_ROOT_H
#define BANGER_PRIVHELPER_NET_ROOT_H

#include "common/config.h"

/* Where the one node is that the role may open, in the root that net_root_enter() makes. */
#define NET_TUN_NODE "/tun"

/* Namespaces (but not of the network) and a root with nothing but NET_TUN_NODE.  Return: 0, or -1 (logged). */
int net_root_enter(const struct account *a);

#endif
