/* sweep.c - removes all retired taps at once, the second half of a tap's removal.
 *
 * For each request that removes interfaces, the kernel waits for RCU: some milliseconds, for one
 * interface or many.  So tap.c only retires a tap, by its interface group, and a sweep removes all
 * retired taps in one request. */
#include "privhelper/net/sweep.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "common/failpoint.h"
#include "privhelper/net/conntrack.h"
#include "privhelper/net/link.h"

/* The result of one scan of all interfaces. */
struct sweep {
	struct net_state *n;
	bool slots[SLOT_MAX]; /* retired slots, with a tap or without */
	int index[SLOT_MAX];  /* ifindex of the slot's tap; 0: it has gone meanwhile */
	size_t taps;
	/* the group and our retired taps differ: another process changed the group */
	bool mixed;
};

static void see(void *arg, const struct nlmsghdr *h)
{
	struct sweep *w = arg;
	struct net_link l = { .named = -1 };

	net_link_read(&l, h);
	const uint32_t slot = l.tag.slot;
	const bool goes = net_link_is_tap(&l, slot) && (l.retired || w->n->retired[slot]);
	w->mixed |= l.retired != goes;
	if (!goes)
		return;
	w->taps += !w->index[slot];
	w->slots[slot] = true;
	w->index[slot] = l.index;
}

static enum status look_for_retired(struct net_state *n, struct sweep *w)
{
	struct nl_out o;

	*w = (struct sweep){ .n = n };
	memcpy(w->slots, n->retired, sizeof(w->slots));
	nl_begin(&n->netlink, &o);
	(void)nl_message(&o, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(o.h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (nl_talk(n->route, &o, see, w) < 0)
		return net_status(errno);
	return o.interrupted ? ST_BUSY : ST_OK;
}

/* Delete one interface, or with @index 0 the whole group, for which the kernel waits once
 * (net/core/rtnetlink.c, rtnl_group_dellink()). */
static int delete_links(struct net_state *n, int index)
{
	struct nl_out o;

	if (FAILPOINT_FAILS("tap.delete"))
		return -1;
	nl_begin(&n->netlink, &o);
	net_link_put(&o, RTM_DELLINK, AF_UNSPEC, index, 0);
	if (!index)
		mnl_attr_put_u32(o.h, IFLA_GROUP, NET_RETIRED);
	return nl_talk(n->route, &o, NULL, NULL) < 0 && errno != ENODEV ? -1 : 0;
}

static int delete_each(struct net_state *n, const struct sweep *w)
{
	for (uint32_t slot = 0; slot < SLOT_MAX; slot++)
		if (w->index[slot] && delete_links(n, w->index[slot]) < 0)
			return -1;
	return 0;
}

enum status net_tap_sweep(struct net_state *n, uint64_t *taps)
{
	struct sweep w, after;
	enum status s = look_for_retired(n, &w);

	if (s != ST_OK)
		return s;
	*taps = w.taps;
	memcpy(n->retired, w.slots, sizeof(n->retired));
	if (w.taps && (w.mixed ? delete_each(n, &w) : delete_links(n, 0)) < 0)
		return net_status(errno);
	/* Another process may have changed the group meanwhile. */
	s = w.taps ? look_for_retired(n, &after) : ST_OK;
	if (s == ST_OK && w.taps && after.taps)
		s = ST_BUSY;
	if (s != ST_OK)
		return s;
	/* The taps are gone, so no packet of theirs can begin a flow behind the walk. */
	s = net_flows_forget(n, w.slots);
	if (s == ST_OK)
		memset(n->retired, 0, sizeof(n->retired));
	return s;
}
