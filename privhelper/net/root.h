/* root.h - moves the net role into a root of its own. */
#ifndef BANGER_PRIVHELPER_NET_ROOT_H
#define BANGER_PRIVHELPER_NET_ROOT_H

#include "common/config.h"

/* The tun node, the only file in the root that net_root_enter() makes. */
#define NET_TUN_NODE "/tun"

/* Enter new mount, IPC and UTS namespaces and a read-only root that holds NET_TUN_NODE alone.  The
 * node belongs to @a. The network namespace stays the host's.  Called as root, before lock-down.
 * Return: 0, or -1 (logged). */
int net_root_enter(const struct account *a);

#endif
