/* relay.c - connects to a port or a socket of the guest, and passes bytes both ways.
 *
 * It runs in a process of its own, with the rights of the user (command.c).  Each direction has one
 * buffer, which is filled again when all of it is written: a receiver that does not read stops its
 * sender.
 *
 * The session leaves the relay alone when its client is gone: it closes its ends of the standard
 * streams, the one of the errors among them, and the input ends behind what the client has sent.
 * The server then gets this rest, and what it answers is dropped, for LEFT_MS at most.  An answer
 * that stayed unread would lose the rest: close(2) then resets a TCP connection, and the kernel
 * drops what it has not delivered (net/ipv4/tcp.c, __tcp_close()).
 *
 * A server that has closed its socket looks like one that has ended its own direction alone, and
 * may still read.  So the kernel of the guest is asked for the server's socket (tcp_server.h): the
 * connection would keep its port as long as the client does. */
#include "controller/agent/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "controller/agent/tcp_server.h"

#define LEFT_MS 30000  /* for what a client that is gone has sent */
#define LOOK_MS 100    /* then: between two looks at what the server has taken */
#define SERVER_MS 500  /* between two looks at a server that has ended its direction */
#define SERVER_LOOKS 2 /* so many that do not find its socket: it is gone */
#define TRY_S 1        /* of connect(2), until the client is looked at */

/* One direction. */
struct way {
	int from, to;    /* to: -1: what comes is dropped */
	size_t have, at; /* bytes in v, and those of them that are written */
	bool eof;        /* of @from */
	bool over;       /* all is written, and the end was passed on */
	char v[65536];
};

static uint64_t left_until_ms; /* the relay is alone, until then; 0: it has a client */

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Note that the session has left.  Nothing else closes its end of the errors. */
static void look_for_client(void)
{
	struct pollfd p = { STDERR_FILENO, 0, 0 };

	if (!left_until_ms && poll(&p, 1, 0) == 1)
		left_until_ms = now_ms() + LEFT_MS;
}

static bool is_late(void)
{
	return left_until_ms && now_ms() >= left_until_ms;
}

/* As connect(2).  A server whose queue is full is waited for as long as there is a client. */
static int join(int fd, const void *address, socklen_t size)
{
	const struct timeval try = { TRY_S, 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &try, sizeof(try));
	while (connect(fd, address, size) < 0) {
		/* The time-out of a Unix socket, then those of TCP. */
		if (errno != EAGAIN && errno != EINPROGRESS && errno != EALREADY)
			return errno == EISCONN ? 0 : -1;
		look_for_client();
		if (is_late())
			return -1;
	}
	return 0;
}

static int open_tcp(int family, unsigned port)
{
	const struct sockaddr_in v4 = { .sin_family = AF_INET,
					.sin_port = htons((uint16_t)port),
					.sin_addr = { htonl(INADDR_LOOPBACK) } };
	const struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
					 .sin6_port = htons((uint16_t)port),
					 .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if ((family == AF_INET ? join(fd, &v4, sizeof(v4)) : join(fd, &v6, sizeof(v6))) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static int open_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(a.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	(void)strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || join(fd, &a, sizeof(a)) == 0)
		return fd;
	int saved = errno;
	(void)close(fd);
	errno = saved;
	return -1;
}

/* A server may listen on one of the two loopback addresses alone.  Return: a socket, or -1 with the
 * first one's errno. */
static int open_port(unsigned port)
{
	int fd = open_tcp(AF_INET, port), saved = errno;

	if (fd < 0)
		fd = open_tcp(AF_INET6, port);
	errno = saved;
	return fd;
}

/* Pass the end of file on. */
static void end_way(struct way *w)
{
	w->over = true;
	w->have = w->at = 0;
	if (w->from == STDIN_FILENO) {
		(void)shutdown(w->to, SHUT_WR);
		(void)close(STDIN_FILENO); /* the sender hears that no more is taken */
		return;
	}
	if (w->to >= 0)
		(void)close(w->to);
}

static void fill(struct way *w)
{
	ssize_t n = read(w->from, w->v, sizeof(w->v));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	w->eof = n <= 0;
	w->have = n > 0 && w->to >= 0 ? (size_t)n : 0;
	w->at = 0;
}

/* Write what can be written at once.  A server that is gone ends its direction; for a client that
 * is gone, the server's bytes are read as before. */
static void drain(struct way *w)
{
	ssize_t n = write(w->to, w->v + w->at, w->have - w->at);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 && w->to == STDOUT_FILENO)
		w->to = -1;
	else if (n < 0)
		w->eof = true;
	w->at = n < 0 ? w->have : w->at + (size_t)n;
}

static bool is_empty(const struct way *w)
{
	return w->at == w->have;
}

static void move(struct way *w, short from, short to)
{
	if (!w->over && !w->eof && is_empty(w) && from)
		fill(w);
	if (!w->over && !is_empty(w) && (to || from))
		drain(w);
	if (!w->over && w->eof && is_empty(w))
		end_way(w);
}

static int when(bool wanted, int fd)
{
	return wanted ? fd : -1;
}

static bool reads(const struct way *w)
{
	return !w->over && !w->eof && is_empty(w);
}

static bool writes(const struct way *w)
{
	return !w->over && !is_empty(w);
}

/* True if the kernel of the guest has passed on all that was written.  A Unix socket has it in the
 * queue of the server at once. */
static bool is_passed_on(int fd)
{
	int domain = AF_UNIX, left = 0;
	socklen_t size = sizeof(domain);

	(void)getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
	return domain == AF_UNIX || ioctl(fd, SIOCOUTQ, &left) < 0 || left == 0;
}

static bool is_done(const struct way *in, const struct way *out)
{
	if (in->over && out->over)
		return true;
	return left_until_ms && ((in->over && is_passed_on(in->to)) || is_late());
}

/* The time until the next look, for poll(2). */
static int look_ms(const struct way *out)
{
	return left_until_ms ? LOOK_MS : out->over ? SERVER_MS : -1;
}

/* Look at a server that has ended its own direction.  Return: true if it has closed its socket. */
static bool server_is_gone(int proc, const struct way *out)
{
	static uint64_t next_ms;
	static int missed;
	const uint64_t now = now_ms();

	if (!out->over || left_until_ms || now < next_ms)
		return false;
	next_ms = now + SERVER_MS;
	missed = tcp_server_is_gone(proc, out->from) ? missed + 1 : 0;
	return missed >= SERVER_LOOKS;
}

static void pass(struct way *in, struct way *out, int proc)
{
	while (!is_done(in, out) && !server_is_gone(proc, out)) {
		struct pollfd p[] = {
			{ when(reads(in), in->from), POLLIN, 0 },
			{ when(writes(in), in->to), POLLOUT, 0 },
			{ when(reads(out), out->from), POLLIN, 0 },
			{ when(writes(out), out->to), POLLOUT, 0 },
			/* Both directions of the connection have ended: no byte will be taken. */
			{ when(out->over, in->to), 0, 0 },
			{ when(!left_until_ms, STDERR_FILENO), 0, 0 },
		};
		if (poll(p, sizeof(p) / sizeof(p[0]), look_ms(out)) < 0 && errno != EINTR)
			return;
		if (p[4].revents & (POLLHUP | POLLERR))
			return;
		if (p[5].revents)
			look_for_client();
		move(in, p[0].revents, p[1].revents);
		move(out, p[2].revents, p[3].revents);
	}
}

int relay_run(unsigned port, const char *socket, int proc)
{
	static struct way in = { .from = STDIN_FILENO }, out = { .to = STDOUT_FILENO };
	int fd = port ? open_port(port) : open_unix(socket);

	if (fd < 0) {
		(void)dprintf(STDERR_FILENO, "%s\n", strerrordesc_np(errno));
		return 1;
	}
	in.to = out.from = fd;
	(void)fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	(void)fcntl(STDOUT_FILENO, F_SETFL, O_WRONLY | O_NONBLOCK);
	pass(&in, &out, proc);
	return 0;
}
