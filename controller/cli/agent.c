/* agent.c - runs a command by the agent in a guest.
 *
 * The guest may be hostile: each frame is bounded (proto/agent.c), a stream has at most
 * AGENT_WINDOW bytes under way, and a frame that is not of the protocol ends the session.  The
 * bytes of the command's streams are the user's own and pass unchanged. */
#include "controller/cli/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/cli/conn.h"
#include "controller/cli/out.h"
#include "controller/cli/reader.h"
#include "controller/cli/terminal.h"
#include "controller/cli/vm_end.h"
#include "controller/copy/copy.h"
#include "proto/agent.h"

#define WHAT "agent"
#define PATIENCE_MS 5000
#define WORDS_MOST 200000   /* bytes of a command; the agent has room for more */
#define ENV_MOST 32768      /* bytes of all variables */
#define USER_MOST 255       /* bytes of a name, as in agent.def */
#define FOLDER_MOST 4095    /* likewise */
#define SPARE 1             /* a byte that clean_bytes() has kept for the next call */
#define CONTROL_ROOM 1024   /* bytes of frames without data */
#define COMPLAINTS_MOST 100 /* lines of a copy's errors that are printed */
#define LOOK_MS 250         /* pause between two looks at whether the output has a reader */
#define UNREAD_MS 1000      /* for input that is under way, when it has none */
#define LEAVE_MS 5000       /* for the agent to say that it has got this input */

/* An output stream of the command, on its way to a descriptor of ours. */
struct sink {
	int fd;     /* -1: the end of file was passed on */
	int opened; /* fd, if it is not one that we were given; else -1 */
	int reader; /* the descriptor whose other end reads: fd, and a socket's also after that */
	bool socket;
	bool loses;   /* a socket or a pipe: its reader can go */
	size_t chunk; /* bytes that one call writes at most */
	size_t have;
	uint32_t took;       /* written and not yet reported */
	bool gone;           /* its reader is: the session ends */
	bool lost;           /* a client's socket takes no more: what comes is dropped */
	bool ends;           /* end of file follows what is in v */
	struct clean *clean; /* what the guest sends is text for a terminal; NULL: pass it on */
	uint8_t v[AGENT_WINDOW + 2 * SPARE];
};

/* The errors of what the agent does itself, line by line. */
struct complaints {
	const char *vm;    /* in each line; NULL: the errors are those of a command */
	const char *erase; /* printed before each line */
	char line[1024];
	size_t n, lines;
};

struct session {
	struct cli *c;
	const struct agent_copy *copy; /* this, a connection, or neither: a command */
	const struct agent_link *link;
	struct complaints complaints;
	struct clean clean[2];
	int port, winch, source; /* source: what INPUT is read from */
	bool greeted, input, ended;
	bool left; /* the writer of the input has ended it, or is gone */
	int status;
	uint64_t greet_ms;    /* the greeting is waited for until then */
	uint64_t deadline_ms; /* of a session that a signal ends; 0: none */
	uint64_t look_ms;     /* the next look at whether the output has a reader; 0: none is due */
	uint64_t unread_ms;   /* the output has no reader: the session ends then; 0: it has one */
	bool leaves;          /* the agent was told that the client is gone */
	uint32_t credit;      /* bytes of input that the agent takes */
	struct sink sink[2];
	struct agent_reader in;
	uint8_t *out;
	size_t have, size;
	struct error *e;
};

static uint64_t now_ms(void)
{
	return clock_boot_ns() / 1000000;
}

/* ---- the terminal ---- */

static struct winsize window(void)
{
	struct winsize w = { .ws_row = 24, .ws_col = 80 };

	for (int fd = 0; fd < 3; fd++)
		if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_row && w.ws_col)
			break;
	return w;
}

/* A descriptor that reads SIGWINCH.  Return: -1 without one. */
static int watch_window(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGWINCH);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* ---- frames to the agent ---- */

static bool has_room(const struct session *s, size_t n)
{
	return s->size - s->have >= AGENT_HEAD + n;
}

static void put(struct session *s, enum agent_frame type, const void *data, size_t n)
{
	if (has_room(s, n))
		s->have += agent_put(s->out + s->have, type, data, n);
}

/* A frame can not be cut as input is (agent_cut()), and the mark would begin a session. */
static bool holds_mark(const char *text)
{
	return strstr(text, AGENT_MARK) != NULL;
}

int agent_check_command(char *const *guest, struct error *e)
{
	size_t all = 0;

	for (char *const *w = guest; w && *w; w++) {
		size_t n = strlen(*w);
		all += n + 1;
		if (w - guest >= AGENT_WORDS) {
			error_set(e, FAIL_USAGE, "command", "it has more than %d words",
				  AGENT_WORDS);
			error_hint(e,
				   "divide it: ... | xargs -n 4000 banger exec -n VM -- COMMAND");
			return -1;
		}
		if (holds_mark(*w))
			return error_set(e, FAIL_USAGE, "command",
					 "a word holds the bytes that begin a session");
		if (n <= AGENT_DATA_MAX && all <= WORDS_MOST)
			continue;
		error_set(e, FAIL_USAGE, "command",
			  "it is longer than %d bytes, or one word of it than %d", WORDS_MOST,
			  AGENT_DATA_MAX);
		error_hint(e, "send it by standard input: banger exec VM -- sh <FILE");
		return -1;
	}
	return 0;
}

static int check_text(const char *option, const char *text, size_t most, struct error *e)
{
	if (!text)
		return 0;
	if (!*text || strlen(text) > most)
		return error_set(e, FAIL_USAGE, option, "it is empty, or longer than %zu bytes",
				 most);
	if (holds_mark(text))
		return error_set(e, FAIL_USAGE, option, "it holds the bytes that begin a session");
	return 0;
}

int agent_check_options(const struct options *o, struct error *e)
{
	size_t left = ENV_MOST;

	for (size_t i = 0; i < o->env.n; i++) {
		const char *v = o->env.v[i];
		if (*v == '=' || !strchr(v, '='))
			return error_set(e, FAIL_USAGE, "--env", "\"%s\" is not NAME=VALUE", v);
		if (check_text("--env", v, left, e) < 0)
			return -1;
		left -= strlen(v);
	}
	return check_text("--user", o->as, USER_MOST, e) < 0
		       ? -1
		       : check_text("--workdir", o->workdir, FOLDER_MOST, e);
}

static void put_text(struct session *s, enum agent_frame type, const char *text)
{
	if (text)
		put(s, type, text, strlen(text));
}

/* The variables that the user gives, and the type of the terminal if it is not among them. */
static void put_environment(struct session *s)
{
	const struct values *given = &s->c->opt.env;
	const char *term = getenv("TERM");
	bool typed = !s->c->opt.tty;
	char env[80];

	for (size_t i = 0; i < given->n; i++) {
		put_text(s, AGENT_ENV, given->v[i]);
		typed |= strncmp(given->v[i], "TERM=", 5) == 0;
	}
	if (typed)
		return;
	if (!term || !*term || holds_mark(term))
		term = "linux";
	(void)snprintf(env, sizeof(env), "TERM=%.60s", term);
	put_text(s, AGENT_ENV, env);
}

/* Return: the bytes that put_start() needs at most. */
static size_t start_size(char *const *words)
{
	size_t n = CONTROL_ROOM + ENV_MOST + VALUES_MAX * AGENT_HEAD + USER_MOST + FOLDER_MOST;

	for (char *const *w = words; w && *w; w++)
		n += strlen(*w) + AGENT_HEAD;
	return n;
}

static void put_copy(struct session *s)
{
	for (char *const *w = s->copy->paths; *w; w++)
		put_text(s, AGENT_ARG, *w);
	put_text(s, AGENT_USER, s->c->opt.as);
	put_text(s, AGENT_FOLDER, s->c->opt.workdir);
	put(s, AGENT_COPY, &s->copy->flags, 1);
}

static void put_link(struct session *s)
{
	const char *path = s->link->tcp ? "" : s->link->socket;
	uint8_t data[2 + AGENT_SOCKET_MOST];
	const size_t n = strnlen(path, AGENT_SOCKET_MOST);

	agent_set16(data, s->link->tcp);
	memcpy(data + 2, path, n);
	put_text(s, AGENT_USER, s->c->opt.as);
	put(s, AGENT_CONNECT, data, 2 + n);
}

static void put_start(struct session *s)
{
	const struct winsize w = window();
	uint8_t data[5] = { 0 };

	for (char *const *g = s->c->guest; g && *g; g++)
		put_text(s, AGENT_ARG, *g);
	put_environment(s);
	put_text(s, AGENT_USER, s->c->opt.as);
	put_text(s, AGENT_FOLDER, s->c->opt.workdir);
	if (s->c->opt.tty)
		data[0] |= AGENT_TTY;
	const char *entry = s->c->opt.entrypoint; /* c->guest begins with it */
	if (s->c->nguest == 1 && !(entry && *entry))
		data[0] |= AGENT_LINE;
	if (strcmp(s->c->command->verb, "run") == 0 && !entry)
		data[0] |= AGENT_ENTRY;
	agent_set16(data + 1, w.ws_row);
	agent_set16(data + 3, w.ws_col);
	put(s, AGENT_START, data, sizeof(data));
}

static int lost(struct session *s)
{
	return error_set(s->e, FAIL_STATE, WHAT, "the guest or its monitor ended");
}

static int flush(struct session *s)
{
	ssize_t n = s->have ? send(s->port, s->out, s->have, MSG_NOSIGNAL) : 0;

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return lost(s);
	if (n > 0) {
		s->have -= (size_t)n;
		memmove(s->out, s->out + n, s->have);
	}
	return 0;
}

/* ---- the user's side ---- */

static void resize(struct session *s)
{
	struct signalfd_siginfo i;
	uint8_t data[4];

	while (read(s->winch, &i, sizeof(i)) == (ssize_t)sizeof(i))
		;
	const struct winsize w = window();
	agent_set16(data, w.ws_row);
	agent_set16(data + 2, w.ws_col);
	put(s, AGENT_RESIZE, data, sizeof(data));
}

/* Forward the signals that came.  The first one that ends programs begins the patience, a second
 * one ends it. */
static void forward(struct session *s)
{
	struct signalfd_siginfo i;

	while (read(s->c->sigfd, &i, sizeof(i)) == (ssize_t)sizeof(i)) {
		uint8_t sig = (uint8_t)i.ssi_signo;
		bool ends = sig != SIGUSR1 && sig != SIGUSR2 && sig != SIGALRM;
		uint64_t now = now_ms();
		put(s, AGENT_SIGNAL, &sig, 1);
		if (ends)
			s->deadline_ms = s->deadline_ms ? now : now + PATIENCE_MS;
		if (ends && !s->c->signal)
			s->c->signal = sig;
	}
}

/* Read input into a frame; nothing: its end. */
static void read_input(struct session *s)
{
	uint8_t data[AGENT_CHUNK];
	/* A frame of the worst input carries half as many bytes as its header (agent_cut()). */
	size_t room = (s->size - s->have) / 2, n = sizeof(data);

	n = n < room ? n : room;
	n = n < s->credit ? n : s->credit;
	ssize_t got = read(s->source, data, n);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (s->unread_ms && !s->leaves)
		s->unread_ms = now_ms() + UNREAD_MS; /* the guest gets this first */
	if (got <= 0) {
		s->input = false;
		s->left = true;
		put(s, AGENT_INPUT, NULL, 0);
		return;
	}
	s->credit -= (uint32_t)got;
	for (size_t at = 0; at < (size_t)got;) {
		size_t cut = agent_cut(data + at, (size_t)got - at);
		put(s, AGENT_INPUT, data + at, cut);
		at += cut;
	}
}

/* Prepare to write to @fd without waiting: signals are held, so a write that waits could not be
 * ended. */
static void sink_open(struct sink *k, int fd)
{
	struct stat st;

	k->socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	k->loses = k->socket || (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode));
	k->opened = terminal_open_output(fd, &k->chunk);
	k->reader = k->fd = k->opened >= 0 ? k->opened : fd;
}

static void sinks_close(struct session *s)
{
	for (int i = 0; i < 2; i++)
		if (s->sink[i].opened >= 0)
			(void)close(s->sink[i].opened);
}

/* True if the input and the output are one socket: a client of forward. */
static bool is_client(const struct session *s)
{
	return s->link && s->link->in == s->link->out && s->sink[0].socket;
}

/* Write what one call takes without waiting.  A client that takes no more may have sent what is not
 * read yet. */
static void drain(const struct session *s, struct sink *k)
{
	size_t most = k->have < k->chunk ? k->have : k->chunk;
	ssize_t n = k->socket ? send(k->fd, k->v, most, MSG_DONTWAIT | MSG_NOSIGNAL)
			      : write(k->fd, k->v, most);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		k->lost = is_client(s);
		k->gone = !k->lost;
		n = (ssize_t)k->have;
	}
	k->have -= (size_t)n;
	k->took += (uint32_t)n;
	memmove(k->v, k->v + n, k->have);
}

/* Pass the end of file on, behind the last byte. */
static void end_sink(struct sink *k)
{
	if (!k->ends || k->have || k->fd < 0)
		return;
	if (k->socket)
		(void)shutdown(k->fd, SHUT_WR);
	else if (k->opened < 0)
		(void)close(k->fd);
	if (!k->socket)
		k->reader = -1;
	k->fd = -1;
}

static void tell_taken(struct session *s, enum agent_stream stream)
{
	struct sink *k = &s->sink[stream - AGENT_STREAM_OUTPUT];
	uint8_t data[5] = { (uint8_t)stream };

	if (k->took < AGENT_WINDOW / 4 || !has_room(s, sizeof(data)))
		return;
	agent_set32(data + 1, k->took);
	put(s, AGENT_TOOK, data, sizeof(data));
	k->took = 0;
}

/* ---- frames of the agent ---- */

static int broken(struct session *s)
{
	return error_set(s->e, FAIL_GENERAL, WHAT, "the guest sent what is not of this protocol");
}

static void print_complaint(struct session *s)
{
	struct complaints *k = &s->complaints;
	char clean[sizeof(k->line)];

	k->line[k->n] = '\0';
	k->n = 0;
	if (k->lines++ >= COMPLAINTS_MOST)
		return;
	text_printable(k->line, clean, sizeof(clean));
	text_clean(clean);
	fprintf(s->c->err, "%sbanger: %s:%s\n", k->erase, k->vm,
		k->lines == COMPLAINTS_MOST ? " and more" : clean);
}

/* Print the agent's errors as ours.  The guest may be hostile, so they are cleaned and few. */
static void take_complaints(struct session *s, const struct agent_msg *m)
{
	struct complaints *k = &s->complaints;

	for (size_t i = 0; i < m->n; i++) {
		if (m->data[i] != '\n' && m->data[i] != '\0')
			k->line[k->n++] = (char)m->data[i];
		if (m->data[i] == '\n' || k->n == sizeof(k->line) - 1)
			print_complaint(s);
	}
}

static int take_bytes(struct session *s, const struct agent_msg *m)
{
	struct sink *k = &s->sink[m->type == AGENT_ERRORS];
	bool told = s->complaints.vm && m->type == AGENT_ERRORS;

	if (s->complaints.vm && !told && (k->fd < 0 || k->ends))
		return broken(s);
	if (k->have + k->took + m->n > AGENT_WINDOW + SPARE || (m->n == 0 && !s->link))
		return broken(s);
	if (told)
		take_complaints(s, m);
	k->ends = m->n == 0;
	if (k->gone || k->lost || told) {
		k->took += (uint32_t)m->n;
		return 0;
	}
	size_t n = m->n;
	if (k->clean)
		n = clean_bytes(k->clean, (const char *)m->data, n, (char *)k->v + k->have);
	else
		memcpy(k->v + k->have, m->data, n);
	k->have += n;
	k->took += n < m->n ? (uint32_t)(m->n - n) : 0;
	return 0;
}

static int take_credit(struct session *s, const struct agent_msg *m)
{
	uint32_t n = agent_u32(m->data + 1);

	if (m->data[0] != AGENT_STREAM_INPUT || n > AGENT_WINDOW - s->credit)
		return broken(s);
	s->credit += n;
	if (s->unread_ms && n && !s->leaves)
		s->unread_ms = now_ms() + UNREAD_MS; /* the guest takes what was sent */
	return 0;
}

/* The agent could not start the command: it tells an exit status and why.  A guest that lies may
 * tell 0, but nothing has succeeded. */
static int take_failure(struct session *s, const struct agent_msg *m)
{
	char text[200], why[200];

	(void)snprintf(text, sizeof(text), "%.*s", (int)m->n - 1, (const char *)m->data + 1);
	text_printable(text, why, sizeof(why));
	text_clean(why);
	fprintf(s->c->err, "banger: %s\n", why);
	s->complaints.lines++;
	if (s->complaints.vm && strstr(why, "a frame that it does not take"))
		fprintf(s->c->err, "hint: the VM's kernel was imported by an earlier banger; "
				   "import it again\n");
	s->status = m->data[0] ? m->data[0] : EXIT_OURS;
	s->ended = true;
	return 0;
}

static int take(struct session *s, const struct agent_msg *m)
{
	switch (m->type) {
	case AGENT_OUTPUT:
	case AGENT_ERRORS:
		return take_bytes(s, m);
	case AGENT_TOOK:
		return take_credit(s, m);
	case AGENT_EXIT:
		s->status = m->data[1] ? 128 + m->data[1] % 128 : m->data[0];
		s->ended = true;
		return 0;
	case AGENT_FAILED:
		return take_failure(s, m);
	default:
		return broken(s);
	}
}

static int receive(struct session *s, const uint8_t nonce[AGENT_NONCE])
{
	struct agent_msg m;
	size_t size;
	uint8_t *at = agent_room(&s->in, &size);
	ssize_t n = recv(s->port, at, size, 0);
	int r = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return lost(s);
	s->in.have += (size_t)n;
	s->greeted = s->greeted || agent_answered(&s->in, nonce);
	while (s->greeted && !s->ended && (r = agent_next(&s->in, &m)) > 0)
		if (take(s, &m) < 0)
			return -1;
	return r < 0 ? broken(s) : 0;
}

/* ---- the loop ---- */

/* Return: the earlier of two times; 0 is none. */
static uint64_t earlier(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

/* The time until the next deadline, for poll(2).  Return: -1 without one. */
static int left_ms(const struct session *s)
{
	uint64_t until = earlier(s->deadline_ms, s->look_ms), now = now_ms();

	if (!s->greeted && !s->ended)
		until = earlier(until, s->greet_ms);
	return !until ? -1 : until > now ? (int)(until - now) : 0;
}

/* True if the output may lose its reader unnoticed, since nothing is written to it.  The end of a
 * client's input may be behind bytes that the guest does not take. */
static bool may_be_unread(const struct session *s)
{
	const bool stuck = !s->credit && is_client(s);

	return (s->left || stuck) && !s->ended && !s->copy && s->sink[0].loses &&
	       (s->link || s->sink[1].loses);
}

static bool is_unread(const struct session *s)
{
	return reader_is_gone(s->sink[0].reader) && (s->link || reader_is_gone(s->sink[1].reader));
}

/* True if input can be read, and sent on: the guest does not hold it up. */
static bool takes_input(const struct session *s)
{
	return s->input && s->credit && !s->ended && has_room(s, CONTROL_ROOM);
}

/* True if nothing more is to be waited for: the guest has taken all that a client has sent, or has
 * not for UNREAD_MS. */
static bool is_over(const struct session *s, uint64_t now)
{
	const bool taken = !s->input && !s->have && s->credit == AGENT_WINDOW && !s->leaves;

	return s->unread_ms && !takes_input(s) && (now >= s->unread_ms || (taken && is_client(s)));
}

/* Tell the agent that the client is gone.  The end that it answers shows that it has got all that
 * was sent: QEMU drops what a guest has not taken when a connection is closed
 * (chardev/char-socket.c, tcp_chr_hup()).  Return: true if it can be waited for. */
static bool leave(struct session *s, uint64_t now)
{
	const uint8_t sig = SIGHUP;

	if (s->leaves || !is_client(s) || !has_room(s, 1))
		return false;
	put(s, AGENT_SIGNAL, &sig, 1);
	s->leaves = true;
	s->input = false; /* what is not read yet is lost */
	s->unread_ms = now + LEAVE_MS;
	return true;
}

/* End a session without a client: its input has ended, and its output has no reader.  A guest that
 * is silent would hold its port for ever.  What the client has sent is under way as long as the
 * guest takes it. */
static void look_at_readers(struct session *s)
{
	uint64_t now = now_ms();

	if (!may_be_unread(s)) {
		s->look_ms = 0;
		return;
	}
	if (now < s->look_ms)
		return;
	s->look_ms = now + LOOK_MS;
	if (!is_unread(s)) /* a FIFO may have got another reader */
		s->unread_ms = 0;
	else if (!s->unread_ms)
		s->unread_ms = now + UNREAD_MS;
	s->sink[0].gone |= is_over(s, now) && !leave(s, now);
}

/* End the session if its time is over.  The time is looked at after each poll(2): a guest that
 * never stops sending would hide it.  Return: 0, or -1 with the error. */
static int check_time(struct session *s)
{
	uint64_t now = now_ms();

	if (s->deadline_ms && now >= s->deadline_ms)
		return signals_error(s->c, s->c->command->verb, s->e);
	if (s->greeted || now < s->greet_ms)
		return 0;
	error_set(s->e, FAIL_TIMEOUT, WHAT, "what answers in the guest is not the agent");
	error_hint(s->e, "see what the guest does: banger vm logs %s",
		   s->c->npos ? s->c->pos[0] : "VM");
	return -1;
}

/* Return: 1 at the end, 0, or -1 with the error. */
static int turn(struct session *s, const uint8_t nonce[AGENT_NONCE])
{
	/* First, so that what they add is waited for. */
	tell_taken(s, AGENT_STREAM_OUTPUT);
	tell_taken(s, AGENT_STREAM_ERRORS);
	end_sink(&s->sink[0]); /* nothing may follow that would wake us up */
	look_at_readers(s);
	bool input = takes_input(s);
	bool leaves = s->input && !s->left && !s->ended;
	struct pollfd p[] = {
		{ s->ended ? -1 : s->port, (short)(POLLIN | (s->have ? POLLOUT : 0)), 0 },
		{ input || leaves ? s->source : -1, (short)((input ? POLLIN : 0) | POLLRDHUP), 0 },
		{ s->sink[0].have ? s->sink[0].fd : -1, POLLOUT, 0 },
		{ s->sink[1].have ? s->sink[1].fd : -1, POLLOUT, 0 },
		{ s->c->sigfd, POLLIN, 0 },
		{ s->winch, POLLIN, 0 },
	};

	if (s->ended && !s->sink[0].have && !s->sink[1].have)
		return 1;
	int n = poll(p, ARRAY_SIZE(p), left_ms(s));
	if (p[5].revents)
		resize(s);
	if (p[4].revents)
		forward(s);
	s->left |= (p[1].revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
	if (input && p[1].revents)
		read_input(s);
	for (int i = 0; i < 2; i++)
		if (p[2 + i].revents)
			drain(s, &s->sink[i]);
	if (!s->ended && p[0].revents & ~POLLOUT && receive(s, nonce) < 0)
		return -1;
	if (s->ended)
		return n == 0 ? check_time(s) : 0;
	return check_time(s) < 0 ? -1 : flush(s);
}

static int converse(struct session *s, const uint8_t nonce[AGENT_NONCE])
{
	int r;

	if (s->copy)
		put_copy(s);
	else if (s->link)
		put_link(s);
	else
		put_start(s);
	if (!s->input)
		put(s, AGENT_INPUT, NULL, 0);
	(void)flush(s); /* turn() notices an agent that is gone */
	while ((r = turn(s, nonce)) == 0)
		if (s->sink[0].gone) {
			/* As of a program that the signal ends.  In a copy the reader is our
			 * helper, which has told why; a connection may end so. */
			if (!s->c->signal && !s->copy && !s->link)
				s->c->signal = SIGPIPE;
			return 128 + SIGPIPE;
		}
	return r < 0 ? -1 : s->status;
}

/* Without waiting: the copy waits for nothing but this stream. */
static void sinks_of_copy(struct session *s)
{
	s->sink[0] = s->sink[1] = (struct sink){ .fd = -1, .opened = -1, .reader = -1 };
	s->sink[0].fd = s->copy->out;
	s->sink[0].chunk = AGENT_WINDOW;
	if (s->copy->out >= 0)
		(void)fcntl(s->copy->out, F_SETFL, fcntl(s->copy->out, F_GETFL) | O_NONBLOCK);
}

int agent_copy(struct cli *c, const struct agent_copy *copy, struct error *e)
{
	_cleanup_free_ struct session *s = calloc(1, sizeof(*s));
	size_t size = start_size(copy->paths) + CONTROL_ROOM + 2 * AGENT_CHUNK;
	_cleanup_free_ uint8_t *out = malloc(size);
	if (!s || !out)
		return error_set(e, FAIL_GENERAL, WHAT, "out of memory");
	*s = (struct session){ .c = c,
			       .copy = copy,
			       .complaints = { .vm = copy->vm, .erase = copy->erase },
			       .port = copy->port,
			       .winch = -1,
			       .source = copy->in,
			       .input = copy->in >= 0,
			       .greet_ms = now_ms() + copy->timeout_ms,
			       .credit = AGENT_WINDOW,
			       .out = out,
			       .size = size,
			       .e = e };
	s->in.from = AGENT_GUEST;
	sinks_of_copy(s);
	(void)fcntl(s->port, F_SETFL, fcntl(s->port, F_GETFL) | O_NONBLOCK);
	int status = converse(s, copy->nonce);
	if (s->complaints.n)
		print_complaint(s);
	/* COPY_CUT: the copy of our side has told why. */
	if (status > 0 && status != COPY_CUT && !s->sink[0].gone && !c->signal &&
	    !s->complaints.lines)
		fprintf(c->err, "%sbanger: %s: its agent ended with status %d\n", copy->erase,
			copy->vm, status);
	return status;
}

/* A sink that is a socket takes what it can; another one as of a command. */
static void sinks_of_link(struct session *s)
{
	s->sink[1] = (struct sink){ .fd = -1, .opened = -1, .reader = -1 };
	sink_open(&s->sink[0], s->link->out);
	if (s->sink[0].socket)
		s->sink[0].chunk = AGENT_WINDOW;
}

int agent_link(struct cli *c, const struct agent_link *l, struct error *e)
{
	_cleanup_free_ struct session *s = calloc(1, sizeof(*s));
	const size_t size = start_size(NULL) + CONTROL_ROOM + 2 * AGENT_CHUNK;
	_cleanup_free_ uint8_t *out = malloc(size);
	if (!s || !out)
		return error_set(e, FAIL_GENERAL, WHAT, "out of memory");
	*s = (struct session){ .c = c,
			       .link = l,
			       .complaints = { .vm = l->vm, .erase = "" },
			       .port = l->port,
			       .winch = -1,
			       .source = l->in,
			       .input = true,
			       .greet_ms = now_ms() + l->timeout_ms,
			       .credit = AGENT_WINDOW,
			       .out = out,
			       .size = size,
			       .e = e };
	s->in.from = AGENT_GUEST;
	sinks_of_link(s);
	(void)fcntl(s->port, F_SETFL, fcntl(s->port, F_GETFL) | O_NONBLOCK);
	int status = converse(s, l->nonce);
	if (s->complaints.n)
		print_complaint(s);
	sinks_close(s);
	return status;
}

int agent_run(struct cli *c, int port, const uint8_t nonce[16], uint64_t timeout_ms,
	      struct error *e)
{
	_cleanup_free_ struct session *s = calloc(1, sizeof(*s));
	size_t size = start_size(c->guest) + CONTROL_ROOM + 2 * AGENT_CHUNK;
	_cleanup_free_ uint8_t *out = malloc(size);
	if (!s || !out)
		return error_set(e, FAIL_GENERAL, WHAT, "out of memory");
	_cleanup_close_ int winch = c->opt.tty ? watch_window() : -1;
	*s = (struct session){ .c = c,
			       .port = port,
			       .winch = winch,
			       .source = STDIN_FILENO,
			       .input = !c->opt.no_stdin,
			       .left = c->opt.no_stdin,
			       .greet_ms = now_ms() + timeout_ms,
			       .credit = AGENT_WINDOW,
			       .out = out,
			       .size = size,
			       .e = e };
	s->in.from = AGENT_GUEST;
	sink_open(&s->sink[0], STDOUT_FILENO);
	sink_open(&s->sink[1], STDERR_FILENO);
	for (int fd = STDOUT_FILENO; c->opt.clean && fd <= STDERR_FILENO; fd++)
		if (isatty(fd))
			s->sink[fd - STDOUT_FILENO].clean = &s->clean[fd - STDOUT_FILENO];
	out_stage_end(c);
	(void)fflush(c->out);
	(void)fcntl(port, F_SETFL, fcntl(port, F_GETFL) | O_NONBLOCK);
	bool raw = c->opt.tty && terminal_make_raw();
	int status = converse(s, nonce);
	if (raw)
		terminal_restore();
	sinks_close(s);
	return status;
}

bool agent_client_is_gone(const struct cli *c)
{
	struct pollfd p = { c->client ? *c->client : -1, POLLRDHUP, 0 };

	/* The kernel is asked for a client that has ended its own direction alone. */
	return poll(&p, 1, 0) == 1 && reader_is_gone(p.fd);
}

/* See the comment of beside_fn. */
static int watch_client(void *arg, struct pollfd p[CONN_BESIDE], int *ms, struct error *e)
{
	const struct cli *c = arg;

	p[0] = (struct pollfd){ *c->client, 0, 0 };
	*ms = LOOK_MS;
	return agent_client_is_gone(c) ? error_set(e, FAIL_GENERAL, WHAT, "the client is gone") : 0;
}

int agent_open(struct cli *c, const struct ev_vm *vm, uint64_t timeout_ms, uint8_t nonce[16],
	       struct error *e)
{
	struct call_vm_agent a = { .timeout_ms = timeout_ms };
	struct res_vm_agent r;
	int port = -1;
	const struct reply_to to = { .fd = &port,
				     .beside = c->client ? watch_client : NULL,
				     .arg = c };

	(void)strcpy(a.vm, vm->id);
	if (conn_call(c, CALL_VM_AGENT, &a, NULL, &to, &r, e) < 0) {
		if (e->code == FAIL_STATE)
			(void)vm_end_error(c, vm->id, VM_END_UNANSWERED, e);
		return -1;
	}
	memcpy(nonce, r.nonce, sizeof(r.nonce));
	return port;
}
