/* user.c - a hostile user of the control socket: `user SOCKET CONNECTIONS SEED`.
 *
 * Opens at least so many connections, and goes on until SIGUSR1; up to HELD of them at once, and on
 * each does one of these: nothing; half a request; bytes without meaning; a request a byte at a
 * time; up to 253 descriptors with half a request; an import of what is no file; requests whose
 * answers it never reads; one request that it reads the answer of.  Prints
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

static struct {
	const char *path;
	uint64_t rng;
	int held[HELD], odd[ODD_FDS];
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

/* Return: a connection, whose sends and receives end after a second; or -1. */
static int connect_once(void)
{
	const struct timeval second = { .tv_sec = 1 };
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

static void hold(int fd)
{
	const unsigned i = dice(HELD);

	if (user.held[i] >= 0)
		(void)close(user.held[i]);
	user.held[i] = fd;
}

int main(int argc, char **argv)
{
	static void (*const ways[])(int) = { NULL,  half,   garbage,    trickle,
					     flood, import, never_read, honest };

	if (argc != 4) {
		fprintf(stderr, "usage: user SOCKET CONNECTIONS SEED\n");
		return 2;
	}
	user.path = argv[1];
	user.rng = strtoull(argv[3], NULL, 10) * UINT64_C(0x9e3779b97f4a7c15) + 1;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGUSR1, end_when_done);
	open_odd();
	for (size_t i = 0; i < HELD; i++)
		user.held[i] = -1;
	const unsigned long least = strtoul(argv[2], NULL, 10);
	for (unsigned long i = 0; i < least || !may_end; i++) {
		int fd = connect_once();
		if (fd < 0)
			continue;
		user.connections++;
		void (*const way)(int) = ways[dice(sizeof(ways) / sizeof(*ways))];
		if (way)
			way(fd);
		if (dice(3))
			hold(fd);
		else
			(void)close(fd);
	}
	printf("connections %u answered %u refused %u\n", user.connections, user.answered,
	       user.refused);
	return 0;
}
