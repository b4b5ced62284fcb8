/* ruleset.c - loads the rules as a whole, and again when another process changed them.
 *
 * generate/encode.c states the rules and their reasons.  Here they are bytes (image.h), into which
 * a few values of the configuration are copied before they go to the kernel. */
#include "privhelper/net/ruleset.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/net/image.h"
#include "privhelper/net/netlink.h"
#include "privhelper/role/reqlog.h"

/* Fill @to with the value of each place.  The size of a value is the len of its patch. */
static void values_of(const struct config *c, uint8_t to[PLACES][NET_PLACE_MAX])
{
	const uint32_t op = htonl(*c->uplink ? NFT_CMP_EQ : NFT_CMP_NEQ),
		       max = htonl(c->max_flows_per_vm);
	const uint64_t rate = htobe64(c->max_flows_per_vm / 32);

	memset(to, 0, PLACES * sizeof(to[0]));
	memcpy(to[PLACE_BRIDGE], c->bridge, strnlen(c->bridge, NET_PLACE_MAX - 1));
	memcpy(to[PLACE_UPLINK], *c->uplink ? c->uplink : c->bridge,
	       strnlen(*c->uplink ? c->uplink : c->bridge, NET_PLACE_MAX - 1));
	memcpy(to[PLACE_UPLINK_OP], &op, sizeof(op));
	memcpy(to[PLACE_RATE], &rate, sizeof(rate));
	memcpy(to[PLACE_BURST], &max, sizeof(max));
	memcpy(to[PLACE_COUNT], &max, sizeof(max));
}

/* Append the messages of the image and set their fields.  nl_append() keeps the messages' lengths,
 * so an offset in the image is also the offset from the first message in @o. */
static void append_rules(struct nl_out *o, const struct config *c)
{
	const struct nlmsghdr *h = (const void *)net_image.bytes;
	uint8_t values[PLACES][NET_PLACE_MAX], *first = NULL;
	int left = (int)net_image.size;

	values_of(c, values);
	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		nl_append(o, h);
		first = first ? first : (uint8_t *)o->h;
	}
	for (size_t i = 0; first && i < net_image.patch_count; i++) {
		const struct net_patch *p = &net_image.patches[i];
		memcpy(first + p->at, values[p->place], p->len);
	}
}

/* Read the tags of the elements that the sets hold now, by slot; generation 0: none.  Elements
 * without a tag of their slot are left out, so the new tables do not have them. */
static int read_elements(struct net_state *n, struct tag kept[SETS][SLOT_MAX])
{
	for (enum net_set s = 0; s < SETS; s++)
		for (uint32_t i = 0; i < n->config->slots; i++)
			if (net_elem_get(n, s, i, &kept[s][i]) < 0)
				return -1;
	return 0;
}

int net_rules_load(struct net_state *n)
{
	struct tag kept[SETS][SLOT_MAX] = { 0 };
	struct nl_out o;

	if (read_elements(n, kept) < 0)
		return -1;
	FAILPOINT("rules.before");
	nl_begin(&n->netlink, &o);
	net_batch_mark(&o, NFNL_MSG_BATCH_BEGIN);
	append_rules(&o, n->config);
	for (enum net_set s = 0; s < SETS; s++)
		for (uint32_t i = 0; i < n->config->slots; i++)
			if (kept[s][i].generation)
				net_elem_put(&o, n->config, s, i, &kept[s][i], NFT_MSG_NEWSETELEM,
					     NLM_F_CREATE);
	o.h->nlmsg_flags |= NLM_F_ACK;
	net_batch_mark(&o, NFNL_MSG_BATCH_END);
	o.last--; /* the kernel does not acknowledge the end of a batch (set.c) */
	int r = nl_talk(n->nft, &o, NULL, NULL);
	FAILPOINT("rules.after");
	return r;
}

int net_rules_repair(struct net_state *n)
{
	if (!n->rules_changed)
		return 0;
	log_warn("another process changed our nftables rules: loading them again");
	(void)reqlog_repair(n->log, "rules", -1);
	if (net_rules_load(n) < 0)
		return -1;
	n->rules_changed = false;
	return 0;
}

enum status net_elem_add(struct net_state *n, enum net_set set, const struct tag *tag)
{
	if (net_elem_insert(n, set, tag) == 0)
		return ST_OK;
	if (errno == EEXIST)
		return net_elem_exists(n, set, tag);
	/* the table went a moment ago: the next request finds it */
	return errno == ENOENT ? ST_BUSY : net_status(errno);
}
