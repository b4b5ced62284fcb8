/* supervisor.c - the first process: starts the roles and the controller as root, then waits for one
 * of them to exit.
 *
 * Theory of operation.  SUPERVISOR has two phases.
 *
 *   as root      check the arguments, drop the environment and all descriptors, read the
 *                configuration, make folders and control groups, start three roles and the
 *                controller
 *   locked down  with its own uid, one capability (CAP_KILL) and a filter without a call that sends
 *                a signal: wait for the controller's ready byte, tell the service manager, wait
 *                for a signal or an exit
 *
 * The five processes stop together.  On SIGTERM, the supervisor closes its socket to the
 * controller; the controller exits; that closes its sockets to the roles; the roles exit.  If a
 * child exits by itself, the others notice their closed sockets and exit.  After some seconds the
 * supervisor exits too, and the kernel kills each child that is left (PR_SET_PDEATHSIG), as it does
 * when the supervisor is killed.  The kernel does so only if the dying parent may signal the child,
 * hence CAP_KILL.  VMs run on, and the next start adopts them. */
#include "privhelper/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/landlock.h"
#include "common/log.h"
#include "privhelper/lockdown.h"
#include "privhelper/policies.h"
#include "privhelper/supervisor/children.h"
#include "privhelper/supervisor/places.h"
#include "privhelper/supervisor/print.h"

#define READY_MS 20000 /* from the start of the children to the controller's byte */
#define STOP_MS 5000   /* from SIGTERM to the last child's exit */
#define EXIT_CONFIG 78 /* sysexits.h, EX_CONFIG: the service manager does not restart the service */
#define ENDED_MS 1000  /* from an unexpected exit of one child to the exits of the others */

/* ---- as root ---- */

/* Connect to the service manager's socket (sd_notify(3)); '@' stands for the NUL of an abstract
 * address.
 * Return: a descriptor; -1: there is no service manager, or an error (logged). */
static int notify_open(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;

	if (n < 2 || n >= sizeof(a.sun_path) || (path[0] != '/' && path[0] != '@'))
		return -1;
	memcpy(a.sun_path, path, n);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0) {
		log_errno("NOTIFY_SOCKET");
		return -1;
	}
	return steal_fd(&fd);
}

static void notify(const struct supervisor *s, const char *state)
{
	if (s->notify_fd >= 0)
		(void)!write(s->notify_fd, state, strlen(state));
}

static const char *read_arguments(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("banger-privhelper %s\n", BANGER_VERSION);
		exit(0);
	}
	if (argc == 2 && strcmp(argv[1], "--print-policy") == 0)
		exit(print_policies() < 0);
	if (argc == 1)
		return CONFIG_DEFAULT_PATH;
	if (argc == 3 && strcmp(argv[1], "--config") == 0)
		return argv[2];
	die(2, "usage: banger-privhelper [--config PATH | --print-policy | --version]");
}

/* Drop the caller's environment, working folder, umask and descriptors; standard error stays. */
static void forget_caller(void)
{
	if (clearenv() != 0 || chdir("/") < 0)
		die_errno(1, "start");
	(void)umask(022);
	(void)close(STDIN_FILENO);
	if (open("/dev/null", O_RDWR) != STDIN_FILENO || dup2(STDIN_FILENO, STDOUT_FILENO) < 0)
		die_errno(1, "/dev/null");
	if (fcntl(STDERR_FILENO, F_GETFD) < 0 && dup2(STDIN_FILENO, STDERR_FILENO) < 0)
		die_errno(1, "/dev/null");
	if (close_range(STDERR_FILENO + 1, UINT_MAX, 0) < 0)
		die_errno(1, "close_range");
}

static int take_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void prepare(struct supervisor *s, const char *path)
{
	if (config_load(path, 0, &s->config) < 0)
		_exit(EXIT_CONFIG);
	/* Launcher and controller each check this again.  Here it ends the start before anything is
	 * made, with a status after which the service manager does not try again. */
	if (!landlock_suffices(&s->config))
		die(EXIT_CONFIG,
		    "%s: [security] landlock = require (the default), and this "
		    "kernel has no Landlock that fits: boot it with landlock in its "
		    "lsm= list, or set auto",
		    path);
	if (places_make(s) < 0 || places_open_logs(s) < 0 || places_listen(s) < 0)
		_exit(1);
	s->config_fd = config_to_memfd(&s->config);
	s->signal_fd = take_signals();
	if (s->config_fd < 0 || s->signal_fd < 0)
		die_errno(1, "start");
	if (children_start(s) < 0)
		_exit(1);
}

/* ---- locked down ---- */

static void lock(struct supervisor *s)
{
	const struct binding bound[POLICY_VARS] = {
		[SUP_LIFE] = policy_fd(s->life_fd),
		[SUP_NOTIFY] = policy_fd(s->notify_fd),
	};
	const struct lockdown l = {
		.account = s->config.supervisor,
		.policy = &policy_supervisor,
		.bound = bound,
		.status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC),
	};

	if (l.status_fd < 0 || lockdown_apply(&l) < 0)
		die(1, "can not lock down");
}

/* Wait for a child that has exited, and log its status. */
static void reap(struct child *c, bool unasked)
{
	siginfo_t i = { 0 };

	if (waitid(P_PIDFD, (id_t)c->pidfd, &i, WEXITED) < 0)
		die_errno(1, "%s: wait", c->program);
	bool killed = i.si_code != CLD_EXITED;
	if (unasked || killed || i.si_status != 0)
		log_error("%s ended: %s %d", c->program, killed ? "signal" : "status", i.si_status);
	c->pid = 0;
}

/* Close the socket to the controller and wait at most @ms for all children to exit.  The exit of
 * the supervisor then kills the rest (PR_SET_PDEATHSIG).  A second SIGTERM changes nothing: it
 * stays blocked. */
_Noreturn static void end_all(struct supervisor *s, int ms, int status)
{
	const uint64_t end = clock_boot_ns() + (uint64_t)ms * 1000000;

	(void)close(s->life_fd);
	for (struct child *c = s->children; c < s->children + CHILDREN; c++) {
		struct pollfd p = { c->pidfd, POLLIN, 0 };
		const uint64_t now = clock_boot_ns();
		const int left = now < end ? (int)((end - now) / 1000000 + 1) : 0;
		if (c->pid && poll(&p, 1, left) > 0)
			reap(c, false);
		else if (c->pid)
			log_warn("%s does not exit: killing it", c->program);
	}
	_exit(status);
}

_Noreturn static void stop(struct supervisor *s)
{
	FAILPOINT("stop");
	notify(s, "STOPPING=1");
	log_info("stopping; VMs run on");
	end_all(s, STOP_MS, 0);
}

static void say_ready(const struct supervisor *s)
{
	FAILPOINT("ready");
	notify(s, "READY=1");
	log_info("ready: %u slots, control socket %s/control.sock", s->config.slots,
		 s->config.run_dir);
}

/* Wait for the controller's ready byte, tell the service manager, then wait for an end: the exit of
 * a child, a signal, or the closed socket of the controller, which sends nothing after that
 * byte. */
_Noreturn static void watch(struct supervisor *s)
{
	struct pollfd p[CHILDREN + 2] = { { s->signal_fd, POLLIN, 0 }, { s->life_fd, POLLIN, 0 } };
	char byte;

	for (int i = 0; i < CHILDREN; i++)
		p[2 + i] = (struct pollfd){ s->children[i].pidfd, POLLIN, 0 };
	for (int ms = READY_MS;; ms = -1) {
		int n = poll(p, CHILDREN + 2, ms);
		if (n < 0)
			die_errno(1, "poll");
		for (int i = 0; i < CHILDREN; i++)
			if (p[2 + i].revents) {
				reap(&s->children[i], true);
				FAILPOINT("child.ended");
				end_all(s, ENDED_MS, 1);
			}
		if (p[0].revents)
			stop(s);
		if (n == 0)
			log_error("not ready after %d s", READY_MS / 1000);
		else if (ms < 0 || read(s->life_fd, &byte, 1) != 1)
			log_error("banger-controller closed its socket");
		else {
			say_ready(s);
			continue;
		}
		end_all(s, ENDED_MS, 1);
	}
}

int main(int argc, char **argv)
{
	static struct supervisor s = {
		.config_fd = -1, .lock_fd = -1, .listen_fd = -1, .life_fd = -1,
		.notify_fd = -1, .signal_fd = -1,
		.children = {
			[CHILD_NET] = { "banger-role-net", 0, -1 },
			[CHILD_BLK] = { "banger-role-blk", 0, -1 },
			[CHILD_SPAWN] = { "banger-role-spawn", 0, -1 },
			[CHILD_CONTROLLER] = { "banger-controller", 0, -1 },
		},
	};
	char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)] = "";

	log_name("banger-privhelper");
	const char *path = read_arguments(argc, argv), *env = getenv("NOTIFY_SOCKET");
	if (geteuid() != 0)
		die(1, "must be started as root, by the service manager");
	if (env)
		(void)snprintf(socket_path, sizeof(socket_path), "%s", env);
	forget_caller();
	s.notify_fd = notify_open(socket_path);
	prepare(&s, path);
	lock(&s);
	FAILPOINT("locked");
	watch(&s);
}
