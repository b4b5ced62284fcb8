/* tap.h - creates, repairs and retires a VM's tap. */
#ifndef BANGER_PRIVHELPER_NET_TAP_H
#define BANGER_PRIVHELPER_NET_TAP_H

#include <stdint.h>

#include "privhelper/net/net.h"
#include "privhelper/tag.h"

/* Read the slot's tap and its tag.  Return: the ifindex; 0: the slot has no tap with its tag; -1
 * with errno. */
int net_tap_find(struct net_state *n, uint32_t slot, struct tag *tag);

/**
 * net_tap_create() - create the tap of @tag's VM, or find it
 * @ifindex:	out: set on ST_OK
 *
 * A new tap is made only if conntrack has no flow of the slot's address.  After an error no new tap
 * is left.
 * Return: ST_OK; ST_DENIED: a foreign interface has the tap's name; ST_BUSY: the slot's tap is
 * retired, belongs to another VM, or has another owner; ST_LIMIT: the bridge has no free port;
 * ST_KERNEL.
 */
enum status net_tap_create(struct net_state *n, const struct tag *tag, int *ifindex);

/* Put the slot's tap back into the bridge, up, isolated, without learning and flooding, if another
 * process changed that.
 * Return: 0, also without a tap, or -1: the tap is retired, or can not be repaired. */
int net_tap_repair(struct net_state *n, uint32_t slot);

/**
 * net_tap_retire() - put the slot's tap into the group that the next net_tap_sweep() removes
 *
 * The group is kept by the kernel, so a crash between retire and sweep loses nothing.  If the slot
 * has no tap, its flows are deleted here.
 * Return: ST_OK; ST_DENIED: a foreign interface has the tap's name; ST_BUSY or ST_KERNEL.
 */
enum status net_tap_retire(struct net_state *n, uint32_t slot);

#endif
