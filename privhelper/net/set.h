/* set.h - reads and changes the elements of the two sets, which are all that a VM adds to the
 * firewall. */
#ifndef BANGER_PRIVHELPER_NET_SET_H
#define BANGER_PRIVHELPER_NET_SET_H

#include <stddef.h>
#include <stdint.h>

#include "privhelper/net/net.h"
#include "privhelper/net/netlink.h"
#include "privhelper/tag.h"

enum net_set { SET_GUEST, SET_NAT4, SETS };

/* Append the message that begins or ends a batch of nftables (@type: NFNL_MSG_BATCH_BEGIN or
 * _END). */
void net_batch_mark(struct nl_out *o, uint16_t type);

/* Append a message about the slot's element (@type: NFT_MSG_*SETELEM).  @tag becomes its comment;
 * NULL: none. */
void net_elem_put(struct nl_out *o, const struct config *c, enum net_set set, uint32_t slot,
		  const struct tag *tag, uint16_t type, uint16_t flags);

/* Read the slot's element.  Return: 1 with its tag (generation 0: the element has no tag of the
 * slot), 0: there is no element or no set, -1 with errno. */
int net_elem_get(struct net_state *n, enum net_set set, uint32_t slot, struct tag *tag);

/* Add the element of @tag's slot.  Return: 0, or -1 with errno: ENOENT: the table or the set is
 * gone, EEXIST: the slot has an element. */
int net_elem_insert(struct net_state *n, enum net_set set, const struct tag *tag);

/* Turn EEXIST of net_elem_insert() into a status: ST_OK if the element has the same tag, ST_DENIED
 * if it has another, ST_BUSY if it has gone meanwhile, or the status of a failed read. */
enum status net_elem_exists(struct net_state *n, enum net_set set, const struct tag *tag);

/* Remove the slot's element.  Return: ST_OK, also if there is none, or the status of the error. */
enum status net_elem_remove(struct net_state *n, enum net_set set, uint32_t slot);

#endif
