/* Tests messages with descriptors over real sockets, and complete reads and writes. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/fdio.h"

struct pair {
	int a, b;
};

static void open_pair(struct pair *p, int type)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), 0);
	p->a = fds[0];
	p->b = fds[1];
}

static void close_pair(struct pair *p)
{
	(void)close(p->a);
	(void)close(p->b);
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void passes_descriptors(void **state)
{
	int sent[FDIO_MAX], got[FDIO_MAX];
	struct stat a, b;
	struct pair p;
	char buf[8];
	size_t n;

	(void)state;
	open_pair(&p, SOCK_SEQPACKET);
	for (int i = 0; i < FDIO_MAX; i++)
		sent[i] = p.a;
	assert_int_equal(fdio_send(p.a, "hello", 5, sent, FDIO_MAX), 0);
	assert_int_equal(fdio_recv(p.b, buf, sizeof(buf), got, &n), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(n, FDIO_MAX);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(fstat(p.a, &a) | fstat(got[i], &b), 0);
		assert_true(a.st_ino == b.st_ino);
		assert_int_equal(fcntl(got[i], F_GETFD), FD_CLOEXEC);
	}
	fdio_close_all(got, n);
	assert_int_equal(got[0], -1);
	close_pair(&p);
}

static void refuses_too_many(void **state)
{
	int fds[FDIO_MAX + 1] = { 0 };
	struct pair p;

	(void)state;
	open_pair(&p, SOCK_SEQPACKET);
	assert_int_equal(fdio_send(p.a, "x", 1, fds, FDIO_MAX + 1), -1);
	assert_int_equal(errno, EINVAL);
	close_pair(&p);
}

/* A message that the kernel cut short brings descriptors, which must not stay open. */
static void refuses_cut_messages(void **state)
{
	int fds[1] = { STDIN_FILENO }, got[FDIO_MAX];
	struct pair p;
	char buf[4];
	size_t n;

	(void)state;
	open_pair(&p, SOCK_SEQPACKET);
	int before = open_fds();
	assert_int_equal(fdio_send(p.a, "hello", 5, fds, 1), 0);
	assert_int_equal(fdio_recv(p.b, buf, sizeof(buf), got, &n), -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(n, 0);
	assert_int_equal(open_fds(), before);
	close_pair(&p);
}

/* The message has more descriptors than any of ours: MSG_CTRUNC. */
static void refuses_cut_lists(void **state)
{
	union {
		char buf[CMSG_SPACE(9 * sizeof(int))];
		struct cmsghdr align;
	} u = { 0 };
	struct iovec iov = { (char[]){ 'x' }, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = u.buf,
			    .msg_controllen = sizeof(u.buf) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int nine[9] = { 0 }, got[FDIO_MAX];
	struct pair p;
	char buf[4];
	size_t n;

	(void)state;
	open_pair(&p, SOCK_SEQPACKET);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(nine));
	memcpy(CMSG_DATA(c), nine, sizeof(nine));
	int before = open_fds();
	assert_int_equal(sendmsg(p.a, &m, 0), 1);
	assert_int_equal(fdio_recv(p.b, buf, sizeof(buf), got, &n), -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(open_fds(), before);
	close_pair(&p);
}

/* The control message SCM_CREDENTIALS is none of ours. */
static void refuses_other_control(void **state)
{
	int on = 1, got[FDIO_MAX];
	struct pair p;
	char buf[4];
	size_t n;

	(void)state;
	open_pair(&p, SOCK_SEQPACKET);
	assert_int_equal(setsockopt(p.b, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	assert_int_equal(fdio_send(p.a, "x", 1, NULL, 0), 0);
	assert_int_equal(fdio_recv(p.b, buf, sizeof(buf), got, &n), -1);
	assert_int_equal(errno, EBADMSG);
	close_pair(&p);
}

static void end_of_file(void **state)
{
	int got[FDIO_MAX];
	struct pair p;
	char buf[4];
	size_t n = 7;

	(void)state;
	open_pair(&p, SOCK_SEQPACKET);
	(void)close(p.a);
	assert_int_equal(fdio_recv(p.b, buf, sizeof(buf), got, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(fdio_send(p.b, "x", 1, NULL, 0), -1);
	assert_int_equal(errno, EPIPE); /* and no SIGPIPE */
	(void)close(p.b);
}

static void whole_reads_and_writes(void **state)
{
	struct pair p;
	char buf[8];

	(void)state;
	open_pair(&p, SOCK_STREAM);
	assert_int_equal(fdio_write_all(p.a, "abc", 3), 0);
	assert_int_equal(fdio_write_all(p.a, "defgh", 5), 0);
	assert_int_equal(fdio_read_all(p.b, buf, 8), 0);
	assert_memory_equal(buf, "abcdefgh", 8);
	assert_int_equal(fdio_write_all(p.a, "xy", 2), 0);
	(void)close(p.a);
	assert_int_equal(fdio_read_all(p.b, buf, 3), -1);
	assert_int_equal(errno, EPIPE);
	(void)close(p.b);
}

/* An error path may close first and report afterwards.  A second close must not hit a number that
 * is in use again. */
static void a_closed_descriptor_is_forgotten(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), number = fd;

	(void)state;
	assert_true(fd >= 0);
	errno = ENOMEM;
	close_and_reset(&fd);
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(fd, -1);
	assert_int_equal(fcntl(number, F_GETFD), -1);
	fd = number; /* the close of a closed descriptor fails with EBADF */
	errno = ENOMEM;
	close_and_reset(&fd);
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passes_descriptors),
		cmocka_unit_test(refuses_too_many),
		cmocka_unit_test(refuses_cut_messages),
		cmocka_unit_test(refuses_cut_lists),
		cmocka_unit_test(refuses_other_control),
		cmocka_unit_test(end_of_file),
		cmocka_unit_test(whole_reads_and_writes),
		cmocka_unit_test(a_closed_descriptor_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
