/* sweep.c - the second half of a removal.
 *
 * A removal makes the kernel wait for RCU, some milliseconds whatever it removes.  So a tap is first retired, which is
 * written at the tap (tap.c), and a sweep removes all retired ones at once. */
#include "privhelper/net/sweep.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "common/failpoint.h"
#include "privhelper/net/conntrack.h"
#include "privhelper/net/link.h"

/* What a sweep finds. */
struct sweep {
	struct net_state *n;
	bool slots[SLOT_MAX]; /* retired, with a tap or without */
	int index[SLOT_MAX];  /* of the tap; 0: it has gone meanwhile */
	size_t taps;
	bool mixed;           /* somebody changed which interfaces are in our group */
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

/* @index: 0 for the whole group, for which the kernel waits as for one (net/core/rtnetlink.c, rtnl_group_dellink()). */
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
	/* Somebody may have changed what is in the group meanwhile. */
	s = w.taps ? look_for_retired(n, &after) : ST_OK;
	if (s == ST_OK && w.taps && after.taps)
		s = ST_BUSY;
	if (s != ST_OK)
		return s;
	/* Now that nothing of theirs is on its way any more. */
	s = net_flows_forget(n, w.slots);
	if (s == ST_OK)
		memset(n->retired, 0, sizeof(n->retired));
	return s;
}
