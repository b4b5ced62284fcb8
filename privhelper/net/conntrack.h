/* conntrack.h - deletes the conntrack entries (flows) of slots' addresses. */
#ifndef BANGER_PRIVHELPER_NET_CONNTRACK_H
#define BANGER_PRIVHELPER_NET_CONNTRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "privhelper/net/net.h"

/**
 * net_flows_forget() - delete every flow that an address of these slots began or answers
 * @slots:	true for each slot whose flows are deleted
 *
 * A slot without an element in the set of guests, under complete rules, is marked in n->flowless.
 * The mark is taken back when the slot gets an element, or when another process changes the rules.
 * Return: ST_OK, or ST_KERNEL: at least one slot has a flow left (logged).
 */
enum status net_flows_forget(struct net_state *n, const bool slots[SLOT_MAX]);

/* Delete the flows of one slot, unless n->flowless says that it has none.  Return: as
 * net_flows_forget(). */
enum status net_flows_none(struct net_state *n, uint32_t slot);

/* Ask for conntrack's statistics, so that the kernel loads its netlink module now.  Return: 0, or
 * -1 with errno: the kernel has none. */
int net_conntrack_probe(struct net_state *n);

#endif
