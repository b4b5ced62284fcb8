/* user.c - a hostile user of the control socket: `user SOCKET CONNECTIONS SEED [VM]`.
 *
 * Opens at least so many connections, and goes on until SIGUSR1; up to HELD of them at once, and on
 * each does one of these: nothing; half a request; bytes without meaning; a request a byte at a
 * time; up to 253 descriptors with half a request; an import of what is no file; requests whose
 * answers it never reads; one request that it reads the answer of.  With VM, which is one of its
 * user's, each asks for the VM's agent instead, and then: goes before the answer; never takes the
 * answer; closes the port at once; keeps it and says nothing; sends a part of a session's first
 * bytes; sends bytes without meaning until the port takes no more; sends descriptors.  Prints
 * "connections N answered N refused N". */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/fdio.h"
#include "proto/control.h"

#define HELD 150
#define ODD_FDS 6
#define WAYS 8       /* of each kind */
#define PORTS_HELD 2 /* and as many connections: a port that is not taken counts as a worker */

static struct {
	const char *path, *vm;
	uint64_t rng;
	int held[HELD], odd[ODD_FDS];
	int ports[PORTS_HELD]; /* of the VM's agent */
	unsigned connections, answered, refused;
} user;

static volatile sig_atomic_t may_end;

static void end_when_done(int sig)
{
	(void)sig;
	may_end = 1;
}

static unsigned dice(unsigned sides)
{
	user.rng ^= user.rng >> 12;
	user.rng ^= user.rng << 25;
	user.rng ^= user.rng >> 27;
	return (unsigned)((user.rng * UINT64_C(2685821657736338717)) >> 33) % sides;
}

static void open_odd(void)
{
	int pair[2] = { -1, -1 };

	(void)!pipe2(pair, O_CLOEXEC);
	user.odd[0] = pair[0];
	user.odd[1] = pair[1];
	user.odd[2] = memfd_create("image", MFD_CLOEXEC);
	user.odd[3] = open("/", O_PATH | O_CLOEXEC);
	user.odd[4] = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	user.odd[5] = open("/dev/null", O_RDWR | O_CLOEXEC);
}

/* Return: a connection, whose sends and receives end after a second, or three for an agent; or
 * -1. */
static int connect_once(void)
{
	const struct timeval second = { .tv_sec = user.vm ? 3 : 1 };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", user.path);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	if (fd >= 0 && connect(fd, (const void *)&a, sizeof(a)) == 0)
		return fd;
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

/* The bytes of a request that is as it should be.  Return: their number. */
static size_t request_bytes(enum call_id id, uint8_t *out, size_t size)
{
	static const union control_body none;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	(void)control_send_request(pair[0], 1, control_call(id), &none, NULL, 0);
	ssize_t n = recv(pair[1], out, size, MSG_DONTWAIT);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return n > 0 ? (size_t)n : 0;
}

static void half(int fd)
{
	uint8_t b[512];
	const size_t n = request_bytes(dice(2) ? CALL_VM_LIST : CALL_VM_CREATE, b, sizeof(b));

	if (n)
		(void)!send(fd, b, 1 + dice((unsigned)n), MSG_NOSIGNAL);
}

static void garbage(int fd)
{
	uint8_t b[4096];

	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)dice(256);
	(void)!send(fd, b, 1 + dice(sizeof(b)), MSG_NOSIGNAL);
}

static void trickle(int fd)
{
	uint8_t b[512];
	const size_t n = request_bytes(CALL_VM_LIST, b, sizeof(b));

	for (size_t i = 0; i < n && send(fd, b + i, 1, MSG_NOSIGNAL) == 1; i++)
		(void)usleep(100);
}

static void flood(int fd)
{
	union {
		char buf[CMSG_SPACE(FDIO_ROOM_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	const size_t n = 1 + dice(FDIO_ROOM_MAX);
	struct iovec iov = { "\x94", 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf };

	m.msg_controllen = CMSG_SPACE(n * sizeof(int));
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	*h = (struct cmsghdr){ CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	for (size_t i = 0; i < n; i++)
		memcpy(CMSG_DATA(h) + i * sizeof(int), &user.odd[dice(ODD_FDS)], sizeof(int));
	(void)!sendmsg(fd, &m, MSG_NOSIGNAL);
}

static void import(int fd)
{
	struct call_image_import a = { .name = "x", .kernel = "y" };
	const int odd = user.odd[dice(ODD_FDS)];

	(void)control_send_request(fd, 1, control_call(CALL_IMAGE_IMPORT), &a, &odd, 1);
}

static void never_read(int fd)
{
	static const union control_body none;

	for (unsigned i = dice(5); i < 5; i++)
		(void)control_send_request(fd, i, control_call(CALL_VM_LIST), &none, NULL, 0);
}

static void honest(int fd)
{
	const struct call *call = control_call(CALL_VM_LIST);
	static const union control_body none;
	static struct control c;
	static struct message m;
	int r;

	if (control_send_request(fd, 1, call, &none, NULL, 0) < 0)
		return;
	control_init(&c, fd);
	while ((r = control_next(&c, call, &m)) == 0 && control_fill(&c) == 1)
		;
	user.answered += r == 1 && m.kind == MSG_RESULT;
	user.refused += r == 1 && m.kind == MSG_ERROR;
}

/* ---- the agent of a VM ---- */

static int ask_agent(int fd)
{
	struct call_vm_agent a = { .timeout_ms = 1 + dice(2000) };

	(void)snprintf(a.vm, sizeof(a.vm), "%s", user.vm);
	return control_send_request(fd, 1, control_call(CALL_VM_AGENT), &a, NULL, 0);
}

static void go_before_the_answer(int fd)
{
	(void)ask_agent(fd);
}

/* The port is in the connection's queue, and counts as the controller's. */
static void never_take_the_port(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	if (ask_agent(fd) == 0)
		(void)poll(&p, 1, 1000);
}

/* Return: the port that the answer brings, or -1: there is none within a second. */
static int take_port(int fd)
{
	static struct control c;
	static struct message m;
	int r;

	if (ask_agent(fd) < 0)
		return -1;
	control_init(&c, fd);
	while ((r = control_next(&c, control_call(CALL_VM_AGENT), &m)) == 0 &&
	       control_fill(&c) == 1)
		;
	user.answered += r == 1 && m.kind == MSG_RESULT;
	user.refused += r == 1 && m.kind == MSG_ERROR;
	for (size_t i = 1; i < c.nfds; i++)
		(void)close(c.fds[i]);
	return c.nfds ? c.fds[0] : -1;
}

static void keep_port(int port)
{
	const unsigned i = dice(PORTS_HELD);

	if (user.ports[i] >= 0)
		(void)close(user.ports[i]);
	user.ports[i] = port;
}

static void close_the_port(int fd)
{
	const int port = take_port(fd);

	if (port >= 0)
		(void)close(port);
}

static void keep_the_port(int fd)
{
	keep_port(take_port(fd));
}

static void half_a_session(int fd)
{
	const int port = take_port(fd);

	if (port >= 0)
		(void)!send(port, "banger agent \0\1\2\3", 1 + dice(17),
			    MSG_NOSIGNAL | MSG_DONTWAIT);
	keep_port(port);
}

static void fill_the_port(int fd)
{
	const int port = take_port(fd);
	uint8_t b[4096];

	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)dice(256);
	for (int i = 0; i < 256 && port >= 0; i++)
		if (send(port, b, sizeof(b), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
	keep_port(port);
}

static void send_descriptors(int fd)
{
	const int port = take_port(fd);

	if (port >= 0)
		flood(port);
	keep_port(port);
}

static void hold(int fd)
{
	const unsigned i = dice(user.vm ? PORTS_HELD : HELD);

	if (user.held[i] >= 0)
		(void)close(user.held[i]);
	user.held[i] = fd;
}

int main(int argc, char **argv)
{
	static void (*const of_socket[WAYS])(int) = { NULL,  half,   garbage,    trickle,
						      flood, import, never_read, honest };
	static void (*const of_agent[WAYS])(int) = {
		go_before_the_answer, never_take_the_port, close_the_port,   keep_the_port,
		half_a_session,       fill_the_port,       send_descriptors, honest,
	};

	if (argc != 4 && argc != 5) {
		fprintf(stderr, "usage: user SOCKET CONNECTIONS SEED [VM]\n");
		return 2;
	}
	user.path = argv[1];
	user.vm = argv[4];
	user.rng = strtoull(argv[3], NULL, 10) * UINT64_C(0x9e3779b97f4a7c15) + 1;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGUSR1, end_when_done);
	open_odd();
	for (size_t i = 0; i < HELD; i++)
		user.held[i] = -1;
	for (size_t i = 0; i < PORTS_HELD; i++)
		user.ports[i] = -1;
	const unsigned long least = strtoul(argv[2], NULL, 10);
	for (unsigned long i = 0; i < least || !may_end; i++) {
		int fd = connect_once();
		if (fd < 0)
			continue;
		user.connections++;
		void (*const way)(int) = (user.vm ? of_agent : of_socket)[dice(WAYS)];
		if (way)
			way(fd);
		keep_port(-1); /* there are four, and others want them too */
		if (dice(3))
			hold(fd);
		else
			(void)close(fd);
	}
	printf("connections %u answered %u refused %u\n", user.connections, user.answered,
	       user.refused);
	return 0;
}
