/* tap.h - a VM's tap: made whole or not at all, put back, retired. */
#ifndef BANGER_PRIVHELPER_NET_TAP_H
#define BANGER_PRIVHELPER_NET_TAP_H

#include <stdint.h>

#include "privhelper/net/net.h"
#include "privhelper/net/tag.h"

/* The slot's tap, if it carries a tag of ours.  Return: its ifindex, 0 when there is none, -1 with errno. */
int net_tap_find(struct net_state *n, uint32_t slot, struct net_tag *tag);

/* Make the tap of @tag's VM, once no flow of the slot's is left, or find it; nothing is left of a failed one. */
enum status net_tap_create(struct net_state *n, const struct net_tag *tag, int *ifindex);

/* Put the slot's tap back into the bridge, up, deaf and apart, if somebody changed that.  Return: 0, or -1 with errno. */
int net_tap_repair(struct net_state *n, uint32_t slot);

/**
 * net_tap_retire() - have the slot's tap go with the next net_tap_sweep()
 *
 * What is retired is written at the tap itself, so that a crash between the
 * two forgets nothing.  Without a tap, the slot's flows are forgotten here.
 * ST_DENIED: an interface of that name that is not ours.
 */
enum status net_tap_retire(struct net_state *n, uint32_t slot);

#endif
