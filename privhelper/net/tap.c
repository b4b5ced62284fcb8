/* tap.c - creates, repairs and retires taps.
 *
 * Theory of operation.  Until TUNSETPERSIST, the kernel removes a tap when the descriptor that made
 * it is closed.  So a new tap gets its owner, its tag and its place in the bridge first and becomes
 * persistent last.  If an earlier step fails, or the role is killed, the kernel removes the tap: a
 * tap without a tag never stays behind.
 *
 * A port of the bridge receives as little as possible.  The guest's MAC is a static entry of the
 * bridge's table, learning is off, and frames for an unknown MAC or a group are not flooded to the
 * port.  Isolated ports exchange no frames (net/bridge/br_private.h, br_skb_isolated()).  The
 * guest's own traffic and broadcasts (ARP of the host) remain. */
#include "privhelper/net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/net/conntrack.h"
#include "privhelper/net/link.h"
#include "privhelper/net/root.h"
#include "privhelper/role/reqlog.h"
#include "proto/slot.h"

int net_tap_find(struct net_state *n, uint32_t slot, struct tag *tag)
{
	struct net_link l;

	if (net_link_find_tap(n, slot, &l) < 0)
		return -1;
	*tag = l.tag;
	return net_link_is_tap(&l, slot) ? l.index : 0;
}

/* ---- writing ---- */

/* Append the message of `bridge link set`: isolated, without learning and flooding. */
static void put_port(struct nl_out *o, int index)
{
	net_link_put(o, RTM_SETLINK, AF_BRIDGE, index, 0);
	struct nlattr *port = mnl_attr_nest_start(o->h, IFLA_PROTINFO);
	mnl_attr_put_u8(o->h, IFLA_BRPORT_ISOLATED, 1);
	mnl_attr_put_u8(o->h, IFLA_BRPORT_LEARNING, 0);
	mnl_attr_put_u8(o->h, IFLA_BRPORT_UNICAST_FLOOD, 0);
	mnl_attr_put_u8(o->h, IFLA_BRPORT_MCAST_FLOOD, 0);
	mnl_attr_nest_end(o->h, port);
}

/* Append the bridge's entry for the guest's MAC.  NUD_NOARP is the state that `bridge fdb` calls
 * static.  The entry goes with the port. */
static void put_fdb(struct nl_out *o, int index, uint32_t slot)
{
	struct ndmsg *d = nl_message(o, RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE,
				     sizeof(*d));
	uint8_t mac[6];

	slot_mac(slot, mac);
	d->ndm_family = AF_BRIDGE;
	d->ndm_ifindex = index;
	d->ndm_state = NUD_NOARP;
	d->ndm_flags = NTF_MASTER;
	mnl_attr_put(o->h, NDA_LLADDR, sizeof(mac), mac);
}

/* Give a tap its tag, its bridge and its flags, and set it up last: no frame passes before all else
 * is in place. */
static int dress(struct net_state *n, int index, const struct tag *tag)
{
	char text[TAG_TEXT];
	struct nl_out o;

	net_link_no_ipv6(n, index);
	if (FAILPOINT_FAILS("tap.dress"))
		return -1;
	tag_format(TAG_ALIAS, tag, text);
	nl_begin(&n->netlink, &o);
	net_link_put(&o, RTM_SETLINK, AF_UNSPEC, index, 0);
	mnl_attr_put_strz(o.h, IFLA_IFALIAS, text);
	mnl_attr_put_u32(o.h, IFLA_MASTER, (uint32_t)n->bridge);
	put_port(&o, index);
	put_fdb(&o, index, tag->slot);
	net_link_put(&o, RTM_SETLINK, AF_UNSPEC, index, IFF_UP);
	return nl_talk(n->route, &o, NULL, NULL);
}

/* Create a tap.  Return: the descriptor that holds it, or -1 with errno; EBUSY: an interface of
 * that name exists. */
static int attach_new(const struct tag *tag, const struct config *c)
{
	struct ifreq r = { .ifr_flags = 0 };
	/* IFF_TUN_EXCL is bit 15, and ifr_flags is short: hence the cast below. */
	const unsigned flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL;
	_cleanup_close_ int fd = open(NET_TUN_NODE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	slot_tap(tag->slot, r.ifr_name);
	r.ifr_flags = (short)flags;
	if (ioctl(fd, TUNSETIFF, &r) < 0)
		return -1;
	if (FAILPOINT_FAILS("tap.made"))
		return -1;
	if (ioctl(fd, TUNSETOWNER, (unsigned long)slot_uid(c, tag->slot)) < 0 ||
	    ioctl(fd, TUNSETGROUP, (unsigned long)slot_uid(c, tag->slot)) < 0)
		return -1;
	return steal_fd(&fd);
}

/* Create the tap, once the slot's address has no flow, so that the slot's new VM receives no packet
 * for the last one.  This relies on no earlier request of the
 * controller. */
static enum status make(struct net_state *n, const struct tag *tag, int *ifindex)
{
	struct net_link l;

	enum status s = net_flows_none(n, tag->slot);
	if (s != ST_OK)
		return s;
	_cleanup_close_ int fd = attach_new(tag, n->config);
	if (fd < 0)
		return net_status(errno);
	if (net_link_find_tap(n, tag->slot, &l) < 0 || !l.index || dress(n, l.index, tag) < 0)
		return net_status(errno);
	if (FAILPOINT_FAILS("tap.dressed") || ioctl(fd, TUNSETPERSIST, 1ul) < 0)
		return net_status(errno);
	FAILPOINT("tap.persistent");
	*ifindex = l.index;
	return ST_OK;
}

int net_tap_repair(struct net_state *n, uint32_t slot)
{
	struct net_link l;

	if (net_link_find_tap(n, slot, &l) < 0 || (net_link_is_tap(&l, slot) && l.retired))
		return -1;
	if (!net_link_is_tap(&l, slot) || (l.up && l.master == n->bridge && l.isolated && !l.hears))
		return 0;
	log_warn("slot %u: another process changed its tap: putting it back into the bridge", slot);
	(void)reqlog_repair(n->log, "tap", (int)slot);
	return dress(n, l.index, &l.tag);
}

enum status net_tap_create(struct net_state *n, const struct tag *tag, int *ifindex)
{
	const uint32_t id = slot_uid(n->config, tag->slot);
	struct net_link l;

	if (n->rules_changed || !n->bridged)
		return ST_KERNEL;
	if (net_link_find_tap(n, tag->slot, &l) < 0)
		return net_status(errno);
	if (l.index && !net_link_is_tap(&l, tag->slot))
		return ST_DENIED;
	if (l.retired || n->retired[tag->slot])
		return ST_BUSY;
	if (!l.index)
		return make(n, tag, ifindex);
	if (l.tag.generation != tag->generation || l.tag.owner != tag->owner)
		return ST_BUSY;
	/* A process with the tap's descriptor can give it another owner; such a tap has to be
	 * removed first. */
	if (!l.persistent || l.owner != id || l.group != id)
		return ST_BUSY;
	*ifindex = l.index;
	return dress(n, l.index, tag) < 0 ? net_status(errno) : ST_OK;
}

/* ---- the first half of a removal; sweep.c has the other ---- */

/* Put the interface into the group of retired taps.  Return: 1; 0: the interface has gone
 * meanwhile; -1 with errno. */
static int retire(struct net_state *n, int index)
{
	struct nl_out o;

	if (FAILPOINT_FAILS("tap.retire"))
		return -1;
	nl_begin(&n->netlink, &o);
	net_link_put(&o, RTM_SETLINK, AF_UNSPEC, index, 0);
	mnl_attr_put_u32(o.h, IFLA_GROUP, NET_RETIRED);
	if (nl_talk(n->route, &o, NULL, NULL) == 0)
		return 1;
	return errno == ENODEV ? 0 : -1;
}

enum status net_tap_retire(struct net_state *n, uint32_t slot)
{
	struct net_link l;

	if (net_link_find_tap(n, slot, &l) < 0)
		return net_status(errno);
	if (l.index && !net_link_is_tap(&l, slot))
		return ST_DENIED;
	int r = l.index ? retire(n, l.index) : 0;
	if (r < 0)
		return net_status(errno);
	n->retired[slot] = r > 0;
	return r > 0 ? ST_OK : net_flows_none(n, slot);
}
