/* reader.c - tells whether an output still has a reader, before anything is written to it. */
#include "controller/cli/reader.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

/* States of include/net/tcp_states.h that a socket has before close(2): ESTABLISHED, SYN_RECV,
 * CLOSE_WAIT, NEW_SYN_RECV. */
#define OPEN_STATES ((1u << 1) | (1u << 3) | (1u << 8) | (1u << 12))
#define PROBE_S 10 /* pause between two questions without an answer */
#define PROBES 3   /* so many of them: the connection is reset */

union address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Fill in one end of the connection. */
static void put_end(const union address *a, __be16 *port, __be32 address[4])
{
	if (a->sa.sa_family == AF_INET) {
		*port = a->v4.sin_port;
		address[0] = a->v4.sin_addr.s_addr;
	} else {
		*port = a->v6.sin6_port;
		memcpy(address, &a->v6.sin6_addr, sizeof(a->v6.sin6_addr));
	}
}

/* Ask the kernel for the socket from @from to @to.  Return: 1 a process has it, 0 none has, it
 * lingers to end the connection; -1 there is no such socket here, or no answer. */
static int has_process(const union address *from, const union address *to)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 body;
	} ask = { .head = { .nlmsg_len = sizeof(ask),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST },
		  .body = { .sdiag_family = (uint8_t)from->sa.sa_family,
			    .sdiag_protocol = IPPROTO_TCP,
			    .idiag_states = UINT32_MAX,
			    .id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } };
	union {
		struct nlmsghdr head;
		char v[4096];
	} answer;
	struct inet_diag_msg told;
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	put_end(from, &ask.body.id.idiag_sport, ask.body.id.idiag_src);
	put_end(to, &ask.body.id.idiag_dport, ask.body.id.idiag_dst);
	if (fd < 0 || send(fd, &ask, sizeof(ask), 0) != (ssize_t)sizeof(ask))
		return -1;
	/* The answer is in the queue when send() returns (net/netlink/af_netlink.c). */
	if (recv(fd, &answer, sizeof(answer), MSG_DONTWAIT) < (ssize_t)NLMSG_LENGTH(sizeof(told)) ||
	    answer.head.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return -1;
	memcpy(&told, NLMSG_DATA(&answer.head), sizeof(told));
	/* One that was not accepted yet has no inode, but a state that no closed one has. */
	return told.idiag_inode != 0 || ((1u << told.idiag_state) & OPEN_STATES);
}

static bool tcp_reader_is_gone(int fd)
{
	union address own, other;
	socklen_t n = sizeof(own), m = sizeof(other);

	memset(&own, 0, sizeof(own));
	memset(&other, 0, sizeof(other));
	if (getsockname(fd, &own.sa, &n) < 0 || getpeername(fd, &other.sa, &m) < 0 ||
	    (own.sa.sa_family != AF_INET && own.sa.sa_family != AF_INET6))
		return false;
	return has_process(&other, &own) == 0;
}

bool reader_is_gone(int fd)
{
	struct pollfd p = { fd, 0, 0 };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)))
		return false;
	if (poll(&p, 1, 0) == 1 && p.revents & (POLLERR | POLLHUP))
		return true;
	return S_ISSOCK(st.st_mode) && tcp_reader_is_gone(fd);
}

void reader_keep_alive(int fd)
{
	const int on = 1, idle = READER_IDLE_S, pause = PROBE_S, most = PROBES;

	if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) < 0)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &pause, sizeof(pause));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &most, sizeof(most));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}
