/* A session of the agent, in a process of its own and without a guest: the port is a socket, the
 * image's root is that of this host.  Commands need root, as in a guest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000 /* for what is waited for on a loaded machine */

static bool has_root = true; /* process 1 is in the image's root */
static long skip_s;          /* the clock is so much faster at each look */

/* A container may not look at process 1's root. */
static int fake_openat(int dir, const char *path, int flags)
{
	return openat(dir, strcmp(path, "1/root") == 0 ? "/" : path, flags);
}

/* The root of process 1 differs from that of the agent. */
static int fake_fstat(int fd, struct stat *st)
{
	int r = fstat(fd, st);

	st->st_ino += has_root;
	return r;
}

static int fake_clock(clockid_t id, struct timespec *t)
{
	static long skipped;
	int r = clock_gettime(id, t);

	skipped += skip_s;
	t->tv_sec += skipped;
	return r;
}

static int hang_ups; /* so many looks see a hang-up that passes */
static bool late;    /* once a command runs */

static int fake_poll(struct pollfd *p, nfds_t n, int ms)
{
	if (hang_ups == 0)
		return poll(p, n, ms);
	hang_ups--;
	p->revents = POLLHUP;
	return 1;
}

static bool is_greeted(void);
static bool is_running(void);

/* When the client has been answered, or its command runs, the session sees the hang-up of the
 * client before. */
static int fake_ppoll(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *mask)
{
	return hang_ups && (late ? is_running() : is_greeted()) ? fake_poll(p, n, 0)
								: ppoll(p, n, t, mask);
}

#include "controller/agent/end.h"
#include "controller/copy/copy.h"

/* The guest is this host: it does not end. */
_Noreturn static void fake_end(int proc, unsigned grace_ms)
{
	(void)proc;
	_exit(grace_ms == 1234 ? 77 : 1);
}

#define end_asked fake_end
#define poll(p, n, ms) fake_poll(p, n, ms)
#define ppoll fake_ppoll
#define chroot(path) 0
#define fstat fake_fstat
#define openat fake_openat
#define clock_gettime fake_clock
#include "controller/agent/session.c"
#undef end_asked
#undef poll
#undef ppoll

static bool is_greeted(void)
{
	return s.phase == IDLE || s.phase == DESCRIBED;
}

static bool is_running(void)
{
	return s.phase == RUNNING;
}

#undef chroot
#undef fstat
#undef openat
#undef clock_gettime

static struct {
	pid_t agent;
	int port;
	struct agent_reader in;
	bool greeted;
	char said[4096]; /* the output of the command */
} me;

static void say(enum agent_frame type, const void *data, size_t n)
{
	uint8_t frame[AGENT_HEAD + 1000];
	size_t len = agent_put(frame, type, data, n);

	assert_int_equal(send(me.port, frame, len, MSG_NOSIGNAL), len);
}

static int before(void **state)
{
	static const uint8_t nonce[AGENT_NONCE] = "0123456789abcde";
	int pair[2];

	(void)state;
	memset(&me, 0, sizeof(me));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	me.agent = fork();
	if (me.agent == 0) {
		(void)close(pair[0]);
		(void)signal(SIGPIPE, SIG_IGN);
		(void)fcntl(pair[1], F_SETFL, O_RDWR | O_NONBLOCK);
		_exit(session_run(pair[1], open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
	}
	(void)close(pair[1]);
	me.port = pair[0];
	me.in.from = AGENT_GUEST;
	(void)send(me.port, AGENT_MARK, AGENT_MARK_LEN, MSG_NOSIGNAL);
	(void)send(me.port, nonce, AGENT_NONCE, MSG_NOSIGNAL);
	return 0;
}

static void hang_up(void)
{
	if (me.port >= 0)
		(void)close(me.port);
	me.port = -1;
	if (me.agent > 0)
		assert_int_equal(waitpid(me.agent, NULL, 0), me.agent);
	me.agent = 0;
}

static int after(void **state)
{
	(void)state;
	hang_up();
	has_root = true;
	skip_s = hang_ups = 0;
	late = false;
	return 0;
}

/* A session that sees the hang-up of the client before its own. */
static int before_with_hang_up(void **state)
{
	hang_ups = 5;
	return before(state);
}

static int before_with_late_hang_up(void **state)
{
	late = true;
	return before_with_hang_up(state);
}

/* A session of a guest whose init never comes to the image's root, and whose time flies. */
static int before_without_root(void **state)
{
	has_root = false;
	skip_s = 30;
	return before(state);
}

static void receive_more(void)
{
	struct pollfd p = { me.port, POLLIN, 0 };
	size_t size;
	uint8_t *at = agent_room(&me.in, &size);

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	ssize_t n = recv(me.port, at, size, 0);
	assert_true(n > 0);
	me.in.have += (size_t)n;
}

/* Wait for a frame of @type, or for @text in the output.  Return: the frame. */
static struct agent_msg hear(enum agent_frame type, const char *text)
{
	static const uint8_t nonce[AGENT_NONCE] = "0123456789abcde";
	struct agent_msg m;
	int r;

	for (;;) {
		me.greeted = me.greeted || agent_answered(&me.in, nonce);
		while (me.greeted && (r = agent_next(&me.in, &m))) {
			assert_int_equal(r, 1);
			if (m.type == AGENT_OUTPUT)
				(void)strncat(me.said, (const char *)m.data, m.n);
			if (m.type == type && (!text || strstr(me.said, text)))
				return m;
			if (m.type == AGENT_FAILED)
				fail_msg("%.*s", (int)m.n - 1, (const char *)m.data + 1);
		}
		receive_more();
	}
}

static void arguments(const char *const *words)
{
	for (; *words; words++)
		say(AGENT_ARG, *words, strlen(*words));
}

static void run(uint8_t flags, const char *const *words)
{
	const uint8_t start[5] = { flags, 24, 0, 80, 0 };

	if (geteuid() != 0)
		skip();
	arguments(words);
	say(AGENT_START, start, sizeof(start));
}

#define RUN(flags, ...) run(flags, (const char *const[]){ __VA_ARGS__, NULL })

static void test_a_command(void **state)
{
	(void)state;
	RUN(0, "sh", "-c", "cat; exit 3");
	say(AGENT_INPUT, "hello", 5);
	say(AGENT_INPUT, NULL, 0);
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 3);
	assert_string_equal(me.said, "hello");
}

static void test_a_hang_up_that_passes(void **state)
{
	static const uint8_t nonce[AGENT_NONCE] = "0123456789abcde";

	(void)state;
	/* The hang-up comes between the answer and the command. */
	while (!(me.greeted = agent_answered(&me.in, nonce)))
		receive_more();
	RUN(0, "sh", "-c", "echo here");
	(void)hear(AGENT_EXIT, NULL);
	assert_string_equal(me.said, "here\n");
}

/* The hang-up of the client before comes when the command runs already. */
static void test_a_late_hang_up_that_passes(void **state)
{
	(void)state;
	RUN(0, "sh", "-c", "sleep 0.2; echo here");
	(void)hear(AGENT_EXIT, NULL);
	assert_string_equal(me.said, "here\n");
}

/* The command line sends no more words than these. */
static void test_a_command_of_many_words(void **state)
{
	(void)state;
	for (int i = 0; i < AGENT_WORDS - 4; i++)
		say(AGENT_ENV, "A=B", 3);
	arguments((const char *const[]){ "sh", "-c", "exit $(($# / 1000))", "sh", NULL });
	for (int i = 0; i < AGENT_WORDS - 4; i++)
		say(AGENT_ARG, "x", 1);
	RUN(0, NULL);
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 4);
}

static void test_a_terminal_ends_behind_an_incomplete_line(void **state)
{
	(void)state;
	RUN(AGENT_TTY, "sh", "-c", "stty -echo; echo ready; cat; exit 5");
	(void)hear(AGENT_OUTPUT, "ready");
	say(AGENT_INPUT, "one\nabc", 7);
	say(AGENT_INPUT, NULL, 0);
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 5);
	assert_non_null(strstr(me.said, "one\r\nabc"));
}

static void test_a_terminal_ends_without_input(void **state)
{
	(void)state;
	RUN(AGENT_TTY, "sh", "-c", "cat; exit 6");
	say(AGENT_INPUT, NULL, 0);
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 6);
}

static void test_a_folder_and_variables(void **state)
{
	(void)state;
	say(AGENT_ENV, "HOME=/nosuch", 12);
	say(AGENT_ENV, "A=b  c", 6);
	say(AGENT_FOLDER, "/etc", 4);
	say(AGENT_USER, "0", 1);
	RUN(0, "sh", "-c", "printf %s \"$PWD:$HOME:$A:$(id -u)\"");
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 0);
	assert_string_equal(me.said, "/etc:/nosuch:b  c:0");
}

/* Return: true if process @pid has ended; a zombie has. */
static bool has_ended(pid_t pid)
{
	char path[64], stat[512] = "";

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	(void)!read(fd, stat, sizeof(stat) - 1);
	(void)close(fd);
	return strstr(stat, ") Z ") || !stat[0];
}

static void assert_ended(pid_t pid)
{
	const struct timespec pause = { 0, 20000000 };
	bool ended;

	for (int ms = 0; !(ended = has_ended(pid)) && ms < PATIENCE_MS; ms += 20)
		(void)nanosleep(&pause, NULL);
	if (!ended)
		(void)kill(pid, SIGKILL);
	assert_true(ended);
}

/* Start a shell with a job that ignores SIGHUP, in a process group of its own.  The shell is
 * replaced by a program.  Return: the job. */
static pid_t run_job(void)
{
	RUN(AGENT_TTY, "sh", "-c",
	    "set -m; trap '' HUP; sleep 1000 & trap - HUP; echo job $! of $$.; exec sleep 1000");
	(void)hear(AGENT_OUTPUT, ".");
	const char *at = strstr(me.said, "job ");
	assert_non_null(at);
	pid_t job = (pid_t)atoi(at + 4);
	assert_true(job > 1);
	assert_int_equal(getpgid(job), job);
	return job;
}

static void test_jobs_end_with_the_client(void **state)
{
	(void)state;
	pid_t job = run_job();
	hang_up();
	assert_ended(job);
}

static void test_jobs_end_with_a_command_that_is_told_to_end(void **state)
{
	(void)state;
	pid_t job = run_job();
	say(AGENT_SIGNAL, "\x0f", 1);
	assert_int_equal(hear(AGENT_EXIT, NULL).data[1], SIGTERM);
	assert_ended(job);
}

/* What leaves the session is meant to stay. */
static void test_a_daemon_outlives_the_client(void **state)
{
	const struct timespec pause = { 0, 20000000 };

	(void)state;
	RUN(0, "sh", "-c", "setsid sleep 1000 & echo daemon $!.; exec sleep 1000");
	(void)hear(AGENT_OUTPUT, ".");
	const char *at = strstr(me.said, "daemon ");
	assert_non_null(at);
	pid_t daemon = (pid_t)atoi(at + 7);
	assert_true(daemon > 1);
	for (int ms = 0; getsid(daemon) != daemon && ms < PATIENCE_MS; ms += 20)
		(void)nanosleep(&pause, NULL);
	hang_up();
	bool ended = has_ended(daemon);
	(void)kill(daemon, SIGKILL);
	assert_false(ended);
}

static void test_a_guest_without_its_root(void **state)
{
	const uint8_t start[5] = { 0 };

	(void)state;
	arguments((const char *const[]){ "true", NULL });
	say(AGENT_START, start, sizeof(start));
	const struct agent_msg m = hear(AGENT_FAILED, NULL);
	assert_int_equal(m.data[0], 125);
	assert_non_null(memmem(m.data + 1, m.n - 1, "root file system", 16));
}

/* ---- copies ---- */

static void copies(uint8_t flags, const char *path)
{
	if (geteuid() != 0)
		skip();
	say(AGENT_ARG, path, strlen(path));
	say(AGENT_COPY, &flags, 1);
}

/* A file "name" with the content "text", as a stream of records. */
static size_t one_file(uint8_t out[2000])
{
	struct tree_entry e = { .type = TREE_FILE, .mode = 0644, .size = 4, .name = "name" };
	size_t n = tree_put_entry(out, &e);

	n += tree_put(out + n, TREE_DATA, "text", 4);
	return n + tree_put(out + n, TREE_END, NULL, 0);
}

static void test_a_copy_into_the_guest_and_out(void **state)
{
	char dir[] = "/tmp/banger-agent-XXXXXX", path[64], text[5] = "";
	uint8_t records[2000];
	size_t n = one_file(records);

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/name", dir);
	copies(AGENT_COPY_IN | AGENT_COPY_INTO, dir);
	say(AGENT_INPUT, records, 10);
	say(AGENT_INPUT, records + 10, n - 10);
	say(AGENT_INPUT, NULL, 0);
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 0);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, 4), 4);
	(void)close(fd);
	assert_string_equal(text, "text");
	hang_up();
	assert_int_equal(before(NULL), 0);
	copies(0, path);
	/* A name of the host's owner may precede it; the end is what a whole stream has. */
	const struct agent_msg m = hear(AGENT_OUTPUT, NULL);
	assert_non_null(memmem(m.data, m.n, "name", 4));
	assert_memory_equal(m.data + m.n - TREE_HEAD, records + n - TREE_HEAD, TREE_HEAD);
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void test_a_copy_that_fails_says_why(void **state)
{
	(void)state;
	copies(0, "/nosuch");
	const struct agent_msg m = hear(AGENT_ERRORS, NULL);
	assert_non_null(memmem(m.data, m.n, "/nosuch: No such file or directory\n", 34));
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 1);
}

/* A copy is no command: flags that it does not know, or no path, are refused. */
static void refuses_copy(uint8_t flags, int paths)
{
	struct agent_msg m;
	int r;

	for (int i = 0; i < paths; i++)
		say(AGENT_ARG, "/tmp", 4);
	say(AGENT_COPY, &flags, 1);
	while ((r = agent_next(&me.in, &m)) != 1 || m.type != AGENT_FAILED) {
		uint8_t nonce[AGENT_NONCE];
		if (r != 1)
			receive_more();
		(void)agent_greeting(&me.in, nonce);
	}
	assert_int_equal(m.data[0], 125);
}

static void test_bad_copies(void **state)
{
	static const struct {
		uint8_t flags;
		int paths;
	} bad[] = { { 0, 0 }, { AGENT_COPY_IN, 2 }, { 0x80, 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		refuses_copy(bad[i].flags, bad[i].paths);
		hang_up();
		assert_int_equal(before(NULL), 0);
	}
}

/* ---- connections ---- */

static char socket_dir[] = "/tmp/banger-agent-XXXXXX", socket_path[64];

/* Listen at a socket of a folder of its own. */
static int listen_here(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)memcpy(strrchr(socket_dir, '-'), "-XXXXXX", 7);
	assert_non_null(mkdtemp(socket_dir));
	(void)snprintf(socket_path, sizeof(socket_path), "%s/s", socket_dir);
	(void)strcpy(a.sun_path, socket_path);
	assert_int_equal(bind(fd, (const void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

/* Listen at a free port of 127.0.0.1. */
static int listen_at_port(unsigned *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (const void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (void *)&a, &size), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static void connects(unsigned port, const char *path)
{
	uint8_t data[200];

	agent_set16(data, port);
	memcpy(data + 2, path, strlen(path));
	say(AGENT_CONNECT, data, 2 + strlen(path));
}

/* The connection that the agent makes.  Closes @listener. */
static int accepted(int listener)
{
	struct pollfd p = { listener, POLLIN, 0 };

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	(void)close(listener);
	if (socket_path[0]) {
		(void)unlink(socket_path);
		(void)rmdir(socket_dir);
	}
	socket_path[0] = '\0';
	assert_true(fd >= 0);
	return fd;
}

static void assert_gets(int fd, const char *text)
{
	struct pollfd p = { fd, POLLIN, 0 };
	char got[64] = "";
	size_t n = 0;

	while (n < strlen(text)) {
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		ssize_t r = recv(fd, got + n, strlen(text) - n, 0);
		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_string_equal(got, text);
}

static void assert_at_end(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	char byte;

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static void as_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void test_a_connection_whose_other_side_ends_first(void **state)
{
	(void)state;
	as_root();
	int listener = listen_here();
	connects(0, socket_path);
	int fd = accepted(listener);
	say(AGENT_INPUT, "hello", 5);
	assert_gets(fd, "hello");
	assert_int_equal(send(fd, "bye", 3, MSG_NOSIGNAL), 3);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	while (hear(AGENT_OUTPUT, NULL).n)
		;
	assert_string_equal(me.said, "bye");
	say(AGENT_INPUT, "late", 4);
	assert_gets(fd, "late");
	say(AGENT_INPUT, NULL, 0);
	assert_at_end(fd);
	(void)close(fd);
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 0);
}

static void test_a_connection_whose_own_side_ends_first(void **state)
{
	unsigned port;

	(void)state;
	as_root();
	int listener = listen_at_port(&port);
	connects(port, "");
	int fd = accepted(listener);
	say(AGENT_INPUT, "question", 8);
	say(AGENT_INPUT, NULL, 0);
	assert_gets(fd, "question");
	assert_at_end(fd);
	assert_int_equal(send(fd, "answer", 6, MSG_NOSIGNAL), 6);
	(void)close(fd);
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 0);
	assert_string_equal(me.said, "answer");
}

/* No byte would be taken any more: the session does not wait for the client's end. */
static void test_a_connection_whose_peer_is_gone(void **state)
{
	(void)state;
	as_root();
	int listener = listen_here();
	connects(0, socket_path);
	(void)close(accepted(listener));
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 0);
}

static void test_a_connection_ends_with_its_client(void **state)
{
	(void)state;
	as_root();
	int listener = listen_here();
	connects(0, socket_path);
	int fd = accepted(listener);
	hang_up();
	assert_at_end(fd);
	(void)close(fd);
}

/* ---- what a client that is gone has sent ---- */

#define PIECE 1000
#define SENT_MOST (32 * 1024 * 1024)

/* A piece of the client's bytes, which are another at each place. */
static void piece(size_t at, char out[PIECE + 1])
{
	for (size_t i = 0; i < PIECE; i += 10)
		(void)snprintf(out + i, 11, "%09zu\n", at + i);
}

/* Take frames that have come, and wait @ms for one.  Return: the bytes of credit that they give, or
 * -1 if none has come. */
static long take_frames(int ms)
{
	static const uint8_t nonce[AGENT_NONCE] = "0123456789abcde";
	struct pollfd p = { me.port, POLLIN, 0 };
	struct agent_msg m;
	long credit = 0;

	if (poll(&p, 1, ms) == 0)
		return -1;
	receive_more();
	me.greeted = me.greeted || agent_answered(&me.in, nonce);
	while (me.greeted && agent_next(&me.in, &m) == 1)
		if (m.type == AGENT_TOOK)
			credit += agent_u32(m.data + 1);
	return credit;
}

/* Send until the server, which reads nothing, and all that is before it is full.  The time-out only
 * decides how much is sent.  Return: the number of bytes. */
static size_t fill_up(void)
{
	long credit = AGENT_WINDOW, more = 0;
	char data[PIECE + 1];
	size_t sent = 0;

	while (more >= 0 && sent < SENT_MOST) {
		for (; credit >= PIECE; credit -= PIECE, sent += PIECE) {
			piece(sent, data);
			say(AGENT_INPUT, data, PIECE);
		}
		more = take_frames(500);
		credit += more;
	}
	return sent;
}

/* The server reads at last: all @sent bytes, then the end. */
static void assert_gets_all(int fd, size_t sent)
{
	const struct timeval most = { PATIENCE_MS / 1000, 0 };
	char want[PIECE + 1], got[PIECE];

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	for (size_t at = 0; at < sent; at += PIECE) {
		piece(at, want);
		assert_int_equal(recv(fd, got, PIECE, MSG_WAITALL), PIECE);
		assert_memory_equal(got, want, PIECE);
	}
	assert_at_end(fd);
	(void)close(fd);
}

static void test_a_unix_server_gets_what_its_client_has_sent(void **state)
{
	(void)state;
	as_root();
	int listener = listen_here();
	connects(0, socket_path);
	int fd = accepted(listener);
	size_t sent = fill_up();
	hang_up();
	assert_gets_all(fd, sent);
}

/* A client that says that it goes is told that all has come. */
static void test_a_client_that_goes_is_told_so(void **state)
{
	(void)state;
	as_root();
	int listener = listen_here();
	connects(0, socket_path);
	int fd = accepted(listener);
	size_t sent = fill_up();
	say(AGENT_SIGNAL, "\x01", 1);
	const struct agent_msg m = hear(AGENT_EXIT, NULL);
	assert_int_equal(m.data[0] + m.data[1], 0);
	hang_up();
	assert_gets_all(fd, sent);
}

/* An answer that nothing reads must not reset the connection. */
static void test_a_tcp_server_gets_what_its_client_has_sent(void **state)
{
	char answer[3 * PIECE] = "";
	unsigned port;

	(void)state;
	as_root();
	int listener = listen_at_port(&port);
	connects(port, "");
	int fd = accepted(listener);
	assert_int_equal(send(fd, answer, sizeof(answer), MSG_NOSIGNAL), sizeof(answer));
	size_t sent = fill_up();
	hang_up();
	assert_int_equal(send(fd, answer, sizeof(answer), MSG_NOSIGNAL), sizeof(answer));
	assert_gets_all(fd, sent);
}

/* Return: true if the session has a child; a zombie is one. */
static bool has_children(void)
{
	char path[64], text[16];

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)me.agent,
		       (int)me.agent);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t n = read(fd, text, sizeof(text));
	(void)close(fd);
	return n > 0;
}

/* The hang-up is missed: the next client's greeting is all that ends the connection. */
static void test_the_next_client_does_not_wait_for_what_was_sent(void **state)
{
	static const uint8_t nonce[AGENT_NONCE] = "0123456789abcde";
	const struct timespec pause = { 0, 20000000 };

	(void)state;
	as_root();
	int listener = listen_here();
	connects(0, socket_path);
	int first = accepted(listener);
	size_t sent = fill_up();
	(void)send(me.port, AGENT_MARK, AGENT_MARK_LEN, MSG_NOSIGNAL);
	(void)send(me.port, nonce, AGENT_NONCE, MSG_NOSIGNAL);
	me.greeted = false;
	RUN(0, "sh", "-c", "echo next; exit 3");
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 3);
	assert_string_equal(me.said, "next\n");
	assert_gets_all(first, sent);
	for (int ms = 0; has_children() && ms < PATIENCE_MS; ms += 20)
		(void)nanosleep(&pause, NULL);
	assert_false(has_children());
}

/* Listen at a free port of an IPv6 address.  Return: -1: the machine has no such address. */
static int listen_at_port6(const struct in6_addr *address, unsigned *port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = *address };
	socklen_t size = sizeof(a);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;

	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (fd < 0 || bind(fd, (const void *)&a, sizeof(a)) < 0) {
		(void)close(fd);
		return -1;
	}
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (void *)&a, &size), 0);
	*port = ntohs(a.sin6_port);
	return fd;
}

/* The server closes its socket, and TCP shows the end of its direction alone. */
static void ends_with_its_server(int listener, unsigned port)
{
	if (listener < 0)
		return;
	connects(port, "");
	(void)close(accepted(listener));
	while (hear(AGENT_OUTPUT, NULL).n)
		;
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 0);
	hang_up();
	assert_int_equal(before(NULL), 0);
}

static void test_a_connection_whose_tcp_peer_is_gone(void **state)
{
	unsigned port = 0;
	int listener;

	(void)state;
	as_root();
	listener = listen_at_port(&port);
	ends_with_its_server(listener, port);
	listener = listen_at_port6(&in6addr_loopback, &port);
	ends_with_its_server(listener, port);
	listener = listen_at_port6(&in6addr_any, &port);
	ends_with_its_server(listener, port);
}

/* A server that has only ended its own direction is looked at, and stays. */
static void test_a_tcp_server_that_ends_its_direction_still_reads(void **state)
{
	const struct timespec looks = { 2, 0 };
	unsigned port;

	(void)state;
	as_root();
	int listener = listen_at_port(&port);
	connects(port, "");
	int fd = accepted(listener);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	while (hear(AGENT_OUTPUT, NULL).n)
		;
	(void)nanosleep(&looks, NULL);
	say(AGENT_INPUT, "late", 4);
	assert_gets(fd, "late");
	say(AGENT_INPUT, NULL, 0);
	assert_at_end(fd);
	(void)close(fd);
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 0);
}

static void test_a_connection_that_is_refused(void **state)
{
	unsigned port;

	(void)state;
	as_root();
	(void)close(listen_at_port(&port));
	connects(port, "");
	const struct agent_msg m = hear(AGENT_ERRORS, NULL);
	assert_non_null(memmem(m.data, m.n, "Connection refused\n", 19));
	assert_int_equal(hear(AGENT_EXIT, NULL).data[0], 1);
}

static void refuses_connect(unsigned port, const char *path, const char *arg)
{
	struct agent_msg m;
	int r;

	if (arg)
		say(AGENT_ARG, arg, strlen(arg));
	connects(port, path);
	while ((r = agent_next(&me.in, &m)) != 1 || m.type != AGENT_FAILED) {
		uint8_t nonce[AGENT_NONCE];
		if (r != 1)
			receive_more();
		(void)agent_greeting(&me.in, nonce);
	}
	assert_int_equal(m.data[0], 125);
	hang_up();
	assert_int_equal(before(NULL), 0);
}

static void test_bad_connections(void **state)
{
	(void)state;
	refuses_connect(0, "", NULL);
	refuses_connect(0, "relative", NULL);
	refuses_connect(80, "/path", NULL);
	refuses_connect(80, "", "argument");
}

/* ---- the end of the guest ---- */

static void test_the_guest_is_told_to_end(void **state)
{
	uint8_t grace[4];
	int status;

	(void)state;
	agent_set32(grace, 1234);
	say(AGENT_END, grace, sizeof(grace));
	assert_int_equal(waitpid(me.agent, &status, 0), me.agent);
	me.agent = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 77);
}

/* Only in the place of a command. */
static void test_an_end_during_a_command_is_refused(void **state)
{
	uint8_t grace[4] = { 0 };

	(void)state;
	RUN(0, "sleep", "1000");
	say(AGENT_END, grace, sizeof(grace));
	const struct agent_msg m = hear(AGENT_FAILED, "");
	assert_int_equal(m.data[0], 125);
}

#define T(f) cmocka_unit_test_setup_teardown(f, before, after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_command),
		T(test_a_command_of_many_words),
		T(test_a_folder_and_variables),
		T(test_a_terminal_ends_behind_an_incomplete_line),
		T(test_a_terminal_ends_without_input),
		T(test_jobs_end_with_the_client),
		T(test_jobs_end_with_a_command_that_is_told_to_end),
		T(test_a_daemon_outlives_the_client),
		T(test_a_copy_into_the_guest_and_out),
		T(test_a_copy_that_fails_says_why),
		T(test_bad_copies),
		T(test_a_connection_whose_other_side_ends_first),
		T(test_a_connection_whose_own_side_ends_first),
		T(test_a_connection_whose_peer_is_gone),
		T(test_a_connection_ends_with_its_client),
		T(test_a_unix_server_gets_what_its_client_has_sent),
		T(test_a_client_that_goes_is_told_so),
		T(test_a_tcp_server_gets_what_its_client_has_sent),
		T(test_the_next_client_does_not_wait_for_what_was_sent),
		T(test_a_connection_whose_tcp_peer_is_gone),
		T(test_a_tcp_server_that_ends_its_direction_still_reads),
		T(test_a_connection_that_is_refused),
		T(test_bad_connections),
		T(test_the_guest_is_told_to_end),
		T(test_an_end_during_a_command_is_refused),
		cmocka_unit_test_setup_teardown(test_a_hang_up_that_passes, before_with_hang_up,
						after),
		cmocka_unit_test_setup_teardown(test_a_late_hang_up_that_passes,
						before_with_late_hang_up, after),
		cmocka_unit_test_setup_teardown(test_a_guest_without_its_root, before_without_root,
						after),
	};

	return cmocka_run_group_tests_name("agent_session", tests, NULL, NULL);
}
