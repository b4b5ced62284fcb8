/* session.c - one port's client after another, in a process of its own.
 *
 * Theory of operation.  A client's greeting begins a session at any time: the client before it is
 * gone then, even if the process has missed that.  Frames up to START describe a command; those up
 * to COPY describe a copy of files, which runs as a command does.  After that bytes go both ways.
 * Nothing is buffered without bound: what the command does not read waits in a queue of
 * AGENT_WINDOW bytes, which a client can not exceed; what the client does not read stays in the
 * command's pipes.  POLLHUP at the port means that the client is gone.
 *
 * A command ends with its client.  A connection ends with what its client has sent: the queue goes
 * into the pipe of its relay, which is left alone then (relay.c), and the port is free. */
#include "controller/agent/session.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "controller/agent/command.h"
#include "controller/agent/end.h"
#include "proto/agent.h"

#define GRACE_MS 1000   /* from SIGHUP to SIGKILL */
#define ROOT_MS 120000  /* for the image's root, as long as `run` waits for a guest */
#define HANG_UP_MS 500  /* while a client may wait for us, a hang-up that lasts so long is one */
#define STEP_MS 10      /* pause between two looks at what is waited for */
#define CONTROL_MAX 512 /* bytes of frames without data that wait for the port */
/* Bytes of the pipe of a relay that is left alone: for the 64 KiB that it can hold, and the queue.
 * The kernel lets root take so many (pipe(7)). */
#define LEFT_PIPE (2 * AGENT_WINDOW)

enum phase { IDLE, DESCRIBED, RUNNING, ENDED };

static struct session {
	int port, proc;
	enum phase phase; /* DESCRIBED: START came, the image's root is waited for */
	uint64_t root_ms; /* then it is waited for no more */
	bool gone;        /* the client is */
	struct agent_reader in;
	size_t have; /* bytes in out */
	uint8_t out[CONTROL_MAX + AGENT_HEAD + AGENT_CHUNK];
	struct command command;
	struct running run;
	bool exited;
	bool told_to_end; /* the client has sent a signal that ends programs */
	int status;
	/* the command's standard input */
	size_t queued;
	uint8_t queue[AGENT_WINDOW];
	bool input_ends;
	int eofs; /* of the terminal, written */
	uint32_t took;
	/* of output and errors: what the client lets us send */
	uint32_t credit[AGENT_STREAMS];
} s;

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static void sleep_ms(long ms)
{
	const struct timespec t = { 0, ms * 1000000 };

	(void)nanosleep(&t, NULL);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- frames to the client ---- */

static void put(enum agent_frame type, const void *data, size_t n)
{
	if (s.have + AGENT_HEAD + n <= sizeof(s.out))
		s.have += agent_put(s.out + s.have, type, data, n);
}

static void flush(void)
{
	ssize_t n = s.have ? write(s.port, s.out, s.have) : 0;

	if (n <= 0)
		return;
	s.have -= (size_t)n;
	memmove(s.out, s.out + n, s.have);
}

static void put_failed(int status, const char *why)
{
	uint8_t data[200] = { (uint8_t)status };
	size_t n = 1;

	for (; n < sizeof(data) && *why; why++)
		data[n++] = (uint8_t)*why;
	put(AGENT_FAILED, data, n);
	s.phase = ENDED;
}

/* ---- the end of a command ---- */

/* Return: the session of a process that has not ended, or -1; @pid: the name of its folder in
 * /proc. */
static pid_t session_of(const char *pid)
{
	char path[64], stat[512], state;
	int session;

	if (*pid < '1' || *pid > '9')
		return -1;
	(void)snprintf(path, sizeof(path), "%.32s/stat", pid);
	int fd = openat(s.proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, stat, sizeof(stat) - 1);
	close_fd(&fd);
	stat[n < 0 ? 0 : n] = '\0';
	/* The name of the program is in parentheses and may hold some (proc(5)). */
	const char *name_end = strrchr(stat, ')');
	if (!name_end || sscanf(name_end, ") %c %*d %*d %d", &state, &session) != 2)
		return -1;
	return state == 'Z' || state == 'X' ? -1 : session;
}

/* Send SIGKILL to each process of the command's session.  Return: true if there was one. */
static bool kill_session(void)
{
	int fd = openat(s.proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool found = false;
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (session_of(e->d_name) == s.run.pid)
			found |= kill((pid_t)atoi(e->d_name), SIGKILL) == 0;
	if (d)
		(void)closedir(d);
	return found;
}

/* Kill what the command has left in its session: its process group, and the jobs of a shell, which
 * have groups of their own.  The leader is reaped at the end, so that the number of the session
 * stays its own. */
static void end_session(void)
{
	(void)kill(-s.run.pid, SIGKILL);
	for (int ms = 0; ms < GRACE_MS && kill_session(); ms += STEP_MS)
		sleep_ms(STEP_MS);
	(void)waitpid(s.run.pid, NULL, 0);
	s.run.pid = 0;
}

static void close_streams(void)
{
	close_fd(&s.run.in);
	close_fd(&s.run.out);
	close_fd(&s.run.err);
	s.run.pid = 0;
}

/* End the command: SIGHUP to its process group, after GRACE_MS SIGKILL to all of its session. */
static void end_command(void)
{
	siginfo_t info;

	if (s.phase == RUNNING && s.run.pid > 0) {
		(void)kill(-s.run.pid, SIGHUP);
		(void)kill(-s.run.pid, SIGCONT);
		for (int ms = 0; ms < GRACE_MS; ms += STEP_MS) {
			info.si_pid = 0;
			if (waitid(P_PID, (id_t)s.run.pid, &info, WEXITED | WNOHANG | WNOWAIT) <
				    0 ||
			    info.si_pid)
				break;
			sleep_ms(STEP_MS);
		}
		end_session();
	}
	close_streams();
}

static void feed(void);

/* The client is gone.  End its command, or leave the relay of its connection alone. */
static void leave_command(void)
{
	if (s.phase != RUNNING || !s.command.connects) {
		end_command();
		return;
	}
	(void)fcntl(s.run.in, F_SETPIPE_SZ, LEFT_PIPE);
	feed();
	close_streams();
}

static void begin(const uint8_t nonce[AGENT_NONCE])
{
	leave_command();
	s.command.used = s.command.nargs = s.command.nenv = 0;
	s.command.folder = s.command.user = NULL;
	s.command.line = s.command.tty = s.command.entry = false;
	s.command.copies = s.command.connects = false;
	s.phase = IDLE;
	s.exited = s.input_ends = s.told_to_end = false;
	s.queued = s.took = 0;
	s.eofs = 0;
	s.credit[AGENT_STREAM_OUTPUT] = s.credit[AGENT_STREAM_ERRORS] = AGENT_WINDOW;
	memcpy(s.out, AGENT_MARK, AGENT_MARK_LEN);
	memcpy(s.out + AGENT_MARK_LEN, nonce, AGENT_NONCE);
	s.have = AGENT_GREETING;
}

/* ---- frames of the client ---- */

static int add_word(char **words, size_t *n, const struct agent_msg *m)
{
	char *w = *n < AGENT_WORDS ? command_word(&s.command, m->data, m->n) : NULL;

	if (!w)
		return -1;
	words[(*n)++] = w;
	words[*n] = NULL;
	return 0;
}

static int described(void)
{
	s.root_ms = now_ms() + ROOT_MS;
	s.phase = DESCRIBED;
	return 0;
}

/* A connection to port 0 has a path, one to another port has none. */
static int describe_connect(const struct agent_msg *m)
{
	struct command *c = &s.command;

	c->connects = true;
	c->proc = s.proc;
	c->port = agent_u16(m->data);
	c->socket = command_word(c, m->data + 2, m->n - 2);
	if (!c->socket || (c->port == 0) != (c->socket[0] == '/') || (c->port && c->socket[0]) ||
	    c->nargs)
		return -1;
	return described();
}

static bool enter_root(void);

/* Never returns: the guest ends. */
_Noreturn static void end_guest(const struct agent_msg *m)
{
	close_fd(&s.port); /* the connection tells nothing more */
	/* Before init has the image's root, this process is where /sys is. */
	(void)enter_root();
	end_asked(s.proc, agent_u32(m->data));
}

static int describe(const struct agent_msg *m)
{
	struct command *c = &s.command;

	switch (m->type) {
	case AGENT_ARG:
		return add_word(c->args, &c->nargs, m);
	case AGENT_ENV:
		return memchr(m->data, '=', m->n) ? add_word(c->env, &c->nenv, m) : -1;
	case AGENT_FOLDER:
		return (c->folder = command_word(c, m->data, m->n)) ? 0 : -1;
	case AGENT_USER:
		return (c->user = command_word(c, m->data, m->n)) ? 0 : -1;
	case AGENT_START:
		c->tty = m->data[0] & AGENT_TTY;
		c->line = m->data[0] & AGENT_LINE;
		c->entry = m->data[0] & AGENT_ENTRY;
		c->rows = agent_u16(m->data + 1);
		c->cols = agent_u16(m->data + 3);
		if (m->data[0] & ~AGENT_FLAGS || (c->line && c->nargs != 1))
			return -1;
		return described();
	case AGENT_COPY:
		c->copies = true;
		c->copy = m->data[0];
		if (c->copy & ~AGENT_COPY_FLAGS || c->nargs == 0 ||
		    (c->copy & AGENT_COPY_IN && c->nargs != 1))
			return -1;
		return described();
	case AGENT_CONNECT:
		return describe_connect(m);
	case AGENT_END:
		end_guest(m);
	default:
		return -1;
	}
}

static int take_input(const struct agent_msg *m)
{
	if (s.input_ends || m->n > AGENT_WINDOW - s.queued)
		return -1;
	memcpy(s.queue + s.queued, m->data, m->n);
	s.queued += m->n;
	s.input_ends = m->n == 0;
	return 0;
}

static int take_credit(const struct agent_msg *m)
{
	unsigned stream = m->data[0];
	uint32_t n = agent_u32(m->data + 1);

	if ((stream != AGENT_STREAM_OUTPUT && stream != AGENT_STREAM_ERRORS) ||
	    n > AGENT_WINDOW - s.credit[stream])
		return -1;
	s.credit[stream] += n;
	return 0;
}

static void resize(const struct agent_msg *m)
{
	const struct winsize w = { (unsigned short)agent_u16(m->data),
				   (unsigned short)agent_u16(m->data + 2), 0, 0 };

	if (s.command.tty && s.run.out >= 0)
		(void)ioctl(s.run.out, TIOCSWINSZ, &w);
}

/* The client of a connection is gone, and its last words have come.  Its answer is the end. */
static void leave_connection(void)
{
	static const uint8_t done[2] = { 0 };

	leave_command();
	put(AGENT_EXIT, done, sizeof(done));
	s.phase = ENDED;
}

static void pass_signal(int sig)
{
	if (s.phase != RUNNING || s.run.pid <= 0 || s.exited || sig <= 0 || sig > SIGSYS)
		return;
	s.told_to_end |= sig == SIGHUP || sig == SIGINT || sig == SIGQUIT || sig == SIGTERM;
	(void)kill(-s.run.pid, sig);
}

static int direct(const struct agent_msg *m)
{
	switch (m->type) {
	case AGENT_INPUT:
		return take_input(m);
	case AGENT_TOOK:
		return take_credit(m);
	case AGENT_RESIZE:
		resize(m);
		return 0;
	case AGENT_SIGNAL:
		if (s.phase == RUNNING && s.command.connects && m->data[0] == SIGHUP)
			leave_connection();
		else
			pass_signal(m->data[0]);
		return 0;
	default:
		return -1;
	}
}

/* Take what the client has sent.  Frames after the end of the command are ignored. */
static void take(void)
{
	uint8_t nonce[AGENT_NONCE];
	struct agent_msg m;
	int r;

	if (agent_greeting(&s.in, nonce))
		begin(nonce);
	while ((r = agent_next(&s.in, &m)) > 0) {
		if (s.phase == ENDED)
			continue;
		if ((s.phase == IDLE ? describe(&m) : direct(&m)) < 0)
			break;
	}
	if (r == 0)
		return;
	/* No frame of ours: until the next greeting nothing is. */
	if (s.phase != ENDED) {
		end_command();
		put_failed(125, "the agent was sent a frame that it does not take");
	}
	agent_discard(&s.in);
}

/* Return: true if the client is gone.  A port's bytes and the news of its clients come in different
 * queues (drivers/char/virtio_console.c), so the next client's greeting may have been answered, and
 * its command run, before the hang-up of the one before is seen.  A session that ended then would
 * leave that client waiting for ever.  The news of its connection is in the same queue as that
 * hang-up, which so passes.  At the end of a session, with all said, no client waits. */
static bool hung_up(void)
{
	struct pollfd p = { s.port, POLLIN | POLLRDHUP, 0 };
	const bool waits = s.phase != ENDED || s.have;

	for (int ms = 0; waits && ms < HANG_UP_MS; ms += STEP_MS) {
		p.revents = 0;
		(void)poll(&p, 1, 0);
		if (!(p.revents & (POLLHUP | POLLRDHUP | POLLERR)))
			return false;
		sleep_ms(STEP_MS);
	}
	return true;
}

static void receive(void)
{
	size_t size;
	uint8_t *at = agent_room(&s.in, &size);
	ssize_t n = read(s.port, at, size);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		s.gone = n < 0 || hung_up();
	if (n <= 0)
		return;
	s.in.have += (size_t)n;
	take();
}

/* ---- the command's streams ---- */

static void drop_input(void)
{
	s.took += (uint32_t)s.queued;
	s.queued = 0;
	close_fd(&s.run.in);
}

/* A terminal has no end of file but its character.  Behind an incomplete line the first one only
 * completes that line; the second one is the end of file (termios(3), VEOF). */
static void end_input(void)
{
	struct termios t;
	uint8_t eof = s.command.tty && tcgetattr(s.run.in, &t) == 0 ? t.c_cc[VEOF] : 4;

	for (; s.command.tty && s.eofs < 2; s.eofs++)
		if (write(s.run.in, &eof, 1) < 0 && (errno == EAGAIN || errno == EINTR))
			return;
	close_fd(&s.run.in);
}

static void feed(void)
{
	ssize_t n = s.queued ? write(s.run.in, s.queue, s.queued) : 0;

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		drop_input();
	if (n > 0) {
		s.queued -= (size_t)n;
		s.took += (uint32_t)n;
		memmove(s.queue, s.queue + n, s.queued);
	}
	if (s.input_ends && !s.queued && s.run.in >= 0)
		end_input();
}

/* Move bytes of a stream into a frame.  An end of file, and after the command's exit an empty pipe,
 * closes the stream: a process that the command has left may hold its other end. */
static void collect(int *fd, enum agent_stream stream)
{
	uint8_t *at = s.out + s.have;
	size_t room = sizeof(s.out) - CONTROL_MAX;
	size_t n = s.have + AGENT_HEAD < room ? room - s.have - AGENT_HEAD : 0;

	if (n > s.credit[stream])
		n = s.credit[stream];
	if (*fd < 0 || n == 0)
		return;
	ssize_t got = read(*fd, at + AGENT_HEAD, n);
	if (got < 0 && errno == EINTR)
		return;
	if (got > 0) {
		s.credit[stream] -= (uint32_t)got;
		s.have += agent_put(at, stream == AGENT_STREAM_OUTPUT ? AGENT_OUTPUT : AGENT_ERRORS,
				    NULL, (size_t)got);
	} else if (got == 0 || errno != EAGAIN || s.exited) {
		close_fd(fd);
		if (s.command.connects && stream == AGENT_STREAM_OUTPUT)
			s.have += agent_put(at, AGENT_OUTPUT, NULL, 0);
	}
}

static void tell_taken(void)
{
	uint8_t data[5] = { AGENT_STREAM_INPUT };

	if (s.run.in < 0)
		drop_input();
	if (s.took < AGENT_WINDOW / 4 && !(s.took && !s.queued))
		return;
	if (s.have + AGENT_HEAD + sizeof(data) > CONTROL_MAX)
		return;
	agent_set32(data + 1, s.took);
	put(AGENT_TOOK, data, sizeof(data));
	s.took = 0;
}

/* Reap the relays that were left alone by this process.  Each has a process group of its own, and
 * so has the command that runs. */
static void reap_left(void)
{
	siginfo_t info = { 0 };

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid &&
	       info.si_pid != s.run.pid)
		(void)waitpid(info.si_pid, NULL, 0);
}

static void look_for_exit(void)
{
	siginfo_t info = { 0 };

	if (s.exited || waitid(P_PID, (id_t)s.run.pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	    !info.si_pid)
		return;
	s.exited = true;
	s.status = info.si_status;
	s.status |= info.si_code == CLD_EXITED ? 0 : 0x100;
}

/* After the exit and the last bytes: the last frame. */
static void look_for_end(void)
{
	uint8_t data[2];

	if (!s.exited || s.run.out >= 0 || s.run.err >= 0 ||
	    s.have + AGENT_HEAD + sizeof(data) > sizeof(s.out))
		return;
	data[0] = s.status & 0x100 ? 0 : (uint8_t)s.status;
	data[1] = s.status & 0x100 ? (uint8_t)s.status : 0;
	put(AGENT_EXIT, data, sizeof(data));
	/* What ignores the signal that ended the command would stay. */
	if (s.told_to_end)
		end_session();
	else
		(void)waitpid(s.run.pid, NULL, 0);
	s.run.pid = 0;
	close_fd(&s.run.in);
	s.phase = ENDED;
}

/* ---- the start of a command ---- */

/* Enter the root of process 1, once the image's init has it.  Return: false if it is not there
 * yet. */
static bool enter_root(void)
{
	static bool entered;
	struct stat own, image;

	if (entered)
		return true;
	int root = openat(s.proc, "1/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0 && stat("/", &own) == 0 && fstat(root, &image) == 0 &&
	    (own.st_dev != image.st_dev || own.st_ino != image.st_ino))
		entered = fchdir(root) == 0 && chroot(".") == 0;
	close_fd(&root);
	return entered;
}

static void start(void)
{
	char why[200] = "";

	if (!enter_root()) {
		if (now_ms() >= s.root_ms)
			put_failed(125, "the guest does not come to its root file system");
		return;
	}
	int status = command_start(&s.command, &s.run, why);
	if (status == 0) {
		s.phase = RUNNING;
		return;
	}
	if (s.run.pid > 0)
		(void)waitpid(s.run.pid, NULL, 0);
	s.run.pid = 0;
	end_command();
	put_failed(status, why);
}

/* ---- the loop ---- */

static short want(int fd, short events, bool when)
{
	return fd >= 0 && when ? events : 0;
}

static void on_child(int sig)
{
	(void)sig; /* interrupts ppoll() */
}

/* One round: wait, then move what can be moved. */
static void turn(const sigset_t *mask)
{
	/* First, so that what it adds is waited for. */
	if (s.phase == RUNNING)
		tell_taken();
	bool room = s.have + AGENT_HEAD < sizeof(s.out) - CONTROL_MAX;
	const struct timespec soon = { 0, STEP_MS * 1000000 };
	short in = want(s.run.in, POLLOUT, s.queued || s.input_ends);
	short out = want(s.run.out, POLLIN, room && s.credit[AGENT_STREAM_OUTPUT]);
	short err = want(s.run.err, POLLIN, room && s.credit[AGENT_STREAM_ERRORS]);
	struct pollfd p[] = { { s.port, (short)(POLLIN | (s.have ? POLLOUT : 0)), 0 },
			      { in ? s.run.in : -1, in, 0 },
			      { out ? s.run.out : -1, out, 0 },
			      { err ? s.run.err : -1, err, 0 } };
	bool draining = s.exited && s.phase == RUNNING && (out || err);

	(void)ppoll(p, 4,
		    s.phase == DESCRIBED ? &soon
		    : draining           ? &(struct timespec){ 0, 0 }
					 : NULL,
		    mask);
	if (p[0].revents & POLLIN)
		receive();
	else if (p[0].revents & (POLLHUP | POLLERR))
		s.gone = hung_up();
	reap_left();
	if (s.phase == DESCRIBED)
		start();
	if (s.phase == RUNNING) {
		look_for_exit();
		if (p[1].revents)
			feed();
		if (p[2].revents || s.exited)
			collect(&s.run.out, AGENT_STREAM_OUTPUT);
		if (p[3].revents || s.exited)
			collect(&s.run.err, AGENT_STREAM_ERRORS);
		look_for_end();
	}
	flush();
}

int session_run(int port, int proc)
{
	const struct sigaction sa = { .sa_handler = on_child };
	sigset_t chld, mask;

	(void)sigemptyset(&mask);
	(void)sigemptyset(&chld);
	(void)sigaddset(&chld, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &chld, NULL) < 0 || sigaction(SIGCHLD, &sa, NULL) < 0)
		return 1;
	s.port = port;
	s.proc = proc;
	s.in.from = AGENT_CLIENT;
	s.run = (struct running){ 0, -1, -1, -1 };
	s.phase = ENDED; /* until the first greeting */
	while (!s.gone)
		turn(&mask);
	leave_command();
	return 0;
}
