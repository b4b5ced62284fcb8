/* netlink.c - sends requests to the kernel by netlink(7), and checks its answers. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "privhelper/net/netlink.h"

int nl_open(int protocol)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	const int room = 2 * NL_OUT_SIZE, on = 1;
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	/* bind() to port id 0 lets the kernel choose ours; connect() to 0, the kernel's own, is the
	 * default destination. */
	if (fd < 0 || bind(fd, (const void *)&any, sizeof(any)) < 0 ||
	    connect(fd, (const void *)&any, sizeof(any)) < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)) < 0)
		return -1;
	return steal_fd(&fd);
}

void nl_begin(struct netlink *netlink, struct nl_out *o)
{
	/* Each datagram has its own range of sequence numbers, by which a late answer to an earlier
	 * datagram is recognized. */
	netlink->last += NL_OUT_SIZE / NLMSG_HDRLEN;
	*o = (struct nl_out){ .netlink = netlink,
			      .first = netlink->last,
			      .last = netlink->last - 1 };
}

/* Finish the message under construction, so that @o->used is the place of the next. */
static void next(struct nl_out *o)
{
	if (o->h)
		o->used += NLMSG_ALIGN(o->h->nlmsg_len);
	if (NL_OUT_SIZE - o->used < NL_MESSAGE_MAX)
		die(1, "netlink: a request is too long: %zu bytes", o->used);
}

void nl_append(struct nl_out *o, const struct nlmsghdr *h)
{
	next(o);
	o->h = memcpy(o->netlink->out + o->used, h, h->nlmsg_len);
	o->h->nlmsg_seq = ++o->last;
}

void *nl_message(struct nl_out *o, uint16_t type, uint16_t flags, size_t extra)
{
	next(o);
	o->h = mnl_nlmsg_put_header(o->netlink->out + o->used);
	o->h->nlmsg_type = type;
	o->h->nlmsg_flags = NLM_F_REQUEST | flags;
	o->h->nlmsg_seq = ++o->last;
	return mnl_nlmsg_put_extra_header(o->h, extra);
}

int nl_errno(int verdict)
{
	return verdict > 0 || verdict < -4095 ? EPROTO : -verdict;
}

/* The state of nl_talk() while it reads answers. */
struct answers {
	struct nl_out *to;
	nl_fn fn;
	void *arg;
	int error; /* of the first message that failed; 0: none */
	bool over; /* the last message is answered */
};

/* NLMSG_ERROR and NLMSG_DONE begin with a negative errno or 0, which NLMSG_DONE may lack. */
static void take_verdict(struct answers *a, const struct nlmsghdr *h)
{
	int e = 0;

	if (mnl_nlmsg_get_payload_len(h) >= sizeof(e))
		memcpy(&e, mnl_nlmsg_get_payload(h), sizeof(e));
	if (e && !a->error)
		a->error = nl_errno(e);
	if (h->nlmsg_seq == a->to->last)
		a->over = true;
}

static void take_messages(struct answers *a, int len)
{
	const struct nlmsghdr *h = (const void *)a->to->netlink->in;

	for (; mnl_nlmsg_ok(h, len); h = mnl_nlmsg_next(h, &len)) {
		if (h->nlmsg_seq - a->to->first > a->to->last - a->to->first)
			continue;
		a->to->interrupted |= h->nlmsg_flags & NLM_F_DUMP_INTR;
		if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE)
			take_verdict(a, h);
		else if (a->fn && h->nlmsg_type >= NLMSG_MIN_TYPE)
			a->fn(a->arg, h);
	}
}

/* Read one datagram.  Return: 0, or -1 with errno. */
static int take_datagram(int fd, struct answers *a)
{
	ssize_t n = recvfrom(fd, a->to->netlink->in, NL_IN_SIZE, MSG_DONTWAIT | MSG_TRUNC, NULL,
			     NULL);

	if (n < 0 && errno == EINTR)
		return 0;
	if (n < 0) {
		/* The kernel answers a batch that fails as a whole with one error, on its first
		 * message. */
		if (errno == EAGAIN)
			errno = a->error ? a->error : EPROTO;
		return -1;
	}
	if ((size_t)n > NL_IN_SIZE) {
		errno = EMSGSIZE;
		return -1;
	}
	take_messages(a, (int)n);
	return 0;
}

int nl_talk(int fd, struct nl_out *o, nl_fn fn, void *arg)
{
	struct answers a = { .to = o, .fn = fn, .arg = arg };

	o->used += NLMSG_ALIGN(o->h->nlmsg_len);
	o->h = NULL;
	if (send(fd, o->netlink->out, o->used, 0) != (ssize_t)o->used)
		return -1;
	while (!a.over)
		if (take_datagram(fd, &a) < 0)
			return -1;
	errno = a.error;
	return a.error ? -1 : 0;
}

/* EXFULL: the bridge has its 1,023 ports (net/bridge/br_if.c, find_portno()).  ENFILE: the set is
 * full. */
enum status net_status(int err)
{
	switch (err) {
	case ENOSPC:
	case EXFULL:
	case ENFILE:
		return ST_LIMIT;
	case EBUSY:
		return ST_BUSY;
	default:
		log_warn("the kernel refused: %s", strerror(err));
		return ST_KERNEL;
	}
}
