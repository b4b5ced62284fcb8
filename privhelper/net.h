/* net.h - what the net role's files share: its sockets, its tags, and one function for each thing it does. */
#ifndef BANGER_PRIVHELPER_NET_H
#define BANGER_PRIVHELPER_NET_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privhelper/role.h"

#define NET_TABLE "banger" /* of family bridge and of family inet */

/* Who an object belongs to, as the kernel keeps it for us: the text "banger:<slot>:<generation>:<owner>" is the alias
 * of a tap and the comment of a set element. */
#define NET_TAG_PREFIX "banger:"
#define NET_TAG_MAX 48 /* with the NUL */

struct net_tag {
	uint32_t slot, generation, owner;
};

struct net_state {
	const struct config *config;
	int route, nft, ct; /* netlink sockets: NETLINK_ROUTE, and two of NETLINK_NETFILTER */
	int link_events, nft_events; /* and two that only listen: net_events.c */
	uint32_t nft_port;  /* the address of `nft`, which the kernel says with each change that we asked for */
	int bridge;         /* ifindex */
	bool bridged;       /* the bridge was found in order, or made so, when the latest round of LIST began */
	bool rules_changed; /* by somebody else, since we loaded them */
	bool events_left;   /* of nft_events more are waiting; what was dropped behind them is not told any more (netlink(7)) */
	bool flowless[SLOT_MAX]; /* known of a slot: no flow of its address is left, and it can begin none (net_conntrack.c) */
	bool retired[SLOT_MAX]; /* since this start: a tap that somebody takes away, or out of its group, hides none */
};

void net_tag_format(const struct net_tag *t, char out[NET_TAG_MAX]);

/* Return: false when @len bytes at @text (a NUL among them ends it) are anything but what net_tag_format() writes. */
bool net_tag_parse(const char *text, size_t len, struct net_tag *out);

/* The tag of the VM that @q names. */
struct net_tag net_tag_of(const struct request *q);

/* How a failed system call reads in the protocol. */
enum status net_status(int err);

/* ---- net_netlink.c: the transport ---- */

/* One outgoing datagram under construction: netlink messages one after another. */
struct nl_out {
	uint8_t *buf;
	size_t size, used;
	uint32_t first, last;  /* sequence numbers of the messages in it */
	struct nlmsghdr *h;    /* the message under construction */
	bool interrupted;      /* what was dumped changed meanwhile: some of it may be missing (NLM_F_DUMP_INTR) */
};

/* A socket that speaks to the kernel alone.  Return: a descriptor, or -1 with errno. */
int nl_open(int protocol);

/* Start a datagram in the role's one buffer; an unfinished one is dropped. */
void nl_begin(struct nl_out *o);

/* Append a message and return where its fixed header, @extra bytes of zeros, is.  NLM_F_REQUEST is added. */
void *nl_message(struct nl_out *o, uint16_t type, uint16_t flags, size_t extra);

/* Append a copy of a whole message, with a sequence number of this datagram. */
void nl_append(struct nl_out *o, const struct nlmsghdr *h);

/* Room for one message; nl_message() stops the process rather than pass the end of the buffer. */
#define NL_MESSAGE_MAX 2048

typedef void (*nl_fn)(void *arg, const struct nlmsghdr *h);

/**
 * nl_talk() - send a datagram and take in every answer to it
 * @fn:	called for each message that is no acknowledgement; may be NULL
 *
 * The last message must ask for an acknowledgement (NLM_F_ACK) or be a dump.
 * The kernel has put all answers into the socket's buffer when the send
 * returns, or adds to it as we read (dumps): nothing here ever blocks.
 * Return: 0, or -1 with errno: the first error that any message met.
 */
int nl_talk(int fd, struct nl_out *o, nl_fn fn, void *arg);

/* ---- net_link.c: bridge and taps ---- */

/* Make the bridge or find ours, give it its address.  A foreign one of that name is refused.  Return: 0, or -1 (logged). */
int net_bridge_prepare(struct net_state *n);

/* Put it back if somebody took it, its address or its state away; its ports are net_tap_repair()'s.  Return: 0, or -1 with errno. */
int net_bridge_repair(struct net_state *n);

/* The slot's tap, if it carries a tag of ours.  Return: its ifindex, 0 when there is none, -1 with errno. */
int net_tap_find(const struct net_state *n, uint32_t slot, struct net_tag *tag);

/* Make the tap of @tag's VM, once no flow of the slot's is left, or find it; nothing is left of a failed one. */
enum status net_tap_create(struct net_state *n, const struct net_tag *tag, int *ifindex);

/* Put the slot's tap back into the bridge, up, deaf and apart, if somebody changed that.  Return: 0, or -1 with errno. */
int net_tap_repair(const struct net_state *n, uint32_t slot);

/**
 * net_tap_retire() - have the slot's tap go with the next net_tap_sweep()
 *
 * What is retired is written at the tap itself, so that a crash between the
 * two forgets nothing.  Without a tap, the slot's flows are forgotten here.
 * ST_DENIED: an interface of that name that is not ours.
 */
enum status net_tap_retire(struct net_state *n, uint32_t slot);

/**
 * net_tap_sweep() - remove the taps of all retired slots, then forget their flows
 * @taps:	out: how many there were
 *
 * However many: the kernel waits little longer than for one (RCU), and walks
 * through its table of flows once.  What fails leaves all of them retired:
 * whoever retires its slot again hears of its own alone.
 * ST_BUSY: interfaces came or went as we looked; ask again.
 */
enum status net_tap_sweep(struct net_state *n, uint64_t *taps);

/* ---- net_nft.c: set elements ---- */

enum net_set { SET_GUEST, SET_NAT4, SETS };

/* Names, families and keys of the two sets; see net_rules.c. */
struct net_set_info {
	const char *name;
	uint8_t family;
	uint32_t key_type, key_len; /* what nft(8) calls the type: six bits each */
};

#define NET_TYPE_IPADDR 7u /* as nft(8) calls it */

const struct net_set_info *net_set_info(enum net_set set);

/* Messages of the nftables batch protocol (NFNL_MSG_BATCH_BEGIN, _END) and one element of it. */
void net_batch_mark(struct nl_out *o, uint16_t type);
void net_elem_put(struct nl_out *o, const struct config *c, enum net_set set, uint32_t slot, const struct net_tag *tag,
		  uint16_t type, uint16_t flags);

/* The slot's element.  Return: 1 with its tag (generation 0: it has none of ours), 0 absent, -1 with errno. */
int net_elem_get(const struct net_state *n, enum net_set set, uint32_t slot, struct net_tag *tag);

/* Idempotent; an add finds the rules gone and puts them back. */
enum status net_elem_add(const struct net_state *n, enum net_set set, const struct net_tag *tag);
enum status net_elem_remove(const struct net_state *n, enum net_set set, uint32_t slot);

/* ---- net_rules.c: what is the same for all VMs ---- */

/* Encode the rules, once, while memory may still be had.  Return: 0, or -1 (logged). */
int net_rules_prepare(const struct config *c);

/**
 * net_rules_load() - replace both tables in one transaction, with the elements of VMs that are there now
 *
 * No packet meets half of it, and no VM loses its network.  Return: 0, or -1 with errno.
 */
int net_rules_load(const struct net_state *n);

/* Load them again if somebody took some away (nft flush ruleset) or changed them.  Return: 0, or -1 with errno. */
int net_rules_repair(struct net_state *n);

/* ---- net_conntrack.c ---- */

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
int net_conntrack_probe(const struct net_state *n);

/* ---- net_events.c ---- */

/* Listen to what the kernel says of links and of nftables.  Return: 0, or -1 with errno. */
int net_events_open(struct net_state *n);

/* Take in what was said of the rules so far: once somebody else has changed them, no slot counts as flowless. */
void net_events_of_rules(struct net_state *n);

/**
 * net_wait() - wait for the next request, and meanwhile for somebody else's `ip link del` or `nft flush ruleset`
 *
 * One that takes something of ours away is told at WAKE_FD; what it was, the controller finds out as at any other time.
 */
void net_wait(struct role *r);

/* ---- net_root.c ---- */

/* Where the one node is that the role may open, in the root that net_root_enter() makes. */
#define NET_TUN_NODE "/tun"

/* Namespaces (but not of the network) and a root with nothing but NET_TUN_NODE.  Return: 0, or -1 (logged). */
int net_root_enter(const struct account *a);

#endif
