/* conntrack.h - the flows of addresses, and how they are forgotten. */
#ifndef BANGER_PRIVHELPER_NET_CONNTRACK_H
#define BANGER_PRIVHELPER_NET_CONNTRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "privhelper/net/net.h"

/**
 * net_flows_forget() - forget every flow that an address of these slots began or answers
 *
 * Those that have no element in the set of guests, under rules that are whole, are flowless from then on: until they get
 * one, or somebody else changes the rules.
 * Return: ST_OK or ST_KERNEL: of one or more slots not all are forgotten.
 */
enum status net_flows_forget(struct net_state *n, const bool slots[SLOT_MAX]);

/* See to it that the slot is without flows.  Costs nothing when that is known. */
enum status net_flows_none(struct net_state *n, uint32_t slot);

/* Is there a table of flows to ask?  Changes nothing.  Return: 0, or -1 with errno. */
int net_conntrack_probe(struct net_state *n);

#endif
