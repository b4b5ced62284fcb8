/* children.c - makes the sockets between the processes, and starts the roles and the controller. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/fdio.h"
#include "common/log.h"
#include "privhelper/lockdown.h"
#include "privhelper/supervisor/children.h"
#include "privhelper/supervisor/view.h"

#define HIGH_FD 32 /* above every fixed number, so that dup2() to one never closes a source */

/* The descriptors of a child; the first becomes CONFIG_FD, the next ones follow (enum boot_fd). */
struct boot {
	int fds[BOOT_FDS - CONFIG_FD];
	int n;
};

/* The descriptors that the children get.  controller[], role[]: the two ends of a role's socket.
 * life: the controller's end of its socket to the supervisor.  wake: an eventfd by which the net
 * role wakes the controller.  net_dev: the host's network statistics, which the controller can not
 * open in its own network namespace. */
struct lines {
	int controller[CHILDREN], role[CHILDREN], life, wake, net_dev;
};

/* Move @fd to a number from HIGH_FD on.  Return: the new number, or -1. */
static int high(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);

	(void)close(fd);
	return up;
}

static int pair(int type, int *a, int *b)
{
	int p[2];

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, p) < 0)
		return -1;
	*a = high(p[0]);
	*b = high(p[1]);
	return *a < 0 || *b < 0 ? -1 : 0;
}

/* CHILD before exec: give the descriptors of @b their fixed numbers, close those behind them and
 * unblock all signals.  0 and 1 are /dev/null since forget_caller(). */
static int arrange(const struct boot *b)
{
	sigset_t none;

	for (int i = 0; i < b->n; i++)
		if (dup2(b->fds[i], CONFIG_FD + i) < 0)
			return -1;
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) |
	       close_range((unsigned)(CONFIG_FD + b->n), UINT_MAX, 0);
}

/* CHILD before exec: have the kernel kill this process when @parent exits.  A change of ids resets
 * that, so it is called again afterwards (prctl(2), PR_SET_PDEATHSIG). */
static int bind_to(pid_t parent)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ? -1 : 0;
}

/* CHILD before exec: give up root.  The controller is executed without it; a role gives root up
 * itself, after its preparation. */
static int become_controller(const struct config *c, pid_t parent)
{
	static const unsigned no_caps[] = { UINT_MAX };

	return SETUP_FAILS("controller") || lockdown_ids(&c->controller, no_caps) < 0 ||
			       bind_to(parent) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
		       ? -1
		       : 0;
}

/* CHILD before exec: the whole life of the process until execve(2). */
_Noreturn static void child(const struct supervisor *s, enum child_id id, const struct boot *b,
			    pid_t parent)
{
	char path[PATH_MAX];
#ifdef BANGER_SANITIZED
	/* The sanitizer's leak check needs ptrace(2), which no child may call. */
	char *const env[] = { "ASAN_OPTIONS=detect_leaks=0", NULL };
#else
	char *const env[] = { FAILPOINT_ENV NULL };
#endif
	char *const argv[] = { (char *)s->children[id].program, NULL };

	(void)snprintf(path, sizeof(path), "%s/%s", s->config.libexec_dir, s->children[id].program);
	/* A new session keeps signals of the supervisor's terminal, such as SIGHUP, from the
	 * children and the VMMs (credentials(7)). */
	if (SETUP_FAILS("child") || bind_to(parent) < 0 || setsid() < 0 || arrange(b) < 0)
		die_errno(1, "%s: start", argv[0]);
	if (id == CHILD_CONTROLLER && view_enter(&s->config) < 0)
		die_errno(1, "%s: a view of the host", argv[0]);
	if (id == CHILD_CONTROLLER && become_controller(&s->config, parent) < 0)
		die_errno(1, "%s: can not become uid %u", argv[0], s->config.controller.uid);
	(void)execve(path, argv, env);
	die_errno(1, "%s", path);
}

/* Check that the program and its folder belong to root, as another owner could replace the
 * program. */
static int check_program(const struct supervisor *s, const char *program)
{
	char path[PATH_MAX];
	struct stat st;

	for (int folder = 0; folder < 2; folder++) {
		(void)snprintf(path, sizeof(path), "%s%s%s", s->config.libexec_dir,
			       folder ? "" : "/", folder ? "" : program);
		if (stat(path, &st) < 0) {
			log_errno("%s", path);
			return -1;
		}
		if (st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH)) {
			log_error("%s: must belong to root, and no other account may write to it",
				  path);
			return -1;
		}
	}
	return 0;
}

static int start_one(struct supervisor *s, enum child_id id, const struct boot *b)
{
	struct child *c = &s->children[id];
	pid_t parent = getpid();

	if (check_program(s, c->program) < 0)
		return -1;
	FAILPOINT("child.fork");
	c->pid = fork();
	if (c->pid == 0)
		child(s, id, b, parent);
	/* Until waitid(2) the kernel does not reuse the pid, so the pidfd is the child's
	 * (pidfd_open(2)). */
	c->pidfd = c->pid < 0 ? -1 : pidfd_open(c->pid, 0);
	if (c->pidfd < 0) {
		log_errno("%s: start", c->program);
		return -1;
	}
	FAILPOINT("child.forked");
	return 0;
}

static int make_lines(struct supervisor *s, struct lines *l)
{
	for (int i = CHILD_NET; i <= CHILD_SPAWN; i++)
		if (pair(SOCK_SEQPACKET, &l->controller[i], &l->role[i]) < 0)
			return -1;
	if (pair(SOCK_STREAM, &s->life_fd, &l->life) < 0)
		return -1;
	/* These two are sent bytes alone. */
	fdio_refuse_fds(l->role[CHILD_NET]);
	fdio_refuse_fds(s->life_fd);
	l->wake = eventfd(0, EFD_NONBLOCK);
	if (l->wake < 0)
		return -1;
	l->wake = high(l->wake);
	l->net_dev = open("/proc/net/dev", O_RDONLY | O_CLOEXEC);
	if (l->net_dev < 0)
		return -1;
	l->net_dev = high(l->net_dev);
	s->config_fd = high(s->config_fd);
	s->listen_fd = high(s->listen_fd);
	for (int i = CHILD_NET; i <= CHILD_SPAWN; i++) {
		s->logs[i] = high(s->logs[i]);
		s->keys[i] = high(s->keys[i]);
	}
	return 0;
}

/* Close the children's descriptors, all of them at HIGH_FD or above: a copy that stays open here
 * would keep a process from noticing that the other end of its socket is closed.  The supervisor's
 * own are below. */
static int let_go(struct supervisor *s)
{
	s->life_fd = fcntl(s->life_fd, F_DUPFD_CLOEXEC, 0);
	if (s->life_fd >= 0 && close_range(HIGH_FD, UINT_MAX, 0) == 0)
		return 0;
	log_errno("the children's descriptors");
	return -1;
}

int children_start(struct supervisor *s)
{
	struct lines l;

	if (make_lines(s, &l) < 0) {
		log_errno("sockets between the processes");
		return -1;
	}
	for (enum child_id i = CHILD_NET; i <= CHILD_SPAWN; i++) {
		const struct boot b = { .fds = { s->config_fd, l.role[i], s->logs[i], s->keys[i],
						 l.wake },
					.n = i == CHILD_NET ? 5 : 4 };
		if (start_one(s, i, &b) < 0)
			return -1;
	}
	const struct boot b = {
		.fds = { s->config_fd, l.controller[CHILD_NET], l.controller[CHILD_BLK],
			 l.controller[CHILD_SPAWN], s->listen_fd, l.life, l.wake, l.net_dev },
		.n = 8,
	};
	return start_one(s, CHILD_CONTROLLER, &b) < 0 ? -1 : let_go(s);
}
