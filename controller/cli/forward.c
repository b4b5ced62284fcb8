/* forward.c - vm forward: ports and sockets of this host that lead into a guest, by the agent.
 *
 * Each connection is a session with the agent, in a process of its own, which the kernel ends
 * together with this one.  The listening process never talks to the guest.  A VM that the service
 * starts again, since its guest has rebooted or its restart policy says so, is forwarded to again:
 * connections end with the guest, and new ones wait for the next. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/parse.h"
#include "controller/cli/agent.h"
#include "controller/cli/cli.h"
#include "controller/cli/forward.h"
#include "controller/cli/out.h"
#include "controller/cli/reader.h"
#include "controller/cli/run.h"
#include "controller/cli/vm_end.h"

#define FORWARDS_MOST 64 /* of one command */
#define AT_ONCE 64       /* connections; a user may have 128 requests under way */
#define AGAIN_MS 1000    /* pause between two tries to watch the VM */

/* Where a connection comes from, and where it goes. */
struct forward {
	int fd;            /* listens */
	char local[512];   /* as it is printed; a socket's path */
	bool is_path;      /* the local side is a Unix socket, to be removed at the end */
	uint16_t tcp;      /* of the guest; 0: @guest is a path */
	const char *guest; /* as it was given */
};

struct forwards {
	struct cli *c;
	struct ev_vm vm;
	struct forward v[FORWARDS_MOST];
	size_t n, running; /* running: connections */
	int end;           /* readable: the VM or the service has ended; -1: it is not watched,
			      since it is at rest, or the service does not answer */
	int children;      /* readable: a connection has ended */
};

union address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
};

/* ---- the words ---- */

static int usage(struct error *e, const char *word, const char *why)
{
	error_set(e, FAIL_USAGE, word, "%s", why);
	error_hint(e, "banger help vm forward");
	return -1;
}

static int parse_guest(struct forward *f, const char *guest, struct error *e)
{
	char *const words[] = { (char *)guest, NULL };
	uint64_t port;

	f->guest = guest;
	if (parse_uint(guest, 1, UINT16_MAX, &port) == 0) {
		f->tcp = (uint16_t)port;
		return 0;
	}
	if (guest[0] != '/')
		return usage(e, guest, "it is neither a port nor an absolute path in the guest");
	if (strlen(guest) > AGENT_SOCKET_MOST)
		return usage(e, guest, "a socket's path has at most 107 bytes");
	return agent_check_command(words, e);
}

/* Parse "127.0.0.1" or "[::1]".  Return: the length of the address, or 0. */
static socklen_t parse_address(const char *text, unsigned port, union address *a)
{
	char plain[64];
	const size_t n = strlen(text);

	memset(a, 0, sizeof(*a));
	a->v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	if (inet_pton(AF_INET, text, &a->v4.sin_addr) == 1)
		return sizeof(a->v4);
	if (n < 3 || text[0] != '[' || text[n - 1] != ']')
		return 0;
	(void)snprintf(plain, sizeof(plain), "%.*s", (int)n - 2, text + 1);
	a->v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
				       .sin6_port = htons((uint16_t)port) };
	return inet_pton(AF_INET6, plain, &a->v6.sin6_addr) == 1 ? sizeof(a->v6) : 0;
}

/* ---- listening ---- */

static void print_address(const union address *a, char *text, size_t size)
{
	char plain[INET6_ADDRSTRLEN] = "";
	const bool v6 = a->sa.sa_family == AF_INET6;

	(void)inet_ntop(a->sa.sa_family, v6 ? (const void *)&a->v6.sin6_addr : &a->v4.sin_addr,
			plain, sizeof(plain));
	(void)snprintf(text, size, "%s%s%s:%u", v6 ? "[" : "", plain, v6 ? "]" : "",
		       ntohs(v6 ? a->v6.sin6_port : a->v4.sin_port));
}

static int listen_at(struct forward *f, union address *a, socklen_t len, struct error *e)
{
	const int one = 1;
	_cleanup_close_ int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
					0);

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, &a->sa, len) < 0 || listen(fd, SOMAXCONN) < 0)
		return error_set(e, FAIL_GENERAL, f->local, "can not listen: %s", strerror(errno));
	len = sizeof(*a);
	if (!f->is_path && getsockname(fd, &a->sa, &len) == 0)
		print_address(a, f->local, sizeof(f->local));
	f->fd = steal_fd(&fd);
	return 0;
}

/* Remove a socket on which no process listens: one that was killed has left it. */
static void remove_stale(const union address *a)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd >= 0 && lstat(a->un.sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    connect(fd, &a->sa, sizeof(a->un)) < 0 && errno == ECONNREFUSED)
		(void)unlink(a->un.sun_path);
}

static int listen_on_path(struct forward *f, const char *path, struct error *e)
{
	union address a = { .un = { .sun_family = AF_UNIX } };

	if (strlen(path) >= sizeof(a.un.sun_path))
		return usage(e, path, "a socket's path has at most 107 bytes");
	(void)strcpy(a.un.sun_path, path);
	(void)snprintf(f->local, sizeof(f->local), "%.107s", path);
	f->is_path = true;
	remove_stale(&a);
	const mode_t mask = umask(0177);
	int r = listen_at(f, &a, sizeof(a.un), e);
	(void)umask(mask);
	return r;
}

static int listen_on_port(struct forward *f, char *local, const char *word, struct error *e)
{
	char *colon = strrchr(local, ':');
	const char *host = colon ? local : "127.0.0.1";
	union address a;
	uint64_t port;

	if (colon)
		*colon = '\0';
	(void)snprintf(f->local, sizeof(f->local), "%.500s", word);
	if (parse_uint(colon ? colon + 1 : local, 0, UINT16_MAX, &port) < 0)
		return usage(e, word, "it does not begin with a port, or with a path that has a /");
	socklen_t len = parse_address(host, (unsigned)port, &a);
	if (!len)
		return usage(e, word, "it begins with no IP address; an IPv6 address has brackets");
	return listen_at(f, &a, len, e);
}

/* Listen at LOCAL of the word LOCAL:TO. */
static int open_forward(struct forward *f, const char *word, struct error *e)
{
	const char *colon = strrchr(word, ':');
	char local[512];

	if (!colon || (size_t)(colon - word) >= sizeof(local))
		return usage(e, word, "it is not PORT:TO or SOCKET:TO");
	(void)snprintf(local, sizeof(local), "%.*s", (int)(colon - word), word);
	if (parse_guest(f, colon + 1, e) < 0)
		return -1;
	return strchr(local, '/') ? listen_on_path(f, local, e) : listen_on_port(f, local, word, e);
}

static void close_forwards(struct forwards *all)
{
	for (size_t i = 0; i < all->n; i++) {
		if (all->v[i].fd < 0)
			continue;
		(void)close(all->v[i].fd);
		if (all->v[i].is_path)
			(void)unlink(all->v[i].local);
	}
}

static int open_forwards(struct forwards *all, struct error *e)
{
	struct cli *c = all->c;

	if (c->npos - 1 > FORWARDS_MOST)
		return usage(e, "forward", "at most 64 forwards");
	for (int i = 1; i < c->npos; i++) {
		all->v[all->n].fd = -1;
		if (open_forward(&all->v[all->n++], c->pos[i], e) < 0)
			return -1;
	}
	return 0;
}

static int print_forwards(struct forwards *all)
{
	struct cli *c = all->c;
	json_t *list = json_array();

	for (size_t i = 0; i < all->n; i++) {
		const struct forward *f = &all->v[i];
		if (c->opt.format == FORMAT_JSON)
			json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "listen", f->local,
							      "vm", all->vm.id, "to", f->guest));
		else if (c->opt.format == FORMAT_NAME)
			fprintf(c->out, "%s\n", f->local);
		else
			fprintf(c->out, "%s -> %s:%s\n", f->local, all->vm.name, f->guest);
	}
	int r = c->opt.format == FORMAT_JSON ? out_json(c, json_incref(list)) : 0;
	json_decref(list);
	return r || fflush(c->out) != 0 ? -1 : 0;
}

/* ---- the VM ---- */

/* Look at the VM again.  Return: 1 it is up or comes up again, by itself; 0 it does not, or nothing
 * is known; -1 with @e: it is deleted, or at rest for good. */
static int look_again(struct forwards *all, struct error *e)
{
	struct error why = { 0 };
	struct ev_vm now;

	if (vm_lookup(all->c, all->vm.id, &now, &why) < 0)
		return why.code == FAIL_NOT_FOUND
			       ? error_set(e, FAIL_STATE, all->vm.name, "it was deleted")
			       : 0;
	all->vm = now;
	if (vm_comes_up(&now))
		return 1;
	return error_set(e, FAIL_STATE, now.name, "it is %s%s%s", now.state,
			 now.reason[0] ? ": " : "", now.reason);
}

/* ---- one connection ---- */

/* Connect @in and @out to the guest; one socket is a client, whose end ends the wait for the guest,
 * too.  Return: the exit status; errors are told, unless there is no such client any more. */
static int link_up(struct forwards *all, const struct forward *f, int in, int out)
{
	struct agent_link l = { .tcp = f->tcp, .socket = f->guest, .in = in, .out = out };
	char name[256];
	struct error e = { 0 };

	(void)snprintf(name, sizeof(name), "%s:%s", all->vm.name, f->guest);
	l.vm = name;
	all->c->client = in == out ? &in : NULL;
	_cleanup_close_ int port = reach_agent(all->c, &all->vm, l.nonce, &e);
	l.port = port;
	l.timeout_ms = login_ms(all->c, &all->vm);
	int status = port < 0 ? -1 : agent_link(all->c, &l, &e);
	const bool gone = port < 0 && agent_client_is_gone(all->c);
	all->c->client = NULL;
	if (status >= 0 || gone)
		return gone ? FAIL_GENERAL : status;
	if (in == out) /* the client hears of the end before the reason is known */
		(void)shutdown(out, SHUT_RDWR);
	if (port >= 0 && e.code == FAIL_STATE)
		explain_end(all->c, &all->vm, &e);
	return all->c->signal ? 128 + all->c->signal : out_error(all->c, &e);
}

_Noreturn static void serve(struct forwards *all, const struct forward *f, int fd, pid_t parent)
{
	/* All signals are held.  Each that the terminal sends is the parent's, too. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(FAIL_GENERAL);
	for (size_t i = 0; i < all->n; i++)
		(void)close(all->v[i].fd);
	(void)fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	reader_keep_alive(fd);
	int status = link_up(all, f, fd, fd);
	(void)fflush(all->c->err);
	_exit(status);
}

/* Tell an error of one connection, which may pass: the host lacks descriptors or processes. */
static void tell(struct forwards *all, const struct forward *f, int error)
{
	struct error e = { 0 };

	(void)error_set(&e, FAIL_GENERAL, f->local, "a connection is lost: %s", strerror(error));
	(void)out_error(all->c, &e);
	(void)poll(NULL, 0, AGAIN_MS);
}

static void take(struct forwards *all, const struct forward *f)
{
	const pid_t parent = getpid();
	_cleanup_close_ int fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			tell(all, f, errno);
		return;
	}
	(void)fflush(NULL); /* otherwise the child would print our buffered output too */
	const pid_t pid = fork();
	if (pid == 0)
		serve(all, f, fd, parent);
	all->running += pid > 0;
	if (pid < 0)
		tell(all, f, errno);
}

/* ---- for ssh ---- */

_Noreturn static void serve_quietly(struct cli *c, const struct ev_vm *vm, uint16_t tcp, int fd)
{
	struct forwards all = { .c = c, .vm = *vm };
	struct forward f = { .tcp = tcp, .guest = "" };
	FILE *null = fopen("/dev/null", "we");

	if (null)
		c->err = null;
	_exit(null ? link_up(&all, &f, fd, fd) : FAIL_GENERAL);
}

int forward_begin(struct cli *c, const struct ev_vm *vm, uint16_t tcp, pid_t *pid)
{
	const pid_t parent = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	(void)fflush(NULL);
	*pid = fork();
	if (*pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close(pair[0]);
		if (getppid() == parent)
			serve_quietly(c, vm, tcp, pair[1]);
		_exit(FAIL_GENERAL);
	}
	(void)close(pair[1]);
	if (*pid > 0)
		return pair[0];
	(void)close(pair[0]);
	return -1;
}

void forward_end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* ---- the loop ---- */

static void reap(struct forwards *all)
{
	struct signalfd_siginfo i;

	while (read(all->children, &i, sizeof(i)) == (ssize_t)sizeof(i))
		;
	while (all->running && waitpid(-1, NULL, WNOHANG) > 0)
		all->running--;
}

/* Watch the VM for its end.  Return: 0, also if it is at rest and is started again, or the service
 * does not answer; -1 with @e: it is at rest for good. */
static int watch_vm(struct forwards *all, struct error *e)
{
	const int up = look_again(all, e);

	/* The time of a start is known once the VM runs, and children go by it. */
	if (up > 0 && strcmp(all->vm.state, "running") == 0)
		all->end = vm_end_watch(all->vm.id);
	return up < 0 ? -1 : 0;
}

/* The VM is at rest, or the service has ended.  Return: as watch_vm().  The VM is not watched until
 * AGAIN_MS has passed: a service that refuses it is not asked without a pause. */
static int watch_ended(struct forwards *all, struct error *e)
{
	(void)close(all->end);
	all->end = -1;
	return look_again(all, e) < 0 ? -1 : 0;
}

static int turn(struct forwards *all, struct error *e)
{
	struct pollfd p[3 + FORWARDS_MOST] = { { all->c->sigfd, POLLIN, 0 },
					       { all->children, POLLIN, 0 },
					       { all->end, POLLIN, 0 } };

	for (size_t i = 0; i < all->n; i++)
		p[3 + i] = (struct pollfd){ all->running < AT_ONCE ? all->v[i].fd : -1, POLLIN, 0 };
	(void)poll(p, 3 + all->n, all->end < 0 ? AGAIN_MS : -1);
	/* A call to the service may have taken the signal. */
	if ((p[0].revents && signals_pending(all->c)) || all->c->signal)
		return signals_error(all->c, "forward", e);
	if (p[1].revents)
		reap(all);
	if ((p[2].revents ? watch_ended(all, e) : all->end < 0 ? watch_vm(all, e) : 0) < 0)
		return -1;
	for (size_t i = 0; i < all->n; i++)
		if (p[3 + i].revents && all->running < AT_ONCE)
			take(all, &all->v[i]);
	return 0;
}

static int watch_children(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run_forwards(struct forwards *all, struct error *e)
{
	_cleanup_close_ int children = watch_children();

	all->children = children;
	if (children < 0)
		return error_set(e, FAIL_GENERAL, "forward", "%s", strerror(errno));
	if (open_forwards(all, e) < 0)
		return -1;
	all->end = vm_end_watch(all->vm.id);
	if (print_forwards(all) < 0)
		return error_set(e, FAIL_GENERAL, "standard output", "can not be written");
	while (turn(all, e) == 0)
		;
	return -1;
}

static int run_standard(struct forwards *all, struct error *e)
{
	struct forward *f = &all->v[0];

	if (parse_guest(f, all->c->pos[2], e) < 0)
		return -1;
	return link_up(all, f, STDIN_FILENO, STDOUT_FILENO);
}

int cmd_vm_forward(struct cli *c)
{
	struct forwards all = { .c = c, .end = -1, .children = -1 };
	const bool standard = strcmp(c->pos[1], "-") == 0;
	struct error e = { 0 };

	if (standard && c->npos != 3)
		return out_error(c, (usage(&e, "-", "it takes one port or path"), &e));
	if (agent_check_options(&c->opt, &e) < 0 || signals_hold(c, &e) < 0 ||
	    look_up_running(c, c->pos[0], &all.vm, &e) < 0)
		return out_error(c, &e);
	int status = standard ? run_standard(&all, &e) : run_forwards(&all, &e);
	close_forwards(&all);
	if (c->signal)
		return 128 + c->signal;
	return status < 0 ? out_error(c, &e) : status;
}
