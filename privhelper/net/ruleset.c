/* Theory of operation.  The rules are the same for every VM and never change; as text (nft(8)):
 *
 *	table bridge banger {
 *		set guest { type ifname . ether_addr . ipv4_addr; size 1000; }
 *		chain pre {                             frames from a tap, before anything learns from them
 *			type filter hook prerouting priority -300; policy accept;
 *			iifname != "bgr*" accept
 *			ether type ip iifname . ether saddr . ip saddr @guest accept
 *			ether type arp iifname . ether saddr . arp saddr ip @guest
 *			               iifname . arp saddr ether . arp saddr ip @guest accept
 *			counter drop
 *		}
 *		chain in {                              01:80:c2:00:00:0x skips prerouting (br_handle_frame())
 *			type filter hook input priority -300; policy accept;
 *			iifname "bgr*" ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 drop
 *		}
 *	}
 *	table inet banger {
 *		set nat4 { type ipv4_addr; size 1000; }
 *		set flows { type ipv4_addr; size 1000; flags dynamic; }
 *		chain pre {                             a packet of a guest comes from the bridge, never from a tap
 *			type filter hook prerouting priority raw; policy accept;
 *			iifname "bgr*" drop
 *			iifname BRIDGE icmp type echo-request fib daddr type local notrack
 *		}
 *		chain post {
 *			type nat hook postrouting priority srcnat; policy accept;
 *			ip saddr @nat4 oifname != BRIDGE masquerade             (with an uplink: oifname UPLINK)
 *		}
 *		chain forward {
 *			type filter hook forward priority filter; policy accept;
 *			iifname BRIDGE ip daddr 169.254.0.0/16 drop
 *			iifname BRIDGE ip saddr @nat4 oifname != BRIDGE ct status confirmed accept              (likewise)
 *			iifname BRIDGE ip saddr @nat4 oifname != BRIDGE ct state new,related add @flows
 *			        { ip saddr limit rate MAX/32 per second burst MAX packets ct count MAX } accept (likewise)
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
 * Link-local addresses are not forwarded: what answers there (the metadata of a cloud) takes the guest for the host.
 *
 * A guest can not fill the host's table of flows (nf_conntrack_max).  Its pings of the host have no entry.  Of flows that
 * leave the host, MAX (max_flows_per_vm) may be open at once; `ct count` leaves out TCP connections that wait for their
 * time-out (net/netfilter/nf_conncount.c, already_closed(); 120 s at most), so the rate of new flows has a limit as well.
 * Together: MAX open, and 120 * MAX / 32 + MAX closed.  The rate comes first, since counting takes as long as the list is.
 * An element that can not be added does not match, so that nothing is accepted uncounted.  Rules that are loaded again
 * begin to count at 0: flows that are open then stay open and are not counted.
 *
 * They are encoded once, as root, by libnftnl, which allocates; the bytes are kept, so that the locked role can load
 * them again when somebody has flushed them. */
#include <net/if.h> /* before the kernel's own, which yields to it */

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <limits.h>
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
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/net/netlink.h"
#include "privhelper/net/ruleset.h"

#define PRIO_EARLY (-300) /* "raw": before conntrack */
#define PRIO_FILTER 0
#define PRIO_SRCNAT 100

/* The set in which the kernel itself keeps a count for each guest; no element of it is ours. */
#define FLOWS "flows"
#define FLOWS_ID (SETS + 1)
static const struct net_set_info flows = { FLOWS, NFPROTO_INET, NET_TYPE_IPADDR, sizeof(uint32_t) };

/* Messages without the marks of a batch. */
static struct {
	uint8_t bytes[16384] __attribute__((aligned(8)));
	size_t used;
	unsigned count; /* rules among them */
} rules;

/* A datagram of rules under construction, and the rule in it. */
struct build {
	struct nl_out o;
	const struct config *c;
	uint8_t family;
	const char *chain;
	struct nftnl_rule *rule;
};

/* ---- expressions, named as `nft --debug=netlink` names them ---- */

/* libnftnl has no memory: there is no way on. */
static void *got(void *p)
{
	if (!p)
		die(1, "nftables rules: out of memory");
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

static void in_set(struct build *b, enum net_set set)
{
	struct nftnl_expr *e = expr(b, "lookup");

	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, net_set_info(set)->name);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SET_ID, set + 1);
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
	struct nfgenmsg *g = nl_message(&b->o, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, sizeof(*g));

	g->nfgen_family = b->family;
	g->version = NFNETLINK_V0;
}

static void finish(struct build *b)
{
	put(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	nftnl_rule_nlmsg_build_payload(b->o.h, b->rule);
	nftnl_rule_free(b->rule);
	rules.count++;
}

static void verdict(struct build *b, uint32_t code)
{
	struct nftnl_expr *e = expr(b, "immediate");

	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, code);
	finish(b);
}

/* The whole name, so that "banger0" is not "banger01". */
static void name_is(struct build *b, uint32_t key, uint32_t op, const char *name)
{
	char whole[IFNAMSIZ] = "";

	memcpy(whole, name, strnlen(name, sizeof(whole) - 1));
	meta(b, key);
	cmp(b, op, whole, sizeof(whole));
}

/* iifname "bgr*": without its NUL it is a prefix. */
static void from_tap(struct build *b, uint32_t op)
{
	meta(b, NFT_META_IIFNAME);
	cmp(b, op, SLOT_TAP_PREFIX, strlen(SLOT_TAP_PREFIX));
}

static void to_uplink(struct build *b)
{
	const char *uplink = b->c->uplink;

	name_is(b, NFT_META_OIFNAME, *uplink ? NFT_CMP_EQ : NFT_CMP_NEQ, *uplink ? uplink : b->c->bridge);
}

static void ether_type(struct build *b, uint16_t type)
{
	const uint16_t t = htons(type);

	payload(b, NFT_PAYLOAD_LL_HEADER, 12, sizeof(t), NFT_REG_1);
	cmp(b, NFT_CMP_EQ, &t, sizeof(t));
}

/* iifname . <MAC at base, at> . <IPv4 address at ip> @guest, laid out as struct guest_key. */
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
	ct_has(b, NFT_CT_STATE, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
}

/* Its flow has an entry; the first packet of a flow gets one behind all rules (nf_conntrack_confirm()). */
static void is_known(struct build *b)
{
	ct_has(b, NFT_CT_STATUS, IPS_CONFIRMED);
}

static void is_within_limits(struct build *b)
{
	const uint32_t max = b->c->max_flows_per_vm;
	struct nftnl_expr *limit = got(nftnl_expr_alloc("limit")), *count = got(nftnl_expr_alloc("connlimit"));

	ct_has(b, NFT_CT_STATE, NF_CT_STATE_BIT(IP_CT_NEW) | NF_CT_STATE_BIT(IP_CT_RELATED));
	payload(b, NFT_PAYLOAD_NETWORK_HEADER, 12, sizeof(uint32_t), NFT_REG_1);
	struct nftnl_expr *e = expr(b, "dynset");
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_ADD);
	nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, FLOWS);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SET_ID, FLOWS_ID);
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_RATE, max / 32);
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_UNIT, 1); /* seconds */
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_BURST, max);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(count, NFTNL_EXPR_CONNLIMIT_COUNT, max);
	nftnl_expr_add_expr(e, NFTNL_EXPR_DYNSET_EXPRESSIONS, limit);
	nftnl_expr_add_expr(e, NFTNL_EXPR_DYNSET_EXPRESSIONS, count);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_FLAGS, NFT_DYNSET_F_EXPR);
}

/* The host began it: not somebody outside, who can do so in a guest's name. */
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

/* To an address of the host's own. */
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

/* Made if it is not there, so that the deletion succeeds; then new. */
static void table(struct build *b, uint8_t family)
{
	static const uint16_t types[] = { NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFT_MSG_NEWTABLE };
	struct nftnl_table *t = got(nftnl_table_alloc());

	b->family = family;
	nftnl_table_set_str(t, NFTNL_TABLE_NAME, NET_TABLE);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		put(b, types[i], types[i] == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);
		nftnl_table_nlmsg_build_payload(b->o.h, t);
	}
	nftnl_table_free(t);
}

static void set(struct build *b, const struct net_set_info *i, uint32_t id, uint32_t flags)
{
	struct nftnl_set *s = got(nftnl_set_alloc());

	nftnl_set_set_str(s, NFTNL_SET_TABLE, NET_TABLE);
	nftnl_set_set_str(s, NFTNL_SET_NAME, i->name);
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, i->family);
	nftnl_set_set_u32(s, NFTNL_SET_ID, id);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, i->key_type);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, i->key_len);
	nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, SLOT_MAX);
	if (flags)
		nftnl_set_set_u32(s, NFTNL_SET_FLAGS, flags);
	put(b, NFT_MSG_NEWSET, NLM_F_CREATE);
	nftnl_set_nlmsg_build_payload(b->o.h, s);
	nftnl_set_free(s);
}

static void chain(struct build *b, const char *name, const char *type, uint32_t hook, int32_t priority)
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
	nftnl_chain_nlmsg_build_payload(b->o.h, c);
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
	name_is(b, NFT_META_IIFNAME, NFT_CMP_EQ, b->c->bridge);
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

static void forwarding(struct build *b)
{
	const char *bridge = b->c->bridge;

	chain(b, "forward", "filter", NF_INET_FORWARD, PRIO_FILTER);
	rule(b);
	name_is(b, NFT_META_IIFNAME, NFT_CMP_EQ, bridge);
	is_link_local(b);
	verdict(b, NF_DROP);
	rule(b);
	name_is(b, NFT_META_IIFNAME, NFT_CMP_EQ, bridge);
	has_nat(b);
	to_uplink(b);
	is_known(b);
	verdict(b, NF_ACCEPT);
	rule(b);
	name_is(b, NFT_META_IIFNAME, NFT_CMP_EQ, bridge);
	has_nat(b);
	to_uplink(b);
	is_within_limits(b);
	verdict(b, NF_ACCEPT);
	rule(b);
	name_is(b, NFT_META_OIFNAME, NFT_CMP_EQ, bridge);
	is_reply(b);
	verdict(b, NF_ACCEPT);
	rule(b);
	name_is(b, NFT_META_IIFNAME, NFT_CMP_EQ, bridge);
	verdict(b, NF_DROP);
	rule(b);
	name_is(b, NFT_META_OIFNAME, NFT_CMP_EQ, bridge);
	verdict(b, NF_DROP);
}

static void to_the_host(struct build *b)
{
	chain(b, "input", "filter", NF_INET_LOCAL_IN, PRIO_FILTER);
	rule(b);
	name_is(b, NFT_META_IIFNAME, NFT_CMP_NEQ, b->c->bridge);
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

int net_rules_prepare(const struct config *c)
{
	struct build b = { .c = c };

	rules.count = 0;
	nl_begin(&b.o);
	table(&b, NFPROTO_BRIDGE);
	set(&b, net_set_info(SET_GUEST), SET_GUEST + 1, 0);
	frames_from_taps(&b);
	link_local_frames(&b);
	table(&b, NFPROTO_INET);
	set(&b, net_set_info(SET_NAT4), SET_NAT4 + 1, 0);
	set(&b, &flows, FLOWS_ID, NFT_SET_EVAL);
	packets_from_taps(&b);
	masquerade(&b);
	forwarding(&b);
	to_the_host(&b);
	rules.used = b.o.used + NLMSG_ALIGN(b.o.h->nlmsg_len);
	if (rules.used > sizeof(rules.bytes)) {
		log_error("nftables rules: %zu bytes are too many", rules.used);
		return -1;
	}
	memcpy(rules.bytes, b.o.buf, rules.used);
	return 0;
}

/* ---- loading ---- */

/* The elements of VMs that the sets have now, by slot; generation 0: none.  Others than ours are not kept. */
static int read_elements(const struct net_state *n, struct net_tag kept[SETS][SLOT_MAX])
{
	for (enum net_set s = 0; s < SETS; s++)
		for (uint32_t i = 0; i < n->config->slots; i++)
			if (net_elem_get(n, s, i, &kept[s][i]) < 0)
				return -1;
	return 0;
}

int net_rules_load(const struct net_state *n)
{
	static struct net_tag kept[SETS][SLOT_MAX];
	const struct nlmsghdr *h = (const void *)rules.bytes;
	int left = (int)rules.used;
	struct nl_out o;

	if (read_elements(n, kept) < 0)
		return -1;
	FAILPOINT("rules.before");
	nl_begin(&o);
	net_batch_mark(&o, NFNL_MSG_BATCH_BEGIN);
	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
		nl_append(&o, h);
	for (enum net_set s = 0; s < SETS; s++)
		for (uint32_t i = 0; i < n->config->slots; i++)
			if (kept[s][i].generation)
				net_elem_put(&o, n->config, s, i, &kept[s][i], NFT_MSG_NEWSETELEM, NLM_F_CREATE);
	o.h->nlmsg_flags |= NLM_F_ACK;
	net_batch_mark(&o, NFNL_MSG_BATCH_END);
	o.last--; /* as in set.c */
	int r = nl_talk(n->nft, &o, NULL, NULL);
	FAILPOINT("rules.after");
	return r;
}

static void count_rule(void *arg, const struct nlmsghdr *h)
{
	unsigned *count = arg;

	if (h->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE))
		++*count;
}

static int count_rules(const struct net_state *n, uint8_t family, unsigned *count)
{
	struct nl_out o;

	nl_begin(&o);
	struct nfgenmsg *g = nl_message(&o, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE, NLM_F_DUMP, sizeof(*g));
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	mnl_attr_put_strz(o.h, NFTA_RULE_TABLE, NET_TABLE);
	return nl_talk(n->nft, &o, count_rule, count) == 0 || errno == ENOENT ? 0 : -1;
}

int net_rules_repair(struct net_state *n)
{
	unsigned count = 0;

	if (count_rules(n, NFPROTO_BRIDGE, &count) < 0 || count_rules(n, NFPROTO_INET, &count) < 0)
		return -1;
	if (count == rules.count && !n->rules_changed)
		return 0;
	if (count == rules.count)
		log_warn("somebody changed our nftables rules: loading them again");
	else
		log_warn("%u of our %u nftables rules are there: loading them again", count, rules.count);
	memset(n->flowless, 0, sizeof(n->flowless));
	if (net_rules_load(n) < 0)
		return -1;
	n->rules_changed = false;
	return 0;
}

enum status net_elem_add(const struct net_state *n, enum net_set set, const struct net_tag *tag)
{
	int r = net_elem_insert(n, set, tag);

	if (r < 0 && errno == ENOENT) {
		log_warn("table " NET_TABLE " or its sets are gone: loading the rules again");
		r = net_rules_load(n) < 0 ? -1 : net_elem_insert(n, set, tag);
	}
	if (r == 0)
		return ST_OK;
	return errno == EEXIST ? net_elem_exists(n, set, tag) : net_status(errno);
}
