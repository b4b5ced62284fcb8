/* peer.c - plays the controller against one role: `peer --role net --config FILE --log FILE
 * ROLE_BINARY`.
 *
 * Reads commands line by line and prints one line for each:
 *   OPERATION [slot=N] [gen=N] [owner=N] [vm=HEX] [op=HEX] [seq=N] [ARG=VALUE]...
 *             [fd=PATH:ro|rw|path]...
 *                      -> ok NAME=VALUE... [fd=N] | absent | busy | limit | denied | nolog | kernel
 *                         or, when the role ended: exit N | signal N
 *   run                hello and reconcile_done
 *   raw HEX [fd=...]   these bytes; the answer's status without its values
 *   flip OPERATION ... each bit of that packet inverted in turn, to roles that `run` has served
 *   cut OPERATION ...  each other length of it likewise, up to one byte more
 *                      -> tried N answered N refused N other N
 *   waitfd N [MS]      until the Nth kept descriptor is readable -> ready | timeout
 *   woken [MS]         whether the role has told since then that something was taken away
 *                      -> yes | no
 *   restart            end the role, start another -> started
 *   close              end the connection -> exit N
 * `peer --receive PATH` plays a service manager instead: it prints each datagram that comes to that
 * socket.
 *
 * Descriptors that came back are kept open.  Defaults: slot 0, gen 1, owner 1000, a vm and an op of
 * the slot's. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "common/fdio.h"
#include "common/log.h"
#include "proto/ops.h"
#include "proto/wire.h"

#define ANSWER_MS 30000
#define KEPT_MAX 1024
#define WORDS_MAX 64

static struct peer {
	const char *binary, *log;
	struct config config;
	pid_t pid; /* 0: not running */
	int sock, wake;
	uint64_t seq;
	char ended[32]; /* how the last role ended */
	int kept[KEPT_MAX];
	size_t nkept;
	bool quiet;
} peer = { .sock = -1 };

/* The request of a command line. */
struct ask {
	struct request q;
	int fds[FDIO_MAX];
	size_t nfds;
};

/* ---- the role's process ---- */

_Noreturn static void child(int config, int sock, int log, int key)
{
	const int from[] = { config, sock, log, key, peer.wake },
		  to[] = { CONFIG_FD, RPC_FD, REQLOG_FD, REQKEY_FD, WAKE_FD };
	int null = open("/dev/null", O_RDWR);

	(void)dup2(null, STDIN_FILENO);
	(void)dup2(null, STDOUT_FILENO);
	for (size_t i = 0; i < ARRAY_SIZE(to); i++)
		if (dup2(from[i], to[i]) < 0)
			die_errno(1, "dup2");
	char *const argv[] = { (char *)peer.binary, NULL }, *const env[] = { NULL };
	char *const sanitized[] = { "ASAN_OPTIONS=detect_leaks=0", NULL };
	(void)execve(peer.binary, argv, getenv("ASAN_OPTIONS") ? sanitized : env);
	die_errno(1, "%s", peer.binary);
}

/* Move a descriptor to a number from 10 on, so that the fixed numbers of the child are free. */
static int high(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, 10);

	if (fd < 0 || up < 0)
		die_errno(1, "descriptors");
	(void)close(fd);
	return up;
}

/* Open the key file beside @log, whose name ends with ".log". */
static int open_key(const char *log)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%.*s.key", (int)strlen(log) - 4, log);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static void start(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		die_errno(1, "socketpair");
	if (!peer.wake)
		peer.wake = high(eventfd(0, EFD_NONBLOCK));
	peer.sock = high(pair[0]);
	int theirs = high(pair[1]), config = high(config_to_memfd(&peer.config));
	int log = high(open(peer.log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
	int key = high(open_key(peer.log));
	peer.pid = fork();
	if (peer.pid < 0)
		die_errno(1, "fork");
	if (peer.pid == 0)
		child(config, theirs, log, key);
	(void)close(theirs);
	(void)close(config);
	(void)close(log);
	(void)close(key);
	peer.seq = 0;
}

/* Close the connection and note how the role ended. */
static void finish(void)
{
	int status;

	if (!peer.pid)
		return;
	if (peer.sock >= 0)
		(void)close(peer.sock);
	peer.sock = -1;
	for (int ms = 0; waitpid(peer.pid, &status, WNOHANG) == 0; ms++) {
		if (ms == ANSWER_MS)
			(void)kill(peer.pid, SIGKILL);
		(void)usleep(1000);
	}
	peer.pid = 0;
	if (WIFSIGNALED(status))
		(void)snprintf(peer.ended, sizeof(peer.ended), "signal %d", WTERMSIG(status));
	else
		(void)snprintf(peer.ended, sizeof(peer.ended), "exit %d", WEXITSTATUS(status));
}

/* ---- one exchange ---- */

static void print_field(const struct field *f, const void *base)
{
	const char *at = (const char *)base + f->offset;
	const struct {
		size_t n;
		uint64_t v[];
	} *a = (const void *)at;

	printf(" %s=", f->name);
	if (f->type == FIELD_U)
		printf("%llu", (unsigned long long)*(const uint64_t *)at);
	else
		for (size_t i = 0; i < a->n; i++)
			printf("%s%llu", i ? "," : "", (unsigned long long)a->v[i]);
}

static void print_answer(const struct op *op, const struct reply *r, const int *fds, size_t nfds)
{
	if (!peer.quiet) {
		printf("%s", status_name(r->status));
		for (const struct field *f = op->reply(); r->status == ST_OK && f->name; f++)
			print_field(f, &r->hello);
	}
	for (size_t i = 0; i < nfds && peer.nkept < KEPT_MAX; i++) {
		if (!peer.quiet)
			printf(" fd=%zu", peer.nkept);
		peer.kept[peer.nkept++] = fds[i];
	}
	if (!peer.quiet)
		printf("\n");
}

static int say_ended(void)
{
	finish();
	if (!peer.quiet)
		printf("%s\n", peer.ended);
	return -1;
}

/* Note the sequence number of an answer, its second element: a changed packet may have used a later
 * number. */
static void note_seq(const uint8_t *buf, size_t n)
{
	struct wire_reader r = { buf, buf + n, false };

	(void)wire_get_array(&r, UINT16_MAX);
	(void)wire_get_uint(&r, 0, UINT8_MAX);
	peer.seq = wire_get_uint(&r, 0, UINT64_MAX - 1);
	if (r.bad)
		die(1, "an answer that can not be decoded");
}

/* Send a packet and print the answer.  @op: NULL if the packet is not of the table.  Return: 0 if
 * it was answered, -1 if the role ended. */
static int exchange(const struct op *op, const void *bytes, size_t len, const int *fds, size_t nfds)
{
	struct pollfd p = { peer.sock, POLLIN, 0 };
	uint8_t buf[OPS_PACKET_MAX];
	int got[FDIO_MAX];
	size_t ngot;
	struct reply r;

	if (!peer.pid || fdio_send(peer.sock, bytes, len, fds, nfds) < 0)
		return say_ended();
	if (poll(&p, 1, ANSWER_MS) == 0)
		die(1, "no answer");
	ssize_t n = fdio_recv(peer.sock, buf, sizeof(buf), got, &ngot);
	if (n <= 0)
		return say_ended();
	if (op && ops_decode_reply(op, buf, (size_t)n, &r) < 0)
		die(1, "%s: an answer that can not be decoded", op->name);
	if (op && ngot != (r.status == ST_OK ? op->fds_out : 0))
		die(1, "%s: %zu descriptors came back", op->name, ngot);
	if (op) {
		print_answer(op, &r, got, ngot);
		return 0;
	}
	note_seq(buf, (size_t)n);
	fdio_close_all(got, ngot);
	if (!peer.quiet)
		printf("answered %zd\n", n);
	return 0;
}

/* ---- reading commands ---- */

static int set_hex(const char *hex, uint8_t *out, size_t n)
{
	if (strlen(hex) != 2 * n)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &out[i]) != 1)
			return -1;
	return 0;
}

static int set_field(struct request *q, const char *name, const char *value)
{
	for (const struct field *f = q->op->args(); f->name; f++) {
		char *at = (char *)&q->hello + f->offset;
		if (strcmp(f->name, name) != 0)
			continue;
		*(uint64_t *)at = strtoull(value, NULL, 0);
		return 0;
	}
	return -1;
}

/* Open a descriptor for the request: PATH:ro, PATH:rw, or PATH:path for O_PATH. */
static int add_fd(struct ask *a, const char *value)
{
	char path[512];
	const char *colon = strrchr(value, ':');
	int flags = O_CLOEXEC | O_NONBLOCK;

	if (!colon || a->nfds == FDIO_MAX)
		return -1;
	(void)snprintf(path, sizeof(path), "%.*s", (int)(colon - value), value);
	flags |= strcmp(colon, ":rw") == 0     ? O_RDWR
		 : strcmp(colon, ":path") == 0 ? O_PATH
					       : O_RDONLY;
	int fd = open(path, flags);
	if (fd < 0) {
		log_errno("%s", path);
		return -1;
	}
	a->fds[a->nfds++] = fd;
	return 0;
}

static int set_word(struct ask *a, const char *name, const char *value)
{
	uint32_t u = (uint32_t)strtoul(value, NULL, 0);

	if (strcmp(name, "fd") == 0)
		return add_fd(a, value);
	if (strcmp(name, "vm") == 0)
		return set_hex(value, a->q.vm, ID_LEN);
	if (strcmp(name, "op") == 0)
		return set_hex(value, a->q.op_id, ID_LEN);
	if (strcmp(name, "slot") == 0)
		a->q.slot = u;
	else if (strcmp(name, "gen") == 0)
		a->q.generation = u;
	else if (strcmp(name, "owner") == 0)
		a->q.owner = u;
	else if (strcmp(name, "seq") == 0)
		a->q.seq = strtoull(value, NULL, 0);
	else
		return set_field(&a->q, name, value);
	return 0;
}

static void set_defaults(struct request *q)
{
	q->seq = peer.seq + 1;
	if (q->op->code == OP_HELLO)
		q->hello.version = OPS_VERSION;
	if (q->op->scope == SCOPE_SLOT) {
		q->generation = 1;
		q->owner = 1000;
	}
}

/* Set the default VM id of a slot and generation, so that a script need not give one. */
static void default_vm(struct request *q)
{
	static const uint8_t none[ID_LEN];

	if (q->op->scope != SCOPE_SLOT || memcmp(q->vm, none, ID_LEN) != 0)
		return;
	q->vm[0] = 1;
	q->vm[ID_LEN - 2] = (uint8_t)(q->slot >> 8);
	q->vm[ID_LEN - 1] = (uint8_t)q->slot;
	memcpy(&q->vm[4], &q->generation, sizeof(q->generation));
}

static const struct op *op_of_name(const char *name)
{
	const struct op *op;

	for (size_t i = 0; (op = op_each(i)); i++)
		if (strcmp(op->name, name) == 0)
			return op;
	return NULL;
}

/* Parse a command line.  Return: 0, or -1 after printing the error on standard output. */
static int parse_ask(char **words, size_t n, struct ask *a)
{
	memset(a, 0, sizeof(*a));
	a->q.op = op_of_name(words[0]);
	if (!a->q.op) {
		printf("error: no operation %s\n", words[0]);
		return -1;
	}
	set_defaults(&a->q);
	for (size_t i = 1; i < n; i++) {
		char *eq = strchr(words[i], '=');
		if (eq)
			*eq = '\0';
		if (!eq || set_word(a, words[i], eq + 1) < 0) {
			printf("error: %s\n", words[i]);
			fdio_close_all(a->fds, a->nfds);
			return -1;
		}
	}
	default_vm(&a->q);
	return 0;
}

static int send_ask(const struct ask *a)
{
	uint8_t buf[OPS_PACKET_MAX];
	int n = ops_encode_request(&a->q, buf);

	if (n < 0) {
		printf("error: can not be encoded\n");
		return -1;
	}
	peer.seq = a->q.seq;
	return exchange(a->q.op, buf, (size_t)n, a->fds, a->nfds);
}

/* ---- commands ---- */

static void do_op(char **words, size_t n)
{
	struct ask a;

	if (parse_ask(words, n, &a) < 0)
		return;
	(void)send_ask(&a);
	fdio_close_all(a.fds, a.nfds);
}

static int do_run(void)
{
	struct ask a;
	char *hello[] = { "hello" }, *done[] = { "reconcile_done" };
	bool quiet = peer.quiet;

	peer.quiet = true;
	int r = parse_ask(hello, 1, &a) < 0 || send_ask(&a) < 0 ? -1 : 0;
	if (r == 0)
		r = parse_ask(done, 1, &a) < 0 || send_ask(&a) < 0 ? -1 : 0;
	peer.quiet = quiet;
	if (!quiet)
		printf("%s\n", r < 0 ? peer.ended : "ok");
	return r;
}

static void do_raw(char **words, size_t n)
{
	struct ask a = { .nfds = 0 };
	uint8_t bytes[4096];
	size_t len = n > 1 ? strlen(words[1]) / 2 : 0;

	if (n < 2 || len > sizeof(bytes) || set_hex(words[1], bytes, len) < 0) {
		printf("error: raw HEX\n");
		return;
	}
	for (size_t i = 2; i < n; i++)
		if (strncmp(words[i], "fd=", 3) != 0 || add_fd(&a, words[i] + 3) < 0)
			printf("error: %s\n", words[i]);
	(void)exchange(NULL, bytes, len, a.fds, a.nfds);
	fdio_close_all(a.fds, a.nfds);
}

struct tally {
	unsigned tried, answered, refused, other;
};

/* Bring a role to phase RUN and put the next packet in @buf.  Return: its length. */
static int next_packet(struct ask *a, uint8_t buf[OPS_PACKET_MAX + 1])
{
	if (!peer.pid) {
		start();
		if (do_run() < 0)
			die(1, "the role does not start: %s", peer.ended);
	}
	a->q.seq = peer.seq + 1;
	int n = ops_encode_request(&a->q, buf);
	if (n < 0)
		die_errno(1, "encode");
	buf[n] = 0;
	return n;
}

/* Send one packet.  A role that answers continues; after a refused packet a new role is started. */
static void try_packet(struct tally *t, const uint8_t *bytes, size_t len, const struct ask *a)
{
	t->tried++;
	if (exchange(NULL, bytes, len, a->fds, a->nfds) == 0) {
		t->answered++;
	} else if (strcmp(peer.ended, "exit 70") == 0) {
		t->refused++;
	} else {
		t->other++;
		log_error("packet of %zu bytes: %s", len, peer.ended);
	}
}

static void flip_all(struct tally *t, struct ask *a)
{
	uint8_t buf[OPS_PACKET_MAX + 1];

	for (int bit = 0, len = 1; bit < 8 * len; bit++) {
		len = next_packet(a, buf);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		try_packet(t, buf, (size_t)len, a);
	}
}

/* Send every shorter packet except the empty one, which looks like the end of the connection. */
static void cut_all(struct tally *t, struct ask *a)
{
	uint8_t buf[OPS_PACKET_MAX + 1];

	for (int cut = 1, len = 1; cut <= len + 1; cut++) {
		len = next_packet(a, buf);
		if (cut != len)
			try_packet(t, buf, (size_t)cut, a);
	}
}

static void do_mutate(char **words, size_t n, bool flip)
{
	struct tally t = { 0 };
	struct ask a;

	finish();
	if (n < 2 || parse_ask(words + 1, n - 1, &a) < 0)
		return;
	peer.quiet = true;
	if (flip)
		flip_all(&t, &a);
	else
		cut_all(&t, &a);
	peer.quiet = false;
	fdio_close_all(a.fds, a.nfds);
	printf("tried %u answered %u refused %u other %u\n", t.tried, t.answered, t.refused,
	       t.other);
}

static void do_waitfd(char **words, size_t n)
{
	size_t i = n > 1 ? strtoul(words[1], NULL, 10) : KEPT_MAX;
	int ms = n > 2 ? atoi(words[2]) : 10000;

	if (i >= peer.nkept) {
		printf("error: no such descriptor\n");
		return;
	}
	struct pollfd p = { peer.kept[i], POLLIN, 0 };
	printf("%s\n", poll(&p, 1, ms) == 1 ? "ready" : "timeout");
}

static void do_woken(char **words, size_t n)
{
	struct pollfd p = { peer.wake, POLLIN, 0 };
	int ms = n > 1 ? atoi(words[1]) : 0;
	uint64_t times;

	printf("%s\n",
	       poll(&p, 1, ms) == 1 && read(peer.wake, &times, sizeof(times)) == sizeof(times)
		       ? "yes"
		       : "no");
}

static void do_line(char *line)
{
	char *words[WORDS_MAX], *save = NULL;
	size_t n = 0;

	for (char *w = strtok_r(line, " \t\n", &save); w && n < WORDS_MAX;
	     w = strtok_r(NULL, " \t\n", &save))
		words[n++] = w;
	if (n == 0 || words[0][0] == '#')
		return;
	if (strcmp(words[0], "run") == 0) {
		(void)do_run();
	} else if (strcmp(words[0], "raw") == 0) {
		do_raw(words, n);
	} else if (strcmp(words[0], "flip") == 0 || strcmp(words[0], "cut") == 0) {
		do_mutate(words, n, words[0][0] == 'f');
	} else if (strcmp(words[0], "waitfd") == 0) {
		do_waitfd(words, n);
	} else if (strcmp(words[0], "woken") == 0) {
		do_woken(words, n);
	} else if (strcmp(words[0], "restart") == 0) {
		finish();
		start();
		printf("started\n");
	} else if (strcmp(words[0], "close") == 0) {
		(void)say_ended();
	} else {
		do_op(words, n);
	}
	(void)fflush(stdout);
}

_Noreturn static void receive(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char buf[512];

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die_errno(1, "%s", path);
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0)
			die_errno(1, "recv");
		printf("%.*s\n", (int)n, buf);
		(void)fflush(stdout);
	}
}

static const char *option(int argc, char **argv, const char *name)
{
	for (int i = 1; i + 1 < argc; i += 2)
		if (strcmp(argv[i], name) == 0)
			return argv[i + 1];
	die(2, "usage: peer --role NAME --config FILE --log FILE ROLE_BINARY");
}

int main(int argc, char **argv)
{
	char line[8192];

	log_name("peer");
	if (argc == 3 && strcmp(argv[1], "--receive") == 0)
		receive(argv[2]);
	peer.log = option(argc, argv, "--log");
	(void)option(argc, argv, "--role");
	if (argc != 8 || config_load(option(argc, argv, "--config"), geteuid(), &peer.config) < 0)
		return 2;
	peer.binary = argv[argc - 1];
	(void)signal(SIGPIPE, SIG_IGN);
	start();
	while (fgets(line, sizeof(line), stdin))
		do_line(line);
	finish();
	return 0;
}
