/* The relay of a connection that has lost its client: how long it goes on.  Each look at the clock
 * is some seconds later than the one before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define SKIP_S 5

static int fake_clock(clockid_t id, struct timespec *t)
{
	static long skipped;
	int r = clock_gettime(id, t);

	skipped += SKIP_S;
	t->tv_sec += skipped;
	return r;
}

#define clock_gettime fake_clock
#include "controller/agent/relay.c"
#undef clock_gettime

#define PATIENCE_S 60      /* for what is waited for on a loaded machine */
#define MUCH (1024 * 1024) /* bytes; more than the queue of a Unix socket takes */

static char dir[64], path[80];

static int listen_here(int backlog)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)strcpy(dir, "/tmp/banger-relay-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	(void)strcpy(a.sun_path, path);
	assert_int_equal(bind(fd, (const void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

/* A pipe whose writer has written @n bytes and is gone.  Return: its reading end. */
static int pipe_of(size_t n)
{
	static const char zeros[MUCH];
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_true(fcntl(p[1], F_SETPIPE_SZ, MUCH) >= MUCH);
	assert_int_equal(write(p[1], zeros, n), n);
	(void)close(p[1]);
	return p[0];
}

/* A pipe whose reader is gone.  Return: its writing end. */
static int pipe_unread(void)
{
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	(void)close(p[0]);
	return p[1];
}

/* A relay to @path without a client, whose input is @n bytes.  Return: its exit status. */
static int left_alone(size_t n)
{
	const int in = pipe_of(n), out = pipe_unread(), err = pipe_unread();
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGPIPE, SIG_IGN);
		(void)alarm(PATIENCE_S);
		if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
			_exit(9);
		_exit(relay_run(0, path, -1));
	}
	(void)close(in);
	(void)close(out);
	(void)close(err);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)unlink(path);
	(void)rmdir(dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void test_a_server_that_never_reads(void **state)
{
	(void)state;
	int listener = listen_here(1);
	assert_int_equal(left_alone(MUCH), 0);
	(void)close(listener);
}

/* All is in the server's queue: its end is not waited for. */
static void test_a_server_that_reads_later(void **state)
{
	char got[16];

	(void)state;
	int listener = listen_here(1);
	assert_int_equal(left_alone(5), 0);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(recv(fd, got, sizeof(got), MSG_WAITALL), 5);
	(void)close(fd);
	(void)close(listener);
}

static void test_a_server_that_never_accepts(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int waiting[8], n = 0;

	(void)state;
	int listener = listen_here(0);
	(void)strcpy(a.sun_path, path);
	do { /* until its queue is full */
		assert_in_range(n, 0, 7);
		waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	} while (connect(waiting[n++], (const void *)&a, sizeof(a)) == 0);
	assert_int_equal(left_alone(5), 1);
	while (n > 0)
		(void)close(waiting[--n]);
	(void)close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_server_that_never_reads),
		cmocka_unit_test(test_a_server_that_reads_later),
		cmocka_unit_test(test_a_server_that_never_accepts),
	};

	return cmocka_run_group_tests_name("agent_relay", tests, NULL, NULL);
}
