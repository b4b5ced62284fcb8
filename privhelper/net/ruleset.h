/* ruleset.h - the rules, which are the same for all VMs; the one file that loads them. */
#ifndef BANGER_PRIVHELPER_NET_RULESET_H
#define BANGER_PRIVHELPER_NET_RULESET_H

#include "privhelper/net/net.h"
#include "privhelper/net/set.h"
#include "privhelper/net/tag.h"

/**
 * net_rules_load() - replace both tables in one transaction, with the elements of VMs that are there now
 *
 * No packet meets half of it, and no VM loses its network.  Return: 0, or -1 with errno.
 */
int net_rules_load(struct net_state *n);

/* Load them again if somebody took some away (nft flush ruleset) or changed them.  Return: 0, or -1 with errno. */
int net_rules_repair(struct net_state *n);

/* Idempotent; one that finds the rules gone puts them back. */
enum status net_elem_add(struct net_state *n, enum net_set set, const struct net_tag *tag);

#endif
