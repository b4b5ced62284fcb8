/* Theory of operation.  A tap belongs to the process that made it until TUNSETPERSIST, and goes with it.  So a new tap
 * gets its owner, its tag and its place in the bridge first and becomes persistent last: whatever fails or kills us
 * before that, the kernel takes the tap away, and no tap without a tag stays behind.
 *
 * A port of the bridge is as deaf as it can be.  Its guest's MAC is a static entry of the bridge's table, learning is
 * off, and frames for an unknown MAC or a group are not flooded to it; isolated ports do not hear each other at all
 * (net/bridge/br_private.h, br_skb_isolated()).  What remains is the guest's own traffic and broadcast: ARP of the host.
 *
 * A removal makes the kernel wait for RCU, some milliseconds whatever it removes.  So a tap is first retired, which is
 * written at the tap, and a sweep removes all retired ones at once. */
#include "privhelper/net.h"

#include <arpa/inet.h>
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

/* The group of interfaces (IFLA_GROUP) that a tap is in once it may go; "bgr" and a zero. */
#define RETIRED 0x62677200u

/* What we ask about an interface. */
struct link {
	int index; /* 0: there is none */
	int master; /* ifindex of the bridge that it is a port of; 0: none */
	int named;  /* slot whose tap has this name; -1: none */
	bool up, bridge, tun, ours, tagged, persistent, retired;
	bool isolated, hears; /* of a port; it hears what is not for it, or is learned from */
	uint32_t owner, group;
	struct net_tag tag;
};

/* ---- reading ---- */

static void read_kind(struct link *l, const struct nlattr *kind)
{
	const char *name = mnl_attr_get_payload(kind);
	size_t n = strnlen(name, mnl_attr_get_payload_len(kind));

	l->bridge = n == 6 && memcmp(name, "bridge", n) == 0;
	l->tun = n == 3 && memcmp(name, "tun", n) == 0;
}

/* drivers/net/tun.c, tun_fill_info(): owner and group are left out when there is none. */
static void read_tun(struct link *l, const struct nlattr *data)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, data) {
		if (mnl_attr_get_type(a) == IFLA_TUN_OWNER && mnl_attr_get_payload_len(a) >= 4)
			l->owner = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == IFLA_TUN_GROUP && mnl_attr_get_payload_len(a) >= 4)
			l->group = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == IFLA_TUN_PERSIST && mnl_attr_get_payload_len(a) >= 1)
			l->persistent = mnl_attr_get_u8(a);
	}
}

static void read_port(struct link *l, const struct nlattr *data)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, data) {
		bool on = mnl_attr_get_payload_len(a) >= 1 && mnl_attr_get_u8(a);
		switch (mnl_attr_get_type(a)) {
		case IFLA_BRPORT_ISOLATED:
			l->isolated = on;
			break;
		case IFLA_BRPORT_LEARNING:
		case IFLA_BRPORT_UNICAST_FLOOD:
		case IFLA_BRPORT_MCAST_FLOOD:
			l->hears |= on;
		}
	}
}

static void read_info(struct link *l, const struct nlattr *info)
{
	const struct nlattr *a, *data = NULL;

	mnl_attr_for_each_nested(a, info) {
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			read_kind(l, a);
		else if (mnl_attr_get_type(a) == IFLA_INFO_DATA)
			data = a;
		else if (mnl_attr_get_type(a) == IFLA_INFO_SLAVE_DATA)
			read_port(l, a);
	}
	if (l->tun && data)
		read_tun(l, data);
}

static void read_alias(struct link *l, const struct nlattr *alias)
{
	const char *text = mnl_attr_get_payload(alias);
	size_t room = mnl_attr_get_payload_len(alias), n = strnlen(text, room);

	l->ours = n == strlen(SLOT_BRIDGE_ALIAS) && memcmp(text, SLOT_BRIDGE_ALIAS, n) == 0;
	l->tagged = net_tag_parse(text, room, &l->tag);
}

static void read_link(void *arg, const struct nlmsghdr *h)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;
	struct link *l = arg;

	if (h->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(h) < sizeof(*i))
		return;
	l->index = i->ifi_index;
	l->up = i->ifi_flags & IFF_UP;
	mnl_attr_for_each(a, h, sizeof(*i)) {
		if (mnl_attr_get_type(a) == IFLA_LINKINFO)
			read_info(l, a);
		else if (mnl_attr_get_type(a) == IFLA_IFALIAS)
			read_alias(l, a);
		else if (mnl_attr_get_type(a) == IFLA_IFNAME && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			l->named = slot_of_tap(mnl_attr_get_str(a));
		else if (mnl_attr_get_type(a) == IFLA_GROUP && mnl_attr_get_payload_len(a) >= 4)
			l->retired = mnl_attr_get_u32(a) == RETIRED;
		else if (mnl_attr_get_type(a) == IFLA_MASTER && mnl_attr_get_payload_len(a) >= 4)
			l->master = (int)mnl_attr_get_u32(a);
	}
}

/* Return: 0, also when there is none (index 0), or -1 with errno. */
static int find(const struct net_state *n, const char *name, struct link *l)
{
	struct nl_out o;

	*l = (struct link){ .owner = UINT32_MAX, .group = UINT32_MAX, .named = -1 };
	nl_begin(&o);
	(void)nl_message(&o, RTM_GETLINK, NLM_F_ACK, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(o.h, IFLA_IFNAME, name);
	mnl_attr_put_u32(o.h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (nl_talk(n->route, &o, read_link, l) == 0 || errno == ENODEV)
		return 0;
	return -1;
}

static int find_tap(const struct net_state *n, uint32_t slot, struct link *l)
{
	char name[16];

	slot_tap(slot, name);
	return find(n, name, l);
}

/* One of ours: name, kind and tag agree.  The kernel finds interfaces by their other names too (ip-link(8), altname). */
static bool is_ours(const struct link *l, uint32_t slot)
{
	return l->index && l->tun && l->tagged && l->tag.slot == slot && l->named == (int)slot;
}

int net_tap_find(const struct net_state *n, uint32_t slot, struct net_tag *tag)
{
	struct link l;

	if (find_tap(n, slot, &l) < 0)
		return -1;
	*tag = l.tag;
	return is_ours(&l, slot) ? l.index : 0;
}

/* ---- writing ---- */

static void put_link(struct nl_out *o, uint16_t type, int family, int index, unsigned flags)
{
	struct ifinfomsg *i = nl_message(o, type, NLM_F_ACK, sizeof(*i));

	i->ifi_family = (unsigned char)family;
	i->ifi_index = index;
	i->ifi_flags = i->ifi_change = flags;
}

/* The attributes that `bridge link set` sets, by the message that it sends. */
static void put_port(struct nl_out *o, int index)
{
	put_link(o, RTM_SETLINK, AF_BRIDGE, index, 0);
	struct nlattr *port = mnl_attr_nest_start(o->h, IFLA_PROTINFO);
	mnl_attr_put_u8(o->h, IFLA_BRPORT_ISOLATED, 1);
	mnl_attr_put_u8(o->h, IFLA_BRPORT_LEARNING, 0);
	mnl_attr_put_u8(o->h, IFLA_BRPORT_UNICAST_FLOOD, 0);
	mnl_attr_put_u8(o->h, IFLA_BRPORT_MCAST_FLOOD, 0);
	mnl_attr_nest_end(o->h, port);
}

/* NUD_NOARP is what `bridge fdb` calls static; it goes with the port. */
static void put_fdb(struct nl_out *o, int index, uint32_t slot)
{
	struct ndmsg *d = nl_message(o, RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, sizeof(*d));
	uint8_t mac[6];

	slot_mac(slot, mac);
	d->ndm_family = AF_BRIDGE;
	d->ndm_ifindex = index;
	d->ndm_state = NUD_NOARP;
	d->ndm_flags = NTF_MASTER;
	mnl_attr_put(o->h, NDA_LLADDR, sizeof(mac), mac);
}

/* The host talks no IPv6 on this interface: no address of its own, so no solicitations (addrconf.c).  A kernel without
 * IPv6 refuses the request, which is as good. */
static void no_ipv6(const struct net_state *n, int index)
{
	struct nl_out o;

	nl_begin(&o);
	put_link(&o, RTM_SETLINK, AF_UNSPEC, index, 0);
	struct nlattr *spec = mnl_attr_nest_start(o.h, IFLA_AF_SPEC), *inet6 = mnl_attr_nest_start(o.h, AF_INET6);
	mnl_attr_put_u8(o.h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(o.h, inet6);
	mnl_attr_nest_end(o.h, spec);
	(void)nl_talk(n->route, &o, NULL, NULL);
}

/* Tag, place and state of a tap, the last first to matter: up comes when all else is there. */
static int dress(const struct net_state *n, int index, const struct net_tag *tag)
{
	char text[NET_TAG_MAX];
	struct nl_out o;

	no_ipv6(n, index);
	if (FAILPOINT_FAILS("tap.dress"))
		return -1;
	net_tag_format(tag, text);
	nl_begin(&o);
	put_link(&o, RTM_SETLINK, AF_UNSPEC, index, 0);
	mnl_attr_put_strz(o.h, IFLA_IFALIAS, text);
	mnl_attr_put_u32(o.h, IFLA_MASTER, (uint32_t)n->bridge);
	put_port(&o, index);
	put_fdb(&o, index, tag->slot);
	put_link(&o, RTM_SETLINK, AF_UNSPEC, index, IFF_UP);
	return nl_talk(n->route, &o, NULL, NULL);
}

/* A new tap on a descriptor of its own; EBUSY when an interface of that name is there. */
static int attach_new(const struct net_tag *tag, const struct config *c)
{
	struct ifreq r = { .ifr_flags = 0 };
	/* The constant has bit 15, ifr_flags is short. */
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

/* Whatever the controller asked for before, or somebody took away: the new holder receives nothing that is the last one's. */
static enum status make(struct net_state *n, const struct net_tag *tag, int *ifindex)
{
	struct link l;

	/* A large change of somebody else's is there before it is told; rules that can not be loaded let nobody in. */
	if (net_rules_repair(n) < 0)
		return net_status(errno);
	enum status s = net_flows_none(n, tag->slot);
	if (s != ST_OK)
		return s;
	_cleanup_close_ int fd = attach_new(tag, n->config);
	if (fd < 0)
		return net_status(errno);
	if (find_tap(n, tag->slot, &l) < 0 || !l.index || dress(n, l.index, tag) < 0)
		return net_status(errno);
	if (FAILPOINT_FAILS("tap.dressed") || ioctl(fd, TUNSETPERSIST, 1ul) < 0)
		return net_status(errno);
	FAILPOINT("tap.persistent");
	*ifindex = l.index;
	return ST_OK;
}

int net_tap_repair(const struct net_state *n, uint32_t slot)
{
	struct link l;

	if (find_tap(n, slot, &l) < 0)
		return -1;
	if (is_ours(&l, slot) && l.retired) {
		errno = EBUSY;
		return -1;
	}
	if (!is_ours(&l, slot) || (l.up && l.master == n->bridge && l.isolated && !l.hears))
		return 0;
	log_warn("slot %u: its tap is not as it was made: putting it back into the bridge", slot);
	return dress(n, l.index, &l.tag);
}

enum status net_tap_create(struct net_state *n, const struct net_tag *tag, int *ifindex)
{
	const uint32_t id = slot_uid(n->config, tag->slot);
	struct link l;

	if (net_bridge_repair(n) < 0 || find_tap(n, tag->slot, &l) < 0)
		return net_status(errno);
	if (l.index && !is_ours(&l, tag->slot))
		return ST_DENIED;
	if (l.retired || n->retired[tag->slot])
		return ST_BUSY;
	if (!l.index)
		return make(n, tag, ifindex);
	if (l.tag.generation != tag->generation || l.tag.owner != tag->owner)
		return ST_BUSY;
	/* Who holds a tap's descriptor can give it another owner: such a tap has to be removed first. */
	if (!l.persistent || l.owner != id || l.group != id)
		return ST_BUSY;
	*ifindex = l.index;
	return dress(n, l.index, tag) < 0 ? net_status(errno) : ST_OK;
}

/* ---- removal: retired one by one, swept together ---- */

/* Return: 1, 0 when the interface has gone meanwhile, or -1 with errno. */
static int retire(const struct net_state *n, int index)
{
	struct nl_out o;

	if (FAILPOINT_FAILS("tap.retire"))
		return -1;
	nl_begin(&o);
	put_link(&o, RTM_SETLINK, AF_UNSPEC, index, 0);
	mnl_attr_put_u32(o.h, IFLA_GROUP, RETIRED);
	if (nl_talk(n->route, &o, NULL, NULL) == 0)
		return 1;
	return errno == ENODEV ? 0 : -1;
}

enum status net_tap_retire(struct net_state *n, uint32_t slot)
{
	struct link l;

	if (find_tap(n, slot, &l) < 0)
		return net_status(errno);
	if (l.index && !is_ours(&l, slot))
		return ST_DENIED;
	int r = l.index ? retire(n, l.index) : 0;
	if (r < 0)
		return net_status(errno);
	n->retired[slot] = r > 0;
	return r > 0 ? ST_OK : net_flows_none(n, slot);
}

/* What a sweep finds. */
struct sweep {
	const struct net_state *n;
	bool slots[SLOT_MAX]; /* retired, with a tap or without */
	int index[SLOT_MAX];  /* of the tap; 0: it has gone meanwhile */
	size_t taps;
	bool mixed;           /* somebody changed which interfaces are in our group */
};

static void see(void *arg, const struct nlmsghdr *h)
{
	struct sweep *w = arg;
	struct link l = { .named = -1 };

	read_link(&l, h);
	const uint32_t slot = l.tag.slot;
	const bool goes = is_ours(&l, slot) && (l.retired || w->n->retired[slot]);
	w->mixed |= l.retired != goes;
	if (!goes)
		return;
	w->taps += !w->index[slot];
	w->slots[slot] = true;
	w->index[slot] = l.index;
}

static enum status look_for_retired(const struct net_state *n, struct sweep *w)
{
	struct nl_out o;

	*w = (struct sweep){ .n = n };
	memcpy(w->slots, n->retired, sizeof(w->slots));
	nl_begin(&o);
	(void)nl_message(&o, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(o.h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (nl_talk(n->route, &o, see, w) < 0)
		return net_status(errno);
	return o.interrupted ? ST_BUSY : ST_OK;
}

/* @index: 0 for the whole group, for which the kernel waits as for one (net/core/rtnetlink.c, rtnl_group_dellink()). */
static int delete_links(const struct net_state *n, int index)
{
	struct nl_out o;

	if (FAILPOINT_FAILS("tap.delete"))
		return -1;
	nl_begin(&o);
	put_link(&o, RTM_DELLINK, AF_UNSPEC, index, 0);
	if (!index)
		mnl_attr_put_u32(o.h, IFLA_GROUP, RETIRED);
	return nl_talk(n->route, &o, NULL, NULL) < 0 && errno != ENODEV ? -1 : 0;
}

static int delete_each(const struct net_state *n, const struct sweep *w)
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

/* ---- the bridge ---- */

/* A name under the taps' prefix would be caught by the rules for taps. */
static bool name_is_free_for_us(const char *name)
{
	return strncmp(name, SLOT_TAP_PREFIX, strlen(SLOT_TAP_PREFIX)) != 0;
}

/* The alias is no attribute of creation (net/core/rtnetlink.c, rtnl_create_link()), but goes in the same system call. */
static int make_bridge(const struct net_state *n)
{
	/* An address of its own, or the bridge takes that of whichever tap is there. */
	static const uint8_t mac[6] = { 0x02, 0xfc, 0xff, 0, 0, 1 };
	struct nl_out o;

	FAILPOINT("bridge.make");
	nl_begin(&o);
	(void)nl_message(&o, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(o.h, IFLA_IFNAME, n->config->bridge);
	mnl_attr_put(o.h, IFLA_ADDRESS, sizeof(mac), mac);
	struct nlattr *info = mnl_attr_nest_start(o.h, IFLA_LINKINFO);
	mnl_attr_put_strz(o.h, IFLA_INFO_KIND, "bridge");
	struct nlattr *data = mnl_attr_nest_start(o.h, IFLA_INFO_DATA);
	mnl_attr_put_u8(o.h, IFLA_BR_MCAST_SNOOPING, 0);
	mnl_attr_nest_end(o.h, data);
	mnl_attr_nest_end(o.h, info);
	put_link(&o, RTM_SETLINK, AF_UNSPEC, 0, 0);
	mnl_attr_put_strz(o.h, IFLA_IFNAME, n->config->bridge);
	mnl_attr_put_strz(o.h, IFLA_IFALIAS, SLOT_BRIDGE_ALIAS);
	return nl_talk(n->route, &o, NULL, NULL);
}

static int address_bridge(const struct net_state *n)
{
	struct nl_out o;

	FAILPOINT("bridge.address");
	nl_begin(&o);
	struct ifaddrmsg *a = nl_message(&o, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(*a));
	a->ifa_family = AF_INET;
	a->ifa_prefixlen = (unsigned char)n->config->prefix;
	a->ifa_index = (unsigned)n->bridge;
	mnl_attr_put_u32(o.h, IFA_LOCAL, htonl(slot_gateway(n->config)));
	mnl_attr_put_u32(o.h, IFA_ADDRESS, htonl(slot_gateway(n->config)));
	return nl_talk(n->route, &o, NULL, NULL) == 0 || errno == EEXIST ? 0 : -1;
}

static int raise_bridge(const struct net_state *n)
{
	struct nl_out o;

	FAILPOINT("bridge.up");
	nl_begin(&o);
	put_link(&o, RTM_SETLINK, AF_UNSPEC, n->bridge, IFF_UP);
	return nl_talk(n->route, &o, NULL, NULL);
}

/* Find it or make it.  Return: 0, or -1 (logged). */
static int have_bridge(struct net_state *n, struct link *l)
{
	const char *name = n->config->bridge;

	if (find(n, name, l) < 0 || (!l->index && (make_bridge(n) < 0 || find(n, name, l) < 0))) {
		log_errno("bridge %s", name);
		return -1;
	}
	if (!l->bridge || !l->ours) {
		log_error("bridge %s: an interface of that name is there and is not ours; remove it, or name another "
			  "bridge in the configuration", name);
		errno = EEXIST;
		return -1;
	}
	n->bridge = l->index;
	return 0;
}

int net_bridge_prepare(struct net_state *n)
{
	const char *name = n->config->bridge;
	struct link l;

	if (!name_is_free_for_us(name)) {
		log_error("bridge %s: names that begin with \"" SLOT_TAP_PREFIX "\" are for taps", name);
		return -1;
	}
	if (have_bridge(n, &l) < 0)
		return -1;
	FAILPOINT("bridge.made");
	no_ipv6(n, n->bridge);
	if (address_bridge(n) < 0 || raise_bridge(n) < 0) {
		log_errno("bridge %s: address", name);
		return -1;
	}
	return 0;
}

int net_bridge_repair(struct net_state *n)
{
	const int before = n->bridge;
	struct link l;

	if (have_bridge(n, &l) < 0)
		return -1;
	if (n->bridge == before && l.up)
		return address_bridge(n);
	log_warn("bridge %s was %s: it is put back", n->config->bridge, n->bridge == before ? "down" : "gone");
	no_ipv6(n, n->bridge);
	return address_bridge(n) < 0 ? -1 : raise_bridge(n);
}
