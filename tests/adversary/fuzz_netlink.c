/* The readers of netlink answers and notifications in the net role, and what the role does about
 * them.  An input is the function to call, then datagrams: a word with the length, and the bytes.
 *
 * A sequence number below 256 in an input counts from that of the request, so that answers fit it.
 *
 * Checked: no read outside of the datagram; each call returns, whatever the answers; what the role
 * sends is made of whole messages; it deletes links by the group of retired taps or by an index,
 * and never all of them; it reads notifications of rules behind an empty batch alone; it leaves the
 * bridge as it is while the rules can not be loaded. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "privhelper/net/bridge.h"
#include "privhelper/net/conntrack.h"
#include "privhelper/net/events.h"
#include "privhelper/net/link.h"
#include "privhelper/net/ruleset.h"
#include "privhelper/net/sweep.h"
#include "privhelper/net/tap.h"
#include "privhelper/role/reqlog.h"
#include "tests/adversary/fuzz.h"

/* The record of a repair is reqlog.c's. */
int reqlog_repair(struct reqlog *l, const char *what, int slot)
{
	(void)l;
	(void)what;
	(void)slot;
	return 0;
}

#define SOCKET_ROUTE 1001
#define SOCKET_NFT 1002
#define SOCKET_CT 1003
#define EVENTS_LINK 1004
#define EVENTS_NFT 1005
#define TUN 1006
#define SLOTS 4u
#define CALLS_MAX 20000 /* far more than the datagrams of any input make necessary */

static struct config config = {
	.slots = SLOTS,
	.uid_base = 700000,
	.bridge = "bgr0br",
	.subnet = 0x0a610000,
	.prefix = 24,
	.max_flows_per_vm = 4096,
};
static struct net_state net;
static struct input answers;
static uint32_t asked; /* the sequence number of the first message of the latest datagram */
static unsigned calls;
static bool running;
static bool settled; /* an empty batch was sent since the last poll(2) */
static bool silent;  /* the role must ask and change nothing */

/* ---- the kernel ---- */

static const struct nlattr *find_attr(const struct nlmsghdr *h, size_t extra, uint16_t type)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, h, (unsigned)extra) if (mnl_attr_get_type(a) == type) return a;
	return NULL;
}

static void check_message(int fd, const struct nlmsghdr *h)
{
	if (fd != SOCKET_ROUTE || h->nlmsg_type != RTM_DELLINK)
		return;
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *group = find_attr(h, sizeof(*i), IFLA_GROUP);

	MUST(i->ifi_index ? !group : group && mnl_attr_get_u32(group) == NET_RETIRED);
}

ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags)
{
	const struct nlmsghdr *h = buf;
	int left = (int)n;

	(void)flags;
	MUST(!silent && ++calls < CALLS_MAX);
	MUST(fd >= SOCKET_ROUTE && fd <= SOCKET_CT);
	if (fd != SOCKET_CT)
		asked = h->nlmsg_seq;
	settled |= fd == SOCKET_NFT && h->nlmsg_type == NFNL_MSG_BATCH_BEGIN &&
		   mnl_nlmsg_next(h, &(int){ left })->nlmsg_type == NFNL_MSG_BATCH_END;
	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
		check_message(fd, h);
	MUST(left <= 0);
	return (ssize_t)n;
}

/* Give the messages of a datagram the numbers that the role waits for.  Lengths stay below 2^31,
 * which the kernel's always are: libmnl before 1.0.5 takes a greater one for negative. */
static void renumber(uint8_t *buf, size_t n)
{
	struct nlmsghdr h;

	for (size_t at = 0; at + sizeof(h) <= n; at += NLMSG_ALIGN(h.nlmsg_len)) {
		memcpy(&h, buf + at, sizeof(h));
		if (h.nlmsg_seq < 256)
			h.nlmsg_seq += asked;
		h.nlmsg_len &= INT32_MAX;
		memcpy(buf + at, &h, sizeof(h));
		if (h.nlmsg_len < sizeof(h))
			break;
	}
}

ssize_t __wrap_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from,
			socklen_t *size);
ssize_t __wrap_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from,
			socklen_t *size)
{
	/* A change may be in effect before its notification is queued, but not behind a batch. */
	MUST(fd != EVENTS_NFT || settled);
	MUST(++calls < CALLS_MAX);
	if (answers.p >= answers.end) {
		errno = EAGAIN;
		return -1;
	}
	const unsigned word = input_word(&answers);
	if ((word & 0xf000) == 0xf000) {
		errno = word & 1 ? ENOBUFS : EINTR;
		return -1;
	}
	const size_t len = word & 0x0fff, fits = len < n ? len : n;
	const size_t have = input_take(&answers, buf, fits);
	renumber(buf, have);
	MUST(!from && !size);
	return (ssize_t)(flags & MSG_TRUNC && word & 0x4000 ? n + 1 : have);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	if (!running)
		return __real_open(path, flags, 0600);
	errno = EMFILE;
	return input_byte(&answers) & 1 ? -1 : TUN;
}

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	(void)request;
	MUST(fd == TUN);
	errno = EBUSY;
	return input_byte(&answers) & 1 ? -1 : 0;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	if (!running)
		return __real_close(fd);
	MUST(fd == TUN);
	return 0;
}

/* The controller's request is there at once. */
int __wrap_poll(struct pollfd *p, nfds_t n, int ms);
int __wrap_poll(struct pollfd *p, nfds_t n, int ms)
{
	MUST(n == 3 && ms == -1 && p[0].fd == RPC_FD);
	p[0].revents = POLLIN;
	settled = false;
	return 1;
}

ssize_t __real_write(int fd, const void *buf, size_t n);
ssize_t __wrap_write(int fd, const void *buf, size_t n);
ssize_t __wrap_write(int fd, const void *buf, size_t n)
{
	if (!running)
		return __real_write(fd, buf, n);
	MUST(fd == WAKE_FD && n == sizeof(uint64_t));
	return (ssize_t)n;
}

/* ---- the role ---- */

static void read_link(uint32_t slot)
{
	struct net_link l;

	if (net_link_find_tap(&net, slot, &l) < 0)
		return;
	MUST(l.named >= -1 && l.named < (int)SLOT_MAX);
	MUST(!l.tagged || (l.tag.slot < SLOT_MAX && l.tag.generation));
	if (net_link_is_tap(&l, slot))
		MUST(l.tun && l.tagged && l.tag.slot == slot);
}

static void read_element(uint32_t slot)
{
	struct tag tag;

	if (net_elem_get(&net, SET_GUEST, slot, &tag) == 1)
		MUST(!tag.generation || tag.slot == slot);
}

static void events(uint32_t unused)
{
	(void)unused;
	net_events_wait(&net);
	MUST(!net.rules_changed || !net.flowless[0]);
}

static void sweep(uint32_t unused)
{
	uint64_t taps = 0;

	(void)unused;
	const enum status s = net_tap_sweep(&net, &taps);
	MUST(s < ST_COUNT && (s != ST_OK || taps <= SLOT_MAX));
}

static void create(uint32_t slot)
{
	const struct tag tag = { slot, 3, 1000 };
	int ifindex = 0;

	MUST(net_tap_create(&net, &tag, &ifindex) < ST_COUNT);
}

static void retire(uint32_t slot)
{
	MUST(net_tap_retire(&net, slot) < ST_COUNT);
}

static void flows(uint32_t slot)
{
	bool slots[SLOT_MAX] = { false };

	slots[slot] = slots[0] = true;
	const enum status s = net_flows_forget(&net, slots);
	MUST(s == ST_OK || s == ST_KERNEL);
}

static void repair(uint32_t slot)
{
	net.rules_changed = true;
	silent = net_rules_repair(&net) < 0;
	MUST(!silent || net_bridge_repair(&net) < 0);
	silent = net.rules_changed = false;
	(void)net_bridge_repair(&net);
	(void)net_tap_repair(&net, slot);
	net_link_no_ipv6(&net, 7);
	(void)net_conntrack_probe(&net);
}

static void element(uint32_t slot)
{
	const struct tag tag = { slot, 3, 1000 };

	MUST(net_elem_add(&net, SET_NAT4, &tag) < ST_COUNT);
	MUST(net_elem_exists(&net, SET_NAT4, &tag) < ST_COUNT);
	MUST(net_elem_remove(&net, SET_NAT4, slot) < ST_COUNT);
	MUST(net_status((int)calls) != ST_OK && net_status(ENOSPC) == ST_LIMIT &&
	     net_status(ENFILE) == ST_LIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const all[])(uint32_t) = { read_link, read_element, events, sweep,  create,
						 retire,    flows,        repair, element };

	answers = (struct input){ data, data + size };
	calls = 0;
	asked = 0;
	memset(&net, 0, offsetof(struct net_state, netlink));
	net.netlink.last = 0;
	net.config = &config;
	net.route = SOCKET_ROUTE;
	net.nft = SOCKET_NFT;
	net.ct = SOCKET_CT;
	net.link_events = EVENTS_LINK;
	net.nft_events = EVENTS_NFT;
	net.nft_port = 4321;
	net.flowless[0] = net.bridged = true;
	const uint8_t which = input_byte(&answers);
	running = true;
	all[which % 9](which / 9 % SLOTS);
	running = false;
	return 0;
}
