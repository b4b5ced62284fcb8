/* link.c - reads the answer to RTM_GETLINK, and begins each message that changes an interface. */
#include "privhelper/net/link.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/slot.h"

/* ---- reading ---- */

static void read_kind(struct net_link *l, const struct nlattr *kind)
{
	const char *name = mnl_attr_get_payload(kind);
	size_t n = strnlen(name, mnl_attr_get_payload_len(kind));

	l->bridge = n == 6 && memcmp(name, "bridge", n) == 0;
	l->tun = n == 3 && memcmp(name, "tun", n) == 0;
}

/* The kernel leaves out the attributes of an owner and a group that are not set (drivers/net/tun.c,
 * tun_fill_info()). */
static void read_tun(struct net_link *l, const struct nlattr *data)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, data)
	{
		if (mnl_attr_get_type(a) == IFLA_TUN_OWNER && mnl_attr_get_payload_len(a) >= 4)
			l->owner = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == IFLA_TUN_GROUP && mnl_attr_get_payload_len(a) >= 4)
			l->group = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == IFLA_TUN_PERSIST &&
			 mnl_attr_get_payload_len(a) >= 1)
			l->persistent = mnl_attr_get_u8(a);
	}
}

static void read_port(struct net_link *l, const struct nlattr *data)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, data)
	{
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

static void read_info(struct net_link *l, const struct nlattr *info)
{
	const struct nlattr *a, *data = NULL;

	mnl_attr_for_each_nested(a, info)
	{
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

static void read_alias(struct net_link *l, const struct nlattr *alias)
{
	const char *text = mnl_attr_get_payload(alias);
	size_t room = mnl_attr_get_payload_len(alias), n = strnlen(text, room);

	l->ours = n == strlen(SLOT_BRIDGE_ALIAS) && memcmp(text, SLOT_BRIDGE_ALIAS, n) == 0;
	l->tagged = tag_parse(TAG_ALIAS, text, room, &l->tag);
}

void net_link_read(void *arg, const struct nlmsghdr *h)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;
	struct net_link *l = arg;

	if (h->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(h) < sizeof(*i))
		return;
	l->index = i->ifi_index;
	l->up = i->ifi_flags & IFF_UP;
	mnl_attr_for_each(a, h, sizeof(*i))
	{
		if (mnl_attr_get_type(a) == IFLA_LINKINFO)
			read_info(l, a);
		else if (mnl_attr_get_type(a) == IFLA_IFALIAS)
			read_alias(l, a);
		else if (mnl_attr_get_type(a) == IFLA_IFNAME &&
			 mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			l->named = slot_of_tap(mnl_attr_get_str(a));
		else if (mnl_attr_get_type(a) == IFLA_GROUP && mnl_attr_get_payload_len(a) >= 4)
			l->retired = mnl_attr_get_u32(a) == NET_RETIRED;
		else if (mnl_attr_get_type(a) == IFLA_MASTER && mnl_attr_get_payload_len(a) >= 4)
			l->master = (int)mnl_attr_get_u32(a);
	}
}

int net_link_find(struct net_state *n, const char *name, struct net_link *l)
{
	struct nl_out o;

	*l = (struct net_link){ .owner = UINT32_MAX, .group = UINT32_MAX, .named = -1 };
	nl_begin(&n->netlink, &o);
	(void)nl_message(&o, RTM_GETLINK, NLM_F_ACK, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(o.h, IFLA_IFNAME, name);
	mnl_attr_put_u32(o.h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (nl_talk(n->route, &o, net_link_read, l) == 0 || errno == ENODEV)
		return 0;
	return -1;
}

int net_link_find_tap(struct net_state *n, uint32_t slot, struct net_link *l)
{
	char name[16];

	slot_tap(slot, name);
	return net_link_find(n, name, l);
}

bool net_link_is_tap(const struct net_link *l, uint32_t slot)
{
	return l->index && l->tun && l->tagged && l->tag.slot == slot && l->named == (int)slot;
}

/* ---- writing ---- */

void net_link_put(struct nl_out *o, uint16_t type, int family, int index, unsigned flags)
{
	struct ifinfomsg *i = nl_message(o, type, NLM_F_ACK, sizeof(*i));

	i->ifi_family = (unsigned char)family;
	i->ifi_index = index;
	i->ifi_flags = i->ifi_change = flags;
}

void net_link_no_ipv6(struct net_state *n, int index)
{
	struct nl_out o;

	nl_begin(&n->netlink, &o);
	net_link_put(&o, RTM_SETLINK, AF_UNSPEC, index, 0);
	struct nlattr *spec = mnl_attr_nest_start(o.h, IFLA_AF_SPEC),
		      *inet6 = mnl_attr_nest_start(o.h, AF_INET6);
	mnl_attr_put_u8(o.h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(o.h, inet6);
	mnl_attr_nest_end(o.h, spec);
	(void)nl_talk(n->route, &o, NULL, NULL);
}
