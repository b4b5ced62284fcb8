/* doctor_net.c - checks the host's own network settings and firewalls, which guests' traffic passes
 * and banger does not change. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "controller/cli/doctor.h"
#include "controller/cli/proc.h"
#include "proto/slot.h"

/* Check IPv4 forwarding.  The service turns it on when it starts.  If another program turns it off
 * later, guests with NAT lose the outside. */
static void check_forwarding(struct doctor *d)
{
	_cleanup_close_ int fd = open("/proc/sys/net/ipv4/ip_forward", O_RDONLY | O_CLOEXEC);
	char on = 0;

	if (fd < 0 || read(fd, &on, 1) != 1)
		return;
	if (on == '1')
		doctor_say(d, "forwarding", "PASS", "packets are forwarded", "");
	else
		doctor_say(d, "forwarding", "FAIL",
			   "net.ipv4.ip_forward is 0: guests with NAT reach nothing",
			   "sysctl net.ipv4.ip_forward=1, and find the program that turned it off");
}

/* Return: true if the chain in @entry may drop packets that our table accepted: Docker's does so by
 * its policy, firewalld's by a rule.  @table, @name: out: its names, borrowed from @entry. */
static bool may_drop(const json_t *entry, const char **table, const char **name)
{
	const char *family = "", *hook = "", *policy = "";

	if (json_unpack((json_t *)entry, "{s:{s:s, s:s, s:s, s:s, s:s}}", "chain", "family",
			&family, "table", table, "name", name, "hook", &hook, "policy",
			&policy) < 0)
		return false;
	if (strcmp(hook, "forward") != 0 ||
	    (strcmp(family, "ip") != 0 && strcmp(family, "inet") != 0) ||
	    strcmp(*table, "banger") == 0)
		return false;
	return strcmp(policy, "drop") == 0 || strcmp(*table, "firewalld") == 0;
}

/* Return: true if the FORWARD chain of iptables-legacy may drop packets. nft does not show these
 * tables.  Listing a table would create it, so only existing tables are listed. */
static bool legacy_may_drop(struct doctor *d)
{
	static const char *const argv[] = { "iptables-legacy", "-S", "FORWARD", NULL };
	_cleanup_fclose_ FILE *f = fopen("/proc/net/ip_tables_names", "re");
	char line[64], rules[8192] = "";
	const struct proc_io io = { .capture = rules,
				    .capture_size = sizeof(rules),
				    .null_err = true };
	struct error e;
	bool there = false;

	while (f && fgets(line, sizeof(line), f))
		there |= strcmp(line, "filter\n") == 0;
	if (!there || !proc_exists(argv[0]) || proc_run(d->c, argv, &io, &e) != 0)
		return false;
	return strstr(rules, "-P FORWARD DROP\n") || strstr(rules, "-j DROP") ||
	       strstr(rules, "-j REJECT");
}

/* Warn of other firewalls' rules, which banger never changes.  The kernel shows the rules only to
 * root. */
static void check_firewall(struct doctor *d)
{
	enum { ROOM = 1 << 18 };
	const char *const argv[] = { "nft", "-j", "list", "chains", NULL };
	_cleanup_free_ char *text = calloc(1, ROOM);
	const struct proc_io io = { .capture = text, .capture_size = ROOM, .null_err = true };
	const char *table = "", *name = "";
	char found[160] = "";
	struct error e;

	if (!text || !proc_exists(argv[0]) || proc_run(d->c, argv, &io, &e) != 0)
		return;
	json_t *all = json_loads(text, 0, NULL), *entry;
	size_t i;
	json_array_foreach(json_object_get(all, "nftables"), i,
			   entry) if (!found[0] && may_drop(entry, &table, &name))(void)
		snprintf(found, sizeof(found),
			 "chain %s of table %s may drop packets of guests with NAT", name, table);
	if (all && !found[0] && legacy_may_drop(d))
		(void)snprintf(
			found, sizeof(found),
			"chain FORWARD of iptables-legacy may drop packets of guests with NAT");
	if (found[0])
		doctor_say(d, "firewall", "WARN", found,
			   "make it accept packets from and to banger's bridge");
	else if (all)
		doctor_say(d, "firewall", "PASS", "no other table drops forwarded packets", "");
	json_decref(all);
}

/* ---- kernel tables that the whole host shares ---- */

/* Return: the number at the beginning of line @line of a file, or -1 if there is none. */
static long long number_in(const char *path, unsigned line, int base)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char text[256], *end = text;
	long long v = -1;

	for (unsigned i = 0; f && i <= line; i++)
		if (!fgets(text, sizeof(text), f))
			return -1;
	if (f)
		v = strtoll(text, &end, base);
	return end == text ? -1 : v;
}

static void check_fill(struct doctor *d, const char *name, long long used, long long most,
		       const char *loss, const char *hint)
{
	char text[160];

	if (used < 0 || most <= 0)
		return;
	(void)snprintf(text, sizeof(text), "%lld of %lld in use%s%s", used, most,
		       used < most / 10 * 9 ? "" : "; when the table is full, ",
		       used < most / 10 * 9 ? "" : loss);
	if (used < most / 10 * 9)
		doctor_say(d, name, "PASS", text, "");
	else
		doctor_say(d, name, used >= most ? "FAIL" : "WARN", text, hint);
}

/* Check how full the tables of flows and of neighbours are (nf_conntrack-sysctl.rst, arp(7)).  A
 * network namespace of its own shows no limit of neighbours. */
static void check_tables(struct doctor *d)
{
	check_fill(d, "flows", number_in("/proc/sys/net/netfilter/nf_conntrack_count", 0, 10),
		   number_in("/proc/sys/net/netfilter/nf_conntrack_max", 0, 10),
		   "new connections of guests are dropped",
		   "raise net.netfilter.nf_conntrack_max by sysctl; conntrack -L lists flows");
	check_fill(d, "neighbours", number_in("/proc/net/stat/arp_cache", 1, 16),
		   number_in("/proc/sys/net/ipv4/neigh/default/gc_thresh3", 0, 10),
		   "guests can not be reached",
		   "raise net.ipv4.neigh.default.gc_thresh3 by sysctl, to at least twice the "
		   "number of VMs");
}

/* ---- other addresses in our subnet ---- */

static bool is_bridge(const char *name)
{
	char path[64], alias[16] = "";

	(void)snprintf(path, sizeof(path), "/sys/class/net/%.15s/ifalias", name);
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	return f && fgets(alias, sizeof(alias), f) && strcmp(alias, SLOT_BRIDGE_ALIAS "\n") == 0;
}

static bool is_ipv4(const struct ifaddrs *a)
{
	return a->ifa_addr && a->ifa_netmask && a->ifa_addr->sa_family == AF_INET;
}

static uint32_t ipv4(const struct sockaddr *a)
{
	return ((const struct sockaddr_in *)a)->sin_addr.s_addr;
}

static bool overlap(const struct ifaddrs *a, const struct ifaddrs *b)
{
	return ((ipv4(a->ifa_addr) ^ ipv4(b->ifa_addr)) & ipv4(a->ifa_netmask) &
		ipv4(b->ifa_netmask)) == 0;
}

/* ---- rules that come before the main table ---- */

/* The priority of the rule for the main table, behind that for the local one (ip-rule(8)). */
#define RULE_MAIN 32766

/* Describe the first rule before the main table, for example "the rule "100: from all lookup
 * 51820"". */
static void first_rule(struct doctor *d, char out[128])
{
	const char *const argv[] = { "ip", "-j", "rule", "show", NULL };
	char text[16384] = "";
	const struct proc_io io = { .capture = text,
				    .capture_size = sizeof(text),
				    .null_err = true };
	struct error ignored;
	json_t *rules, *r;
	size_t i;

	(void)strcpy(out, "a rule before the main table");
	if (proc_run(d->c, argv, &io, &ignored) != 0)
		return;
	rules = json_loads(text, 0, NULL);
	json_array_foreach(rules, i, r)
	{
		const char *src = json_string_value(json_object_get(r, "src")),
			   *table = json_string_value(json_object_get(r, "table"));
		json_int_t priority = json_integer_value(json_object_get(r, "priority"));
		if (!table || strcmp(table, "local") == 0 || strcmp(table, "main") == 0 ||
		    priority >= RULE_MAIN)
			continue;
		(void)snprintf(out, 128, "the rule \"%lld: from %.40s lookup %.40s\"",
			       (long long)priority, src ? src : "all", table);
		break;
	}
	json_decref(rules);
}

/* Ask the kernel where the host would send a packet for a guest.  The answer must be the bridge; a
 * rule of a VPN or of policy routing may change that.  The kernel's decision needs no parser of
 * rules here. */
static void check_rules(struct doctor *d, const struct ifaddrs *bridge)
{
	struct in_addr guest = { htonl(ntohl(ipv4(bridge->ifa_addr)) + 1) };
	char address[INET_ADDRSTRLEN], text[4096] = "", rule[128], found[255];
	const char *const argv[] = { "ip", "-j", "route", "get", address, NULL };
	const struct proc_io io = { .capture = text,
				    .capture_size = sizeof(text),
				    .null_err = true };
	struct error ignored;

	(void)inet_ntop(AF_INET, &guest, address, sizeof(address));
	if (!proc_exists(argv[0]) || proc_run(d->c, argv, &io, &ignored) != 0)
		return;
	json_t *routes = json_loads(text, 0, NULL);
	const char *dev = json_string_value(json_object_get(json_array_get(routes, 0), "dev"));
	if (dev && strcmp(dev, bridge->ifa_name) == 0) {
		doctor_say(d, "routing", "PASS", "packets for guests go to their bridge", "");
	} else if (dev) {
		first_rule(d, rule);
		(void)snprintf(found, sizeof(found),
			       "packets for guests go to %s, not to %s: %s takes their subnet", dev,
			       bridge->ifa_name, rule);
		doctor_say(d, "routing", "WARN", found,
			   "ip rule add priority 99 to SUBNET lookup main, or exclude the guests' "
			   "subnet from the VPN");
	}
	json_decref(routes);
}

/* ---- the guests' name server ---- */

/* Find the first name server of the host that is another host. */
static bool outside_server(char out[64])
{
	static const char *const files[] = { "/run/systemd/resolve/resolv.conf",
					     "/etc/resolv.conf" };
	char line[256];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_fclose_ FILE *f = fopen(files[i], "re");
		while (f && fgets(line, sizeof(line), f))
			if (sscanf(line, "nameserver %63[0-9.]", out) == 1 &&
			    strncmp(out, "127.", 4) != 0)
				return true;
	}
	return false;
}

static void check_names(struct doctor *d)
{
	static struct config config;
	char server[64], hint[160];

	if (config_load(CONFIG_DEFAULT_PATH, 0, &config) < 0)
		return;
	if (config.dns) {
		doctor_say(d, "names", "PASS", "banger.conf gives guests a name server", "");
		return;
	}
	if (outside_server(server))
		(void)snprintf(hint, sizeof(hint),
			       "in banger.conf: dns = %s (this host's), then restart the service",
			       server);
	else
		(void)snprintf(hint, sizeof(hint),
			       "in banger.conf: dns = ADDRESS of a server that guests with NAT "
			       "reach, then restart the service");
	doctor_say(d, "names", "WARN", "banger.conf names no name server: guests resolve no names",
		   hint);
}

static void check_subnet(struct doctor *d)
{
	struct ifaddrs *all = NULL, *ours = NULL;
	char text[160];

	if (getifaddrs(&all) < 0)
		return;
	for (struct ifaddrs *a = all; a && !ours; a = a->ifa_next)
		if (is_ipv4(a) && is_bridge(a->ifa_name))
			ours = a;
	if (ours)
		check_rules(d, ours);
	for (struct ifaddrs *a = all; a && ours; a = a->ifa_next) {
		if (!is_ipv4(a) || strcmp(a->ifa_name, ours->ifa_name) == 0 || !overlap(a, ours))
			continue;
		(void)snprintf(
			text, sizeof(text),
			"an address of %s is in the VMs' subnet: packets for guests may go there",
			a->ifa_name);
		doctor_say(d, "subnet", "WARN", text,
			   "set subnet in banger.conf to an unused one, or remove that address");
		ours = NULL;
	}
	if (ours)
		doctor_say(d, "subnet", "PASS", "no other interface has an address in it", "");
	freeifaddrs(all);
}

void doctor_network(struct doctor *d)
{
	check_forwarding(d);
	check_firewall(d);
	check_tables(d);
	check_subnet(d);
	check_names(d);
}
