/* ruleset.h - loads the firewall rules, which are the same for all VMs. */
#ifndef BANGER_PRIVHELPER_NET_RULESET_H
#define BANGER_PRIVHELPER_NET_RULESET_H

#include "privhelper/net/net.h"
#include "privhelper/net/set.h"
#include "privhelper/tag.h"

/**
 * net_rules_load() - replace both tables in one transaction
 *
 * The new tables hold the elements that VMs have now, so no VM loses its network.  A packet meets
 * the old rules or the new ones, never a part of either.
 * Return: 0, or -1 with errno.
 */
int net_rules_load(struct net_state *n);

/* Load the rules again if another process removed some (nft flush ruleset) or changed them
 * (n->rules_changed).  Return: 0, or -1 with errno. */
int net_rules_repair(struct net_state *n);

/**
 * net_elem_add() - add the element of @tag's VM to @set
 *
 * Return: ST_OK, also if the VM has the element already; ST_DENIED if another VM's element is
 * there; ST_BUSY: the table has just gone: ask again; ST_LIMIT or ST_KERNEL.
 */
enum status net_elem_add(struct net_state *n, enum net_set set, const struct tag *tag);

#endif
