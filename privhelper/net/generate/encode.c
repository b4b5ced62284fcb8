/* encode.c - writes the rules of the net role as C source: their netlink messages, and the fields
 * for configured values.
 *
 * It runs when banger is built, so that a process with CAP_NET_ADMIN has neither libnftnl nor an
 * encoder.  The output is described in privhelper/net/image.h.
 *
 * Theory of operation.  The rules are the same for every VM and never change; as text (nft(8)):
 *
 *	table bridge banger {
 *		set guest { type ifname . ether_addr . ipv4_addr; size 1000; }
 *		chain pre {                   frames from a tap, before anything learns from them
 *			type filter hook prerouting priority -300; policy accept;
 *			iifname != "bgr*" accept
 *			ether type ip iifname . ether saddr . ip saddr @guest accept
 *			ether type arp iifname . ether saddr . arp saddr ip @guest
 *			               iifname . arp saddr ether . arp saddr ip @guest accept
 *			counter drop
 *		}
 *		chain in {                    01:80:c2:00:00:0x skips prerouting (br_handle_frame())
 *			type filter hook input priority -300; policy accept;
 *			iifname "bgr*" ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 drop
 *		}
 *	}
 *	table inet banger {
 *		set nat4 { type ipv4_addr; size 1000; }
 *		set flows { type ipv4_addr; size 1000; flags dynamic; }
 *		chain pre {                   a guest's packet comes from the bridge, not a tap
 *			type filter hook prerouting priority raw; policy accept;
 *			iifname "bgr*" drop
 *			iifname BRIDGE icmp type echo-request fib daddr type local notrack
 *		}
 *		chain post {
 *			type nat hook postrouting priority srcnat; policy accept;
 *			ip saddr @nat4 oifname != BRIDGE masquerade    (with an uplink:
 *			                                               oifname UPLINK)
 *		}
 *		chain forward {
 *			type filter hook forward priority filter; policy accept;
 *			iifname BRIDGE ip daddr 169.254.0.0/16 drop
 *			iifname BRIDGE ip saddr @nat4 oifname != BRIDGE       (likewise)
 *			        ct status confirmed accept
 *			iifname BRIDGE ip saddr @nat4 oifname != BRIDGE       (likewise)
 *			        ct state new,related add @flows
 *			        { ip saddr limit rate MAX/32 per second burst MAX packets
 *			          ct count MAX } accept
 *			oifname BRIDGE ct state established,related accept
 *			iifname BRIDGE drop
 *			oifname BRIDGE drop
 *		}
 *		chain input {
 *			type filter hook input priority filter; policy accept;
 *			iifname != BRIDGE accept
 *			meta nfproto != ipv4 drop
 *			ct state established,related ct direction reply accept
 *			icmp type echo-request accept
 *			drop
 *		}
 *	}
 *
 * Packets to link-local addresses are not forwarded: the metadata service of a cloud would take the
 * guest for the host.
 *
 * A guest can not fill the host's table of flows (nf_conntrack_max).  Its pings of the host have no
 * entry.  MAX flows (max_flows_per_vm) that leave the host may be open at once.  `ct count` leaves
 * out TCP connections that wait for their time-out (net/netfilter/nf_conncount.c, already_closed();
 * 120 s at most), so the rate of new flows has a limit as well. Together: MAX open, and 120 * MAX /
 * 32 + MAX closed.  The rate is checked first, because counting takes time by the length of the
 * list.  An element that can not be added does not match, so no flow is accepted uncounted.  Rules
 * that are loaded again begin to count at 0: flows that are open then stay open and are not
 * counted.
 *
 * A field for a configured value holds a unique pattern.  At the end each pattern must be found in
 * the bytes as often as it was put there; the places where it is found are the fields.  Any other
 * count ends the build. */
#include <net/if.h> /* before linux/if.h, which then leaves out the same definitions */

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_bridge.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "privhelper/net/image.h"
#include "proto/slot.h"

#define PRIO_EARLY (-300) /* "raw": before conntrack */
#define PRIO_FILTER 0
#define PRIO_SRCNAT 100

/* The numbers of nft(8)'s data types (nftables, include/datatype.h), by which it can print the
 * sets. */
#define TYPE_IPADDR 7u
#define TYPE_ETHERADDR 9u
#define TYPE_IFNAME 41u
#define TYPE_BITS 6
#define TYPE_GUEST ((TYPE_IFNAME << TYPE_BITS | TYPE_ETHERADDR) << TYPE_BITS | TYPE_IPADDR)

/* The ids of the sets within the batch.  The kernel adds the elements of SET_FLOWS itself, to count
 * each guest's flows. */
enum set { SET_GUEST = 1, SET_NAT4, SET_FLOWS };
static const char *const names[] = {
	[SET_GUEST] = NET_SET_GUEST, [SET_NAT4] = NET_SET_NAT4, [SET_FLOWS] = "flows"
};

#define MESSAGE_MAX 4096
#define IMAGE_MAX 16384
_Static_assert(IMAGE_MAX - 1 <= UINT16_MAX, "an offset in struct net_patch has room");

/* The rules under construction. */
struct build {
	uint8_t bytes[IMAGE_MAX + MESSAGE_MAX] __attribute__((aligned(8)));
	size_t used;
	struct nlmsghdr *h; /* the latest message */
	uint8_t family;
	const char *chain;
	struct nftnl_rule *rule; /* under construction */
};

/* The pattern that stands for a configured value. */
static struct place {
	const char *name;
	uint8_t pattern[NET_PLACE_MAX];
	size_t len;
	unsigned put; /* times that it was put into a rule */
} places[PLACES] = {
	[PLACE_BRIDGE] = { "PLACE_BRIDGE", "OUR-BRIDGE-NAME", IFNAMSIZ, 0 },
	[PLACE_UPLINK] = { "PLACE_UPLINK", "OUR-UPLINK-NAME", IFNAMSIZ, 0 },
	[PLACE_UPLINK_OP] = { "PLACE_UPLINK_OP", { 0xb1, 0x0b, 0x5e, 0x01 }, 4, 0 },
	[PLACE_RATE] = { "PLACE_RATE", { 0xb1, 0x0b, 0x5e, 0x02, 0xb1, 0x0b, 0x5e, 0x03 }, 8, 0 },
	[PLACE_BURST] = { "PLACE_BURST", { 0xb1, 0x0b, 0x5e, 0x04 }, 4, 0 },
	[PLACE_COUNT] = { "PLACE_COUNT", { 0xb1, 0x0b, 0x5e, 0x05 }, 4, 0 },
};

static _Noreturn void fail(const char *why)
{
	fprintf(stderr, "encode: %s\n", why);
	exit(1);
}

/* ---- places ---- */

static const uint8_t *pattern(enum net_place p)
{
	places[p].put++;
	return places[p].pattern;
}

/* The pattern as a number in host byte order, which libnftnl writes in network byte order. */
static uint32_t pattern32(enum net_place p)
{
	uint32_t v;

	memcpy(&v, pattern(p), sizeof(v));
	return ntohl(v);
}

static uint64_t pattern64(enum net_place p)
{
	uint64_t v;

	memcpy(&v, pattern(p), sizeof(v));
	return be64toh(v);
}

/* ---- expressions, named as `nft --debug=netlink` names them ---- */

/* End the program if libnftnl returned NULL: it is out of memory. */
static void *got(void *p)
{
	if (!p)
		fail("out of memory");
	return p;
}

static struct nftnl_expr *expr(struct build *b, const char *name)
{
	struct nftnl_expr *e = got(nftnl_expr_alloc(name));

	nftnl_rule_add_expr(b->rule, e);
	return e;
}

static void meta(struct build *b, uint32_t key)
{
	struct nftnl_expr *e = expr(b, "meta");

	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, NFT_REG_1);
}

static void payload(struct build *b, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg)
{
	struct nftnl_expr *e = expr(b, "payload");

	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

static void cmp(struct build *b, uint32_t op, const void *data, uint32_t len)
{
	struct nftnl_expr *e = expr(b, "cmp");

	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len);
}

static void cmp_byte(struct build *b, uint32_t op, uint8_t value)
{
	cmp(b, op, &value, 1);
}

static void mask(struct build *b, const void *bits, uint32_t len)
{
	static const uint8_t none[8];
	struct nftnl_expr *e = expr(b, "bitwise");

	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, bits, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, none, len);
}

static void in_set(struct build *b, enum set set)
{
	struct nftnl_expr *e = expr(b, "lookup");

	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, names[set]);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SET_ID, set);
}

static void ct(struct build *b, uint32_t key)
{
	struct nftnl_expr *e = expr(b, "ct");

	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, NFT_REG_1);
}

static void ct_has(struct build *b, uint32_t key, uint32_t bits)
{
	const uint32_t none = 0;

	ct(b, key);
	mask(b, &bits, sizeof(bits));
	cmp(b, NFT_CMP_NEQ, &none, sizeof(none));
}

/* ---- rules ---- */

static void rule(struct build *b)
{
	b->rule = got(nftnl_rule_alloc());
	nftnl_rule_set_str(b->rule, NFTNL_RULE_TABLE, NET_TABLE);
	nftnl_rule_set_str(b->rule, NFTNL_RULE_CHAIN, b->chain);
	nftnl_rule_set_u32(b->rule, NFTNL_RULE_FAMILY, b->family);
}

static void put(struct build *b, uint16_t type, uint16_t flags)
{
	b->used += b->h ? NLMSG_ALIGN(b->h->nlmsg_len) : 0;
	if (b->used > IMAGE_MAX)
		fail("the rules are too long");
	b->h = mnl_nlmsg_put_header(b->bytes + b->used);
	b->h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	b->h->nlmsg_flags = NLM_F_REQUEST | flags;
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(b->h, sizeof(*g));
	g->nfgen_family = b->family;
	g->version = NFNETLINK_V0;
}

static void finish(struct build *b)
{
	put(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	nftnl_rule_nlmsg_build_payload(b->h, b->rule);
	nftnl_rule_free(b->rule);
}

static void verdict(struct build *b, uint32_t code)
{
	struct nftnl_expr *e = expr(b, "immediate");

	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, code);
	finish(b);
}

static void bridge_is(struct build *b, uint32_t key, uint32_t op)
{
	meta(b, key);
	cmp(b, op, pattern(PLACE_BRIDGE), IFNAMSIZ);
}

/* iifname "bgr*": a comparison without the NUL matches a prefix. */
static void from_tap(struct build *b, uint32_t op)
{
	meta(b, NFT_META_IIFNAME);
	cmp(b, op, SLOT_TAP_PREFIX, strlen(SLOT_TAP_PREFIX));
}

static void to_uplink(struct build *b)
{
	meta(b, NFT_META_OIFNAME);
	cmp(b, pattern32(PLACE_UPLINK_OP), pattern(PLACE_UPLINK), IFNAMSIZ);
}

static void ether_type(struct build *b, uint16_t type)
{
	const uint16_t t = htons(type);

	payload(b, NFT_PAYLOAD_LL_HEADER, 12, sizeof(t), NFT_REG_1);
	cmp(b, NFT_CMP_EQ, &t, sizeof(t));
}

/* iifname . <MAC at base, at> . <IPv4 address at ip> @guest, laid out as struct net_guest_key. */
static void is_guest(struct build *b, uint32_t base, uint32_t at, uint32_t ip)
{
	meta(b, NFT_META_IIFNAME);
	payload(b, base, at, ETH_ALEN, NFT_REG_2);
	payload(b, NFT_PAYLOAD_NETWORK_HEADER, ip, sizeof(uint32_t), NFT_REG32_06);
	in_set(b, SET_GUEST);
}

static void has_nat(struct build *b)
{
	meta(b, NFT_META_NFPROTO);
	cmp_byte(b, NFT_CMP_EQ, NFPROTO_IPV4);
	payload(b, NFT_PAYLOAD_NETWORK_HEADER, 12, sizeof(uint32_t), NFT_REG_1);
	in_set(b, SET_NAT4);
}

static void is_reply(struct build *b)
{
	ct_has(b, NFT_CT_STATE,
	       NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
}

/* The packet's flow has an entry.  A flow gets its entry when its first packet has passed all rules
 * (nf_conntrack_confirm()). */
static void is_known(struct build *b)
{
	ct_has(b, NFT_CT_STATUS, IPS_CONFIRMED);
}

static void is_within_limits(struct build *b)
{
	struct nftnl_expr *limit = got(nftnl_expr_alloc("limit")),
			  *count = got(nftnl_expr_alloc("connlimit"));

	ct_has(b, NFT_CT_STATE, NF_CT_STATE_BIT(IP_CT_NEW) | NF_CT_STATE_BIT(IP_CT_RELATED));
	payload(b, NFT_PAYLOAD_NETWORK_HEADER, 12, sizeof(uint32_t), NFT_REG_1);
	struct nftnl_expr *e = expr(b, "dynset");
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_ADD);
	nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, names[SET_FLOWS]);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SET_ID, SET_FLOWS);
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_RATE, pattern64(PLACE_RATE));
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_UNIT, 1); /* seconds */
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_BURST, pattern32(PLACE_BURST));
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(count, NFTNL_EXPR_CONNLIMIT_COUNT, pattern32(PLACE_COUNT));
	nftnl_expr_add_expr(e, NFTNL_EXPR_DYNSET_EXPRESSIONS, limit);
	nftnl_expr_add_expr(e, NFTNL_EXPR_DYNSET_EXPRESSIONS, count);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_FLAGS, NFT_DYNSET_F_EXPR);
}

/* The packet answers a flow that the host began.  A process outside can begin one with a guest's
 * address. */
static void is_answer(struct build *b)
{
	is_reply(b);
	ct(b, NFT_CT_DIRECTION);
	cmp_byte(b, NFT_CMP_EQ, IP_CT_DIR_REPLY);
}

static void is_ping(struct build *b)
{
	meta(b, NFT_META_NFPROTO);
	cmp_byte(b, NFT_CMP_EQ, NFPROTO_IPV4);
	meta(b, NFT_META_L4PROTO);
	cmp_byte(b, NFT_CMP_EQ, IPPROTO_ICMP);
	payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, NFT_REG_1);
	cmp_byte(b, NFT_CMP_EQ, ICMP_ECHO);
}

/* The destination is an address of the host. */
static void is_local(struct build *b)
{
	const uint32_t local = RTN_LOCAL;
	struct nftnl_expr *e = expr(b, "fib");

	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
	cmp(b, NFT_CMP_EQ, &local, sizeof(local));
}

static void is_link_local(struct build *b)
{
	static const uint8_t net[] = { 169, 254 };

	meta(b, NFT_META_NFPROTO);
	cmp_byte(b, NFT_CMP_EQ, NFPROTO_IPV4);
	payload(b, NFT_PAYLOAD_NETWORK_HEADER, 16, sizeof(net), NFT_REG_1);
	cmp(b, NFT_CMP_EQ, net, sizeof(net));
}

/* ---- tables, chains, sets ---- */

/* Create the table if it is missing, so that the deletion succeeds; delete it; create it anew. */
static void table(struct build *b, uint8_t family)
{
	static const uint16_t types[] = { NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFT_MSG_NEWTABLE };
	struct nftnl_table *t = got(nftnl_table_alloc());

	b->family = family;
	nftnl_table_set_str(t, NFTNL_TABLE_NAME, NET_TABLE);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		put(b, types[i], types[i] == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);
		nftnl_table_nlmsg_build_payload(b->h, t);
	}
	nftnl_table_free(t);
}

static void set(struct build *b, enum set id, uint32_t type, uint32_t len)
{
	struct nftnl_set *s = got(nftnl_set_alloc());

	nftnl_set_set_str(s, NFTNL_SET_TABLE, NET_TABLE);
	nftnl_set_set_str(s, NFTNL_SET_NAME, names[id]);
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, b->family);
	nftnl_set_set_u32(s, NFTNL_SET_ID, id);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, type);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, len);
	nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, SLOT_MAX);
	if (id == SET_FLOWS)
		nftnl_set_set_u32(s, NFTNL_SET_FLAGS, NFT_SET_EVAL);
	put(b, NFT_MSG_NEWSET, NLM_F_CREATE);
	nftnl_set_nlmsg_build_payload(b->h, s);
	nftnl_set_free(s);
}

static void chain(struct build *b, const char *name, const char *type, uint32_t hook,
		  int32_t priority)
{
	struct nftnl_chain *c = got(nftnl_chain_alloc());

	b->chain = name;
	nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, NET_TABLE);
	nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, name);
	nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, type);
	nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, hook);
	nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, priority);
	nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	put(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	nftnl_chain_nlmsg_build_payload(b->h, c);
	nftnl_chain_free(c);
}

static void frames_from_taps(struct build *b)
{
	chain(b, "pre", "filter", NF_BR_PRE_ROUTING, PRIO_EARLY);
	rule(b);
	from_tap(b, NFT_CMP_NEQ);
	verdict(b, NF_ACCEPT);
	rule(b);
	ether_type(b, ETH_P_IP);
	is_guest(b, NFT_PAYLOAD_LL_HEADER, 6, 12);
	verdict(b, NF_ACCEPT);
	rule(b);
	ether_type(b, ETH_P_ARP);
	is_guest(b, NFT_PAYLOAD_LL_HEADER, 6, 14);
	is_guest(b, NFT_PAYLOAD_NETWORK_HEADER, 8, 14);
	verdict(b, NF_ACCEPT);
	rule(b);
	(void)expr(b, "counter");
	verdict(b, NF_DROP);
}

static void link_local_frames(struct build *b)
{
	static const uint8_t bits[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xf0 };
	static const uint8_t group[ETH_ALEN] = { 0x01, 0x80, 0xc2, 0, 0, 0 };

	chain(b, "in", "filter", NF_BR_LOCAL_IN, PRIO_EARLY);
	rule(b);
	from_tap(b, NFT_CMP_EQ);
	payload(b, NFT_PAYLOAD_LL_HEADER, 0, ETH_ALEN, NFT_REG_1);
	mask(b, bits, sizeof(bits));
	cmp(b, NFT_CMP_EQ, group, sizeof(group));
	verdict(b, NF_DROP);
}

static void packets_from_taps(struct build *b)
{
	chain(b, "pre", "filter", NF_INET_PRE_ROUTING, PRIO_EARLY);
	rule(b);
	from_tap(b, NFT_CMP_EQ);
	verdict(b, NF_DROP);
	rule(b);
	bridge_is(b, NFT_META_IIFNAME, NFT_CMP_EQ);
	is_ping(b);
	is_local(b);
	(void)expr(b, "notrack");
	finish(b);
}

static void masquerade(struct build *b)
{
	chain(b, "post", "nat", NF_INET_POST_ROUTING, PRIO_SRCNAT);
	rule(b);
	has_nat(b);
	to_uplink(b);
	(void)expr(b, "masq");
	finish(b);
}

/* Accept packets of guests with NAT that may leave the host; forwarding() drops the rest. */
static void forwarding_out(struct build *b)
{
	rule(b);
	bridge_is(b, NFT_META_IIFNAME, NFT_CMP_EQ);
	is_link_local(b);
	verdict(b, NF_DROP);
	rule(b);
	bridge_is(b, NFT_META_IIFNAME, NFT_CMP_EQ);
	has_nat(b);
	to_uplink(b);
	is_known(b);
	verdict(b, NF_ACCEPT);
	rule(b);
	bridge_is(b, NFT_META_IIFNAME, NFT_CMP_EQ);
	has_nat(b);
	to_uplink(b);
	is_within_limits(b);
	verdict(b, NF_ACCEPT);
}

static void forwarding(struct build *b)
{
	chain(b, "forward", "filter", NF_INET_FORWARD, PRIO_FILTER);
	forwarding_out(b);
	rule(b);
	bridge_is(b, NFT_META_OIFNAME, NFT_CMP_EQ);
	is_reply(b);
	verdict(b, NF_ACCEPT);
	rule(b);
	bridge_is(b, NFT_META_IIFNAME, NFT_CMP_EQ);
	verdict(b, NF_DROP);
	rule(b);
	bridge_is(b, NFT_META_OIFNAME, NFT_CMP_EQ);
	verdict(b, NF_DROP);
}

static void to_the_host(struct build *b)
{
	chain(b, "input", "filter", NF_INET_LOCAL_IN, PRIO_FILTER);
	rule(b);
	bridge_is(b, NFT_META_IIFNAME, NFT_CMP_NEQ);
	verdict(b, NF_ACCEPT);
	rule(b);
	meta(b, NFT_META_NFPROTO);
	cmp_byte(b, NFT_CMP_NEQ, NFPROTO_IPV4);
	verdict(b, NF_DROP);
	rule(b);
	is_answer(b);
	verdict(b, NF_ACCEPT);
	rule(b);
	is_ping(b);
	verdict(b, NF_ACCEPT);
	rule(b);
	verdict(b, NF_DROP);
}

/* ---- the image ---- */

static void encode(struct build *b)
{
	table(b, NFPROTO_BRIDGE);
	set(b, SET_GUEST, TYPE_GUEST, sizeof(struct net_guest_key));
	frames_from_taps(b);
	link_local_frames(b);
	table(b, NFPROTO_INET);
	set(b, SET_NAT4, TYPE_IPADDR, sizeof(uint32_t));
	set(b, SET_FLOWS, TYPE_IPADDR, sizeof(uint32_t));
	packets_from_taps(b);
	masquerade(b);
	forwarding(b);
	to_the_host(b);
	b->used += NLMSG_ALIGN(b->h->nlmsg_len);
	if (b->used > IMAGE_MAX)
		fail("the rules are too long");
}

/* Return: the place whose pattern is at offset @at, or PLACES. */
static enum net_place place_at(const struct build *b, size_t at)
{
	for (enum net_place p = 0; p < PLACES; p++)
		if (places[p].len <= b->used - at &&
		    memcmp(b->bytes + at, places[p].pattern, places[p].len) == 0)
			return p;
	return PLACES;
}

static size_t write_patches(const struct build *b)
{
	unsigned found[PLACES] = { 0 };
	size_t count = 0;

	printf("static const struct net_patch patches[] = {\n");
	for (size_t at = 0; at < b->used;) {
		enum net_place p = place_at(b, at);
		if (p == PLACES) {
			at++;
			continue;
		}
		printf("\t{ %zu, %s, %zu },\n", at, places[p].name, places[p].len);
		found[p]++;
		count++;
		at += places[p].len;
	}
	printf("};\n\n");
	for (enum net_place p = 0; p < PLACES; p++)
		if (!found[p] || found[p] != places[p].put)
			fail("a pattern is not found as often as it was put into the rules");
	return count;
}

int main(void)
{
	static struct build b;

	encode(&b);
	printf("/* Written by privhelper/net/generate/encode.c. */\n#include "
	       "\"privhelper/net/image.h\"\n\n");
	size_t patches = write_patches(&b);
	printf("static const uint8_t bytes[] __attribute__((aligned(8))) = {");
	for (size_t i = 0; i < b.used; i++)
		printf("%s0x%02x,", i % 16 ? " " : "\n\t", b.bytes[i]);
	printf("\n};\n\nconst struct net_image net_image = { bytes, %zu, patches, %zu };\n", b.used,
	       patches);
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
