/* bridge.c - creates the bridge of all guests at the start, and repairs it when another process
 * changed it. */
#include "privhelper/net/bridge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/net/link.h"
#include "privhelper/role/reqlog.h"

/* The rules for taps would match a bridge whose name has the taps' prefix. */
static bool name_is_free_for_us(const char *name)
{
	return strncmp(name, SLOT_TAP_PREFIX, strlen(SLOT_TAP_PREFIX)) != 0;
}

/* The alias needs a message of its own: it is no attribute of creation (net/core/rtnetlink.c,
 * rtnl_create_link()).  Both messages go in one system call. */
static int make_bridge(struct net_state *n)
{
	/* Without a MAC of its own, the bridge takes the MAC of one of its taps. */
	static const uint8_t mac[6] = { 0x02, 0xfc, 0xff, 0, 0, 1 };
	struct nl_out o;

	FAILPOINT("bridge.make");
	nl_begin(&n->netlink, &o);
	(void)nl_message(&o, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
			 sizeof(struct ifinfomsg));
	mnl_attr_put_strz(o.h, IFLA_IFNAME, n->config->bridge);
	mnl_attr_put(o.h, IFLA_ADDRESS, sizeof(mac), mac);
	struct nlattr *info = mnl_attr_nest_start(o.h, IFLA_LINKINFO);
	mnl_attr_put_strz(o.h, IFLA_INFO_KIND, "bridge");
	struct nlattr *data = mnl_attr_nest_start(o.h, IFLA_INFO_DATA);
	mnl_attr_put_u8(o.h, IFLA_BR_MCAST_SNOOPING, 0);
	mnl_attr_nest_end(o.h, data);
	mnl_attr_nest_end(o.h, info);
	net_link_put(&o, RTM_SETLINK, AF_UNSPEC, 0, 0);
	mnl_attr_put_strz(o.h, IFLA_IFNAME, n->config->bridge);
	mnl_attr_put_strz(o.h, IFLA_IFALIAS, SLOT_BRIDGE_ALIAS);
	return nl_talk(n->route, &o, NULL, NULL);
}

static int address_bridge(struct net_state *n)
{
	struct nl_out o;

	FAILPOINT("bridge.address");
	nl_begin(&n->netlink, &o);
	struct ifaddrmsg *a = nl_message(&o, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
					 sizeof(*a));
	a->ifa_family = AF_INET;
	a->ifa_prefixlen = (unsigned char)n->config->prefix;
	a->ifa_index = (unsigned)n->bridge;
	mnl_attr_put_u32(o.h, IFA_LOCAL, htonl(slot_gateway(n->config)));
	mnl_attr_put_u32(o.h, IFA_ADDRESS, htonl(slot_gateway(n->config)));
	return nl_talk(n->route, &o, NULL, NULL) == 0 || errno == EEXIST ? 0 : -1;
}

static int raise_bridge(struct net_state *n)
{
	struct nl_out o;

	FAILPOINT("bridge.up");
	nl_begin(&n->netlink, &o);
	net_link_put(&o, RTM_SETLINK, AF_UNSPEC, n->bridge, IFF_UP);
	return nl_talk(n->route, &o, NULL, NULL);
}

/* Find the bridge or create it.  Return: 0, or -1 with errno (logged). */
static int have_bridge(struct net_state *n, struct net_link *l)
{
	const char *name = n->config->bridge;

	if (net_link_find(n, name, l) < 0 ||
	    (!l->index && (make_bridge(n) < 0 || net_link_find(n, name, l) < 0))) {
		log_errno("bridge %s", name);
		return -1;
	}
	if (!l->bridge || !l->ours) {
		log_error("bridge %s: an interface of that name exists and is not ours; remove it, "
			  "or name another bridge in the configuration",
			  name);
		errno = EEXIST;
		return -1;
	}
	n->bridge = l->index;
	return 0;
}

int net_bridge_prepare(struct net_state *n)
{
	const char *name = n->config->bridge;
	struct net_link l;

	if (!name_is_free_for_us(name)) {
		log_error("bridge %s: names that begin with \"" SLOT_TAP_PREFIX "\" are for taps",
			  name);
		return -1;
	}
	if (have_bridge(n, &l) < 0)
		return -1;
	FAILPOINT("bridge.made");
	net_link_no_ipv6(n, n->bridge);
	if (address_bridge(n) < 0 || raise_bridge(n) < 0) {
		log_errno("bridge %s: address", name);
		return -1;
	}
	return 0;
}

int net_bridge_repair(struct net_state *n)
{
	const int before = n->bridge;
	struct net_link l;

	/* As at the start: no bridge without our rules. */
	if (n->rules_changed || have_bridge(n, &l) < 0)
		return -1;
	if (n->bridge == before && l.up)
		return address_bridge(n);
	log_warn("bridge %s was %s: repairing it", n->config->bridge,
		 n->bridge == before ? "down" : "gone");
	(void)reqlog_repair(n->log, "bridge", -1);
	net_link_no_ipv6(n, n->bridge);
	return address_bridge(n) < 0 ? -1 : raise_bridge(n);
}
