/* net.c - the net role: prepares the bridge and the rules as root, then serves the operations on
 * VMs' networks.
 *
 * ROLE net keeps CAP_NET_ADMIN alone.  A VM's network is a tap, an element of the set of guests
 * (its frames pass with the slot's MAC and address alone), and with NAT an element of a second
 * set.  The role reads the owner of each object from the kernel for each request and keeps no list
 * of objects, so its view is right after a crash and after an administrator's `nft flush
 * ruleset`. */
#include "privhelper/net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "privhelper/net/bridge.h"
#include "privhelper/net/conntrack.h"
#include "privhelper/net/events.h"
#include "privhelper/net/root.h"
#include "privhelper/net/ruleset.h"
#include "privhelper/net/set.h"
#include "privhelper/net/sweep.h"
#include "privhelper/tag.h"
#include "privhelper/net/tap.h"
#include "privhelper/policies.h"

static struct net_state *state(struct role *r)
{
	return r->state;
}

/* ---- as root ---- */

/* The file is written only if forwarding is off: the installed sysctl.d(5) file has turned it on,
 * and /proc/sys may be read-only for this service. */
static int enable_forwarding(void)
{
	static const char path[] = "/proc/sys/net/ipv4/ip_forward";
	_cleanup_close_ int now = open(path, O_RDONLY | O_CLOEXEC);
	char on = 0;

	if (now >= 0 && read(now, &on, 1) == 1 && on == '1')
		return 0;
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1) {
		log_errno("%s", path);
		return -1;
	}
	return 0;
}

static int open_sockets(struct net_state *n)
{
	n->route = nl_open(NETLINK_ROUTE);
	n->nft = nl_open(NETLINK_NETFILTER);
	n->ct = nl_open(NETLINK_NETFILTER);
	if (n->route >= 0 && n->nft >= 0 && n->ct >= 0 && net_events_open(n) == 0)
		return 0;
	log_errno("netlink");
	return -1;
}

static int net_prepare(struct role *r)
{
	struct net_state *n = state(r);

	n->config = &r->config;
	n->log = r->log;
	if (open_sockets(n) < 0)
		return -1;
	/* The rules come first, so that the bridge never exists without them. */
	if (net_rules_load(n) < 0) {
		log_errno("nftables rules");
		return -1;
	}
	if (net_bridge_prepare(n) < 0 || enable_forwarding() < 0)
		return -1;
	if (net_conntrack_probe(n) < 0)
		log_errno("conntrack: this kernel can not delete flows");
	return net_root_enter(r->account);
}

static int net_bind(struct role *r, struct binding *bound)
{
	const struct net_state *n = state(r);

	bound[NET_ROUTE] = policy_fd(n->route);
	bound[NET_NFT] = policy_fd(n->nft);
	bound[NET_CT] = policy_fd(n->ct);
	bound[NET_LINK_EVENTS] = policy_fd(n->link_events);
	bound[NET_NFT_EVENTS] = policy_fd(n->nft_events);
	return 0;
}

/* ---- what the kernel shows ---- */

#define DISCONNECTED INT_MAX /* ifindex of a tap that is not in the bridge */

/* The objects of one slot that the kernel shows. */
struct view {
	int ifindex;               /* of the tap; 0: none, or DISCONNECTED */
	struct tag tap, set[SETS]; /* generation 0: no object with a tag of the slot */
};

static int look(struct net_state *n, uint32_t slot, struct view *v)
{
	v->ifindex = net_tap_find(n, slot, &v->tap);
	if (v->ifindex < 0)
		return -1;
	for (enum net_set s = 0; s < SETS; s++)
		if (net_elem_get(n, s, slot, &v->set[s]) < 0)
			return -1;
	return 0;
}

/* Adopt the objects of each slot, and delete the flows of slots without objects, which a crash may
 * have left.  A running VM keeps its flows. */
static int net_scan(struct role *r)
{
	bool unused[SLOT_MAX] = { false };
	struct view v;

	for (uint32_t i = 0; i < r->config.slots; i++) {
		if (look(state(r), i, &v) < 0) {
			log_errno("slot %u", i);
			return -1;
		}
		unused[i] = !v.ifindex && !v.set[SET_GUEST].generation;
		if (v.ifindex)
			role_adopt(r, i, v.tap.generation, v.tap.owner);
		for (enum net_set s = 0; s < SETS; s++)
			role_adopt(r, i, v.set[s].generation, v.set[s].owner);
	}
	/* after an error, net_tap_create() tries again and reports it */
	(void)net_flows_forget(state(r), unused);
	return 0;
}

/* True also after an error of look(): the slot may hold objects, so a newer generation has to
 * wait. */
static bool net_holds(struct role *r, uint32_t slot)
{
	struct view v;

	return look(state(r), slot, &v) < 0 || v.ifindex || v.set[SET_GUEST].generation ||
	       v.set[SET_NAT4].generation;
}

static void list_view(struct rep_list *out, uint32_t slot, const struct view *v)
{
	static const enum object kinds[SETS] = { [SET_GUEST] = OBJ_GUEST, [SET_NAT4] = OBJ_NAT };

	if (v->ifindex)
		(void)role_list_add(out, OBJ_TAP, slot, v->tap.generation, v->tap.owner,
				    v->ifindex == DISCONNECTED ? 0 : (uint64_t)v->ifindex);
	for (enum net_set s = 0; s < SETS; s++)
		if (v->set[s].generation)
			(void)role_list_add(out, kinds[s], slot, v->set[s].generation,
					    v->set[s].owner, 0);
}

/* Put the tap back into the bridge.  LIST reports a tap outside the bridge with ifindex 0: it
 * exists, but is unusable. */
static void mend(struct net_state *n, uint32_t slot, struct view *v)
{
	if (v->ifindex && (!n->bridged || net_tap_repair(n, slot) < 0)) {
		log_warn("slot %u: its tap is not connected", slot);
		v->ifindex = DISCONNECTED;
	}
}

/* The cursor is the next slot.  Each tap is put back into the bridge before it is listed. */
static enum status net_list(struct role *r, struct call *c)
{
	struct rep_list *out = &c->reply.list;
	uint32_t slot = (uint32_t)c->q.list.cursor;
	struct view v;

	if (state(r)->rules_changed)
		return ST_KERNEL;
	for (; slot < r->config.slots && out->objects.n / LIST_FIELDS + 1 + SETS <= LIST_MAX;
	     slot++) {
		if (look(state(r), slot, &v) < 0)
			return net_status(errno);
		mend(state(r), slot, &v);
		list_view(out, slot, &v);
	}
	out->next = slot < r->config.slots ? slot : 0;
	return ST_OK;
}

/* Wait for the next request.  Before it is read, repair the rules and the bridge, so that each
 * handler finds them in order, or n->rules_changed and n->bridged tell it. */
static void net_wait(struct role *r)
{
	struct net_state *n = state(r);

	net_events_wait(n);
	if (net_rules_repair(n) < 0)
		log_errno("nftables rules");
	n->bridged = net_bridge_repair(n) == 0;
}

/* ---- operations ---- */

static enum status tap_create(struct role *r, struct call *c)
{
	const struct tag tag = tag_of(&c->q);
	int ifindex = 0;

	enum status s = net_tap_create(state(r), &tag, &ifindex);
	c->reply.tap_create.ifindex = (uint64_t)ifindex;
	return s;
}

static enum status tap_retire(struct role *r, struct call *c)
{
	return net_tap_retire(state(r), c->q.slot);
}

static enum status tap_sweep(struct role *r, struct call *c)
{
	return net_tap_sweep(state(r), &c->reply.tap_sweep.taps);
}

static enum status guest_allow(struct role *r, struct call *c)
{
	const struct tag tag = tag_of(&c->q);

	state(r)->flowless[c->q.slot] = false;
	return net_elem_add(state(r), SET_GUEST, &tag);
}

static enum status guest_deny(struct role *r, struct call *c)
{
	return net_elem_remove(state(r), SET_GUEST, c->q.slot);
}

static enum status nat_add(struct role *r, struct call *c)
{
	const struct tag tag = tag_of(&c->q);

	return net_elem_add(state(r), SET_NAT4, &tag);
}

static enum status nat_remove(struct role *r, struct call *c)
{
	return net_elem_remove(state(r), SET_NAT4, c->q.slot);
}

static const struct handler handlers[] = {
	{ OP_TAP_CREATE, tap_create }, { OP_TAP_RETIRE, tap_retire },
	{ OP_TAP_SWEEP, tap_sweep },   { OP_GUEST_ALLOW, guest_allow },
	{ OP_GUEST_DENY, guest_deny }, { OP_NAT_ADD, nat_add },
	{ OP_NAT_REMOVE, nat_remove }, { 0, NULL },
};

static struct net_state net;

static struct role role = {
	.id = ROLE_NET,
	.name = "net",
	.policy = &policy_net,
	.handlers = handlers,
	.prepare = net_prepare,
	.bind = net_bind,
	.scan = net_scan,
	.holds = net_holds,
	.wait = net_wait,
	.list = net_list,
	.state = &net,
};

int main(void)
{
	role.account = &role.config.net;
	role_main(&role);
}
