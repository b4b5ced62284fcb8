/* set.c - reads and changes the elements of the two sets, which are all that a VM adds to the
 * firewall.
 *
 * Each change is one batch, which the kernel applies as one transaction (net/netfilter/nfnetlink.c,
 * nfnetlink_rcv_batch()).  The messages are encoded by hand, so that nothing allocates. */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/net/image.h"
#include "privhelper/net/set.h"

/* The user data of an element holds its comment: type 0, length with the NUL, text
 * (libnftnl/udata.h, NFTNL_UDATA_SET_ELEM_COMMENT). */
#define UDATA_COMMENT 0
#define UDATA_HEAD 2

static const struct {
	const char *name;
	uint8_t family;
} sets[SETS] = {
	[SET_GUEST] = { NET_SET_GUEST, NFPROTO_BRIDGE },
	[SET_NAT4] = { NET_SET_NAT4, NFPROTO_INET },
};

/* ---- writing ---- */

static void put_nfgen(struct nl_out *o, uint16_t type, uint16_t flags, uint8_t family, uint16_t res)
{
	struct nfgenmsg *g = nl_message(o, type, flags, sizeof(*g));

	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	g->res_id = htons(res);
}

void net_batch_mark(struct nl_out *o, uint16_t type)
{
	put_nfgen(o, type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

static void put_key(struct nlmsghdr *h, const struct config *c, enum net_set set, uint32_t slot)
{
	struct net_guest_key k = { .ip = htonl(slot_ip(c, slot)) };
	struct nlattr *key = mnl_attr_nest_start(h, NFTA_SET_ELEM_KEY);

	slot_tap(slot, k.tap);
	slot_mac(slot, k.mac);
	if (set == SET_GUEST)
		mnl_attr_put(h, NFTA_DATA_VALUE, sizeof(k), &k);
	else
		mnl_attr_put(h, NFTA_DATA_VALUE, sizeof(k.ip), &k.ip);
	mnl_attr_nest_end(h, key);
}

static void put_comment(struct nlmsghdr *h, const struct tag *tag)
{
	char udata[UDATA_HEAD + TAG_TEXT] = { UDATA_COMMENT };

	tag_format(TAG_ALIAS, tag, udata + UDATA_HEAD);
	size_t n = strlen(udata + UDATA_HEAD) + 1;
	udata[1] = (char)n;
	mnl_attr_put(h, NFTA_SET_ELEM_USERDATA, UDATA_HEAD + n, udata);
}

void net_elem_put(struct nl_out *o, const struct config *c, enum net_set set, uint32_t slot,
		  const struct tag *tag, uint16_t type, uint16_t flags)
{
	put_nfgen(o, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, sets[set].family, 0);
	mnl_attr_put_strz(o->h, NFTA_SET_ELEM_LIST_TABLE, NET_TABLE);
	mnl_attr_put_strz(o->h, NFTA_SET_ELEM_LIST_SET, sets[set].name);
	struct nlattr *list = mnl_attr_nest_start(o->h, NFTA_SET_ELEM_LIST_ELEMENTS);
	struct nlattr *elem = mnl_attr_nest_start(o->h, NFTA_LIST_ELEM);
	put_key(o->h, c, set, slot);
	if (tag)
		put_comment(o->h, tag);
	mnl_attr_nest_end(o->h, elem);
	mnl_attr_nest_end(o->h, list);
}

/* ---- reading ---- */

static void read_udata(struct tag *tag, const struct nlattr *a)
{
	const char *p = mnl_attr_get_payload(a);
	size_t n = mnl_attr_get_payload_len(a);

	if (n > UDATA_HEAD && p[0] == UDATA_COMMENT && (uint8_t)p[1] <= n - UDATA_HEAD)
		if (!tag_parse(TAG_ALIAS, p + UDATA_HEAD, (uint8_t)p[1], tag))
			*tag = (struct tag){ 0 };
}

static void read_elem(void *arg, const struct nlmsghdr *h)
{
	const struct nlattr *list, *elem, *a;

	if (h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM))
		return;
	mnl_attr_for_each(list, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(list) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(elem, list)
			mnl_attr_for_each_nested(a, elem) if (mnl_attr_get_type(a) ==
							      NFTA_SET_ELEM_USERDATA)
				read_udata(arg, a);
	}
}

int net_elem_get(struct net_state *n, enum net_set set, uint32_t slot, struct tag *tag)
{
	struct nl_out o;

	*tag = (struct tag){ 0 };
	nl_begin(&n->netlink, &o);
	net_elem_put(&o, n->config, set, slot, NULL, NFT_MSG_GETSETELEM, NLM_F_ACK);
	if (nl_talk(n->nft, &o, read_elem, tag) == 0) {
		if (tag->slot != slot)
			*tag = (struct tag){ 0 };
		return 1;
	}
	return errno == ENOENT ? 0 : -1;
}

/* ---- the two changes ---- */

static int change(struct net_state *n, enum net_set set, uint32_t slot, const struct tag *tag,
		  uint16_t type, uint16_t flags)
{
	struct nl_out o;

	if (FAILPOINT_FAILS("element.before"))
		return -1;
	nl_begin(&n->netlink, &o);
	net_batch_mark(&o, NFNL_MSG_BATCH_BEGIN);
	net_elem_put(&o, n->config, set, slot, tag, type, NLM_F_ACK | flags);
	net_batch_mark(&o, NFNL_MSG_BATCH_END);
	o.last--; /* before Linux 6.10, the kernel does not acknowledge the end of a batch */
	int r = nl_talk(n->nft, &o, NULL, NULL);
	FAILPOINT("element.after");
	return r;
}

int net_elem_insert(struct net_state *n, enum net_set set, const struct tag *tag)
{
	return change(n, set, tag->slot, tag, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL);
}

enum status net_elem_exists(struct net_state *n, enum net_set set, const struct tag *tag)
{
	struct tag there;
	int r = net_elem_get(n, set, tag->slot, &there);

	if (r <= 0)
		return r < 0 ? net_status(errno) : ST_BUSY;
	return memcmp(&there, tag, sizeof(there)) == 0 ? ST_OK : ST_DENIED;
}

enum status net_elem_remove(struct net_state *n, enum net_set set, uint32_t slot)
{
	if (change(n, set, slot, NULL, NFT_MSG_DELSETELEM, 0) == 0 || errno == ENOENT)
		return ST_OK;
	return net_status(errno);
}
