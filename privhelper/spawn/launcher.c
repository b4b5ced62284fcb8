/* launcher.c - the process behind the spawn role: starts VMMs, and does nothing else.
 *
 * Theory of operation.  ROLE decodes what the controller sends, and holds no capability.  It forks
 * LAUNCHER while both are root.  LAUNCHER takes one struct of a fixed size and three descriptors
 * over a socketpair, compares each number with its bounds again, starts one VMM, and answers with
 * one struct.  It holds CAP_SETUID and CAP_SETGID, bounded to the slots' ids, and its filter has to
 * allow what any VMM may call, because a filter stays over execve(2).  It parses nothing.
 *
 * LAUNCHER lives in the VMMs' root (jail.c), and in a control group beside theirs.  The folder of a
 * cgroup comes from ROLE, so a taken-over ROLE could send any folder of the host that a user has
 * handed to the controller.  Landlock keeps LAUNCHER from opening what lies below it, or above. */
#include "privhelper/spawn/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/fdio.h"
#include "common/landlock.h"
#include "common/log.h"
#include "privhelper/label.h"
#include "privhelper/lockdown.h"
#include "privhelper/policies.h"
#include "privhelper/spawn/argv.h"
#include "privhelper/spawn/child.h"
#include "privhelper/spawn/filter.h"
#include "privhelper/spawn/jail.h"
#include "proto/slot.h"

/* Exit statuses, of sysexits.h. */
#define EXIT_PEER 70  /* EX_SOFTWARE: the other process is gone, or sent what it never sends */
#define EXIT_START 71 /* EX_OSERR */

#define LAUNCH_FD 3 /* LAUNCHER's end of the socketpair */

/* From a request to LAUNCHER's answer, which takes milliseconds.  The controller waits longer for
 * ROLE, so that the exit of ROLE tells which process hangs. */
#define ANSWER_SECONDS 20

enum { FD_INPUT, FD_CONSOLE, FD_CGROUP, FDS_IN };

/* The one state struct of LAUNCHER. */
struct launcher {
	const struct config *config;
	struct label_vmm label;
	struct programs programs;
	/* the filter that CHILD loads before it executes the VMM */
	struct sock_fprog filters[VMM_KINDS];
	int landlock_abi; /* 0: the kernel has no Landlock */
};

/* ---- LAUNCHER before the lock-down, as root ---- */

static int enter_own_cgroup(const char *cgroup_dir)
{
	char path[PATH_MAX];

	/* clone3(2) may place a VMM into a cgroup only if the caller may write the common ancestor
	 * of that cgroup and its own (cgroups(7), delegation).  So LAUNCHER has to be inside
	 * cgroup_dir. */
	(void)snprintf(path, sizeof(path), "%s/spawn/cgroup.procs", cgroup_dir);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || write(fd, "0", 1) != 1) {
		log_errno("%s", path);
		return -1;
	}
	return 0;
}

/* Set oom_score_adj (proc_pid_oom_score_adj(5)) to 0, because VMMs inherit it from LAUNCHER.  The
 * service protects itself by a negative value: with it, the kernel would kill other processes of
 * the host before the VMMs.  EACCES: the value is above 0, and lowering it needs CAP_SYS_RESOURCE;
 * it may stay. */
static int protect_no_vmm(void)
{
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && (write(fd, "0", 1) == 1 || errno == EACCES))
		return 0;
	log_errno("/proc/self/oom_score_adj");
	return -1;
}

/* LAUNCHER never waits for a VMM, because the controller notices the exit by the pidfd.  With
 * SA_NOCLDWAIT an exited VMM leaves no zombie (sigaction(2)). */
static int no_zombies(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };

	return sigaction(SIGCHLD, &sa, NULL);
}

static int make_filters(struct launcher *l)
{
	for (int kind = 0; kind < VMM_KINDS; kind++)
		if (spawn_filter_vmm((enum vmm_kind)kind, l->landlock_abi > 0, &l->filters[kind]) <
		    0)
			return -1;
	return 0;
}

static int find_landlock(struct launcher *l)
{
	l->landlock_abi = landlock_abi();
	if (landlock_suffices(l->config))
		return 0;
	log_error("[security] landlock = require, and this kernel has none that fits");
	return -1;
}

static int prepare(struct launcher *l)
{
	if (label_vmm_open(&l->label) < 0) {
		log_errno("SELinux");
		return -1;
	}
	if (enter_own_cgroup(l->config->cgroup_dir) < 0 || protect_no_vmm() < 0)
		return -1;
	if (find_landlock(l) < 0)
		return -1;
	if (spawn_jail_enter(l->config, &l->programs) < 0 || make_filters(l) < 0)
		return -1;
	if (no_zombies() == 0 && spawn_bound_files(l->landlock_abi) == 0)
		return 0;
	log_errno("SIGCHLD or Landlock");
	return -1;
}

static int lock(struct launcher *l, int status_fd, pid_t parent)
{
	struct binding bound[LAUNCHER_VARS] = { { 0 } };
	const struct lockdown d = {
		.account = l->config->spawn,
		.policy = &policy_launcher,
		.bound = bound,
		.parent = parent,
		.status_fd = status_fd,
	};

	return spawn_filter_bind(l->config, bound) < 0 ? -1 : lockdown_apply(&d);
}

/* ---- LAUNCHER serving ---- */

/* The bounds that ROLE has checked, and a taken-over ROLE has not. */
static bool in_bounds(const struct config *c, const struct launch *q)
{
	const char *base = (const char *)&q->vmm;

	for (const struct field *f = op_find(OP_VMM_SPAWN)->args(); f->name; f++) {
		uint64_t v = *(const uint64_t *)(base + f->offset);
		if (v < f->min || v > f->max)
			return false;
	}
	return q->slot < c->slots;
}

static enum status start(struct launcher *l, const struct launch *q, const int *fds,
			 struct launched *a, int *pidfd)
{
	static const enum child_api apis[VMM_KINDS] = {
		[VMM_QEMU] = API_MADE,
		[VMM_FIRECRACKER] = API_OWN,
		[VMM_PROBE] = API_NONE,
	};
	static struct argv argv;
	const uint32_t slot = (uint32_t)q->slot;
	const struct child c = {
		.argv = &argv,
		.filter = &l->filters[q->vmm.vmm],
		.api = apis[q->vmm.vmm],
		.id = slot_uid(l->config, slot),
		.slot = slot,
		.ports = l->config->agent_ports,
		.input = fds[FD_INPUT],
		.console = fds[FD_CONSOLE],
		.landlock_abi = l->landlock_abi,
		.disk_max = q->vmm.disk_mib << 20,
	};

	if (argv_vmm(&l->programs, l->config->agent_ports, slot, &q->vmm, &argv) < 0)
		return ST_KERNEL;
	if (label_vmm_set(&l->label, slot) < 0) {
		log_errno("the VMM's SELinux context");
		return ST_KERNEL;
	}
	a->pid = spawn_child(fds[FD_CGROUP], &c, pidfd);
	if (a->pid < 0)
		return errno == EAGAIN || errno == ENOMEM ? ST_LIMIT : ST_KERNEL;
	return ST_OK;
}

static void serve_one(struct launcher *l)
{
	struct launch q;
	struct launched a = { .pid = -1 };
	int fds[FDIO_MAX], pidfd = -1;
	size_t n = 0;
	ssize_t got = fdio_recv(LAUNCH_FD, &q, sizeof(q), fds, &n);

	if (got == 0)
		_exit(0); /* ROLE has exited */
	if (got != sizeof(q) || n != FDS_IN || !in_bounds(l->config, &q))
		die(EXIT_PEER, "the role asked for what it can not ask for");
	a.status = start(l, &q, fds, &a, &pidfd);
	fdio_close_all(fds, n);
	if (fdio_send(LAUNCH_FD, &a, sizeof(a), &pidfd, pidfd >= 0) < 0)
		_exit(0);
	fdio_close_all(&pidfd, 1);
}

/* The whole life of LAUNCHER. */
_Noreturn static void run(const struct config *c, int fd, pid_t parent)
{
	static struct launcher l;
	const struct launched ready = { .status = ST_OK };

	log_name("banger-launcher");
	SETUP_AS("banger-launcher");
	(void)prctl(PR_SET_NAME, "banger-launcher");
	l.config = c;
	/* The lock-down sets PR_SET_PDEATHSIG again, because a change of ids resets it.  ROLE's log
	 * and its socket to the controller are closed. */
	int status_fd = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || dup2(fd, LAUNCH_FD) < 0
				? -1
				: lockdown_begin(LAUNCH_FD + 1);
	if (status_fd < 0 || prepare(&l) < 0 || lock(&l, status_fd, parent) < 0 ||
	    fdio_send(LAUNCH_FD, &ready, sizeof(ready), NULL, 0) < 0)
		_exit(EXIT_START);
	for (;;)
		serve_one(&l);
}

/* ---- ROLE's side ---- */

/* SIGCHLD: without LAUNCHER, ROLE is of no use; its exit ends the service, which starts anew. */
_Noreturn static void launcher_gone(int sig)
{
	(void)sig;
	_exit(EXIT_PEER);
}

/* Receive LAUNCHER's answer.  Return: 0, or -1: it is gone, is silent, or has sent something
 * else. */
static int receive(int fd, struct launched *a, int *pidfd)
{
	int fds[FDIO_MAX];
	size_t n = 0;

	if (fdio_recv(fd, a, sizeof(*a), fds, &n) != sizeof(*a) || a->status >= ST_COUNT || n > 1)
		return -1;
	*pidfd = n ? fds[0] : -1;
	return 0;
}

int launcher_start(const struct config *c)
{
	const struct timeval patience = { .tv_sec = ANSWER_SECONDS };
	struct launched ready;
	int pair[2], none;
	pid_t role = getpid();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
	    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0) {
		log_errno("the launcher's socket");
		return -1;
	}
	FAILPOINT("launcher.fork");
	pid_t pid = fork();
	if (pid == 0)
		run(c, pair[1], role);
	FAILPOINT("launcher.forked");
	(void)close(pair[1]);
	if (pid < 0 || receive(pair[0], &ready, &none) < 0 ||
	    signal(SIGCHLD, launcher_gone) == SIG_ERR) {
		log_error("the launcher did not start");
		return -1;
	}
	return pair[0];
}

enum status launcher_ask(int fd, const struct launch *l, const int fds[3], int *pid, int *pidfd)
{
	struct launched a;

	if (fdio_send(fd, l, sizeof(*l), fds, FDS_IN) < 0 || receive(fd, &a, pidfd) < 0 ||
	    (a.status == ST_OK) != (*pidfd >= 0))
		die(EXIT_PEER,
		    "the launcher is gone or silent, or answered what it can not answer");
	*pid = a.pid;
	return a.status;
}
