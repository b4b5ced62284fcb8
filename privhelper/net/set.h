/* set.h - the elements of the two sets: all that a VM adds to the firewall. */
#ifndef BANGER_PRIVHELPER_NET_SET_H
#define BANGER_PRIVHELPER_NET_SET_H

#include <stddef.h>
#include <stdint.h>

#include "privhelper/net/net.h"
#include "privhelper/net/netlink.h"
#include "privhelper/net/tag.h"

enum net_set { SET_GUEST, SET_NAT4, SETS };

/* Messages of the nftables batch protocol (NFNL_MSG_BATCH_BEGIN, _END) and one element of it. */
void net_batch_mark(struct nl_out *o, uint16_t type);
void net_elem_put(struct nl_out *o, const struct config *c, enum net_set set, uint32_t slot, const struct net_tag *tag,
		  uint16_t type, uint16_t flags);

/* The slot's element.  Return: 1 with its tag (generation 0: it has none of ours), 0 absent, -1 with errno. */
int net_elem_get(struct net_state *n, enum net_set set, uint32_t slot, struct net_tag *tag);

/* Put in the element of @tag's slot.  Return: 0, or -1 with errno: ENOENT without the table, EEXIST when it has one. */
int net_elem_insert(struct net_state *n, enum net_set set, const struct net_tag *tag);

/* What EEXIST means for @tag's VM: ST_OK when the element is its own. */
enum status net_elem_exists(struct net_state *n, enum net_set set, const struct net_tag *tag);

/* Idempotent. */
enum status net_elem_remove(struct net_state *n, enum net_set set, uint32_t slot);

#endif
