/* child.c - clones a child into a VM's cgroup, takes its rights away and executes the VMM.
 *
 * CHILD begins as a copy of the launcher, with its two capabilities.  Its steps follow this order:
 * descriptors, signals and limits, the slot's id without any capability, the API socket (which so
 * belongs to the slot), Landlock, the narrower filter, the program.  CHILD must not allocate, and
 * must not need a lock of libc, because libc does not know of the clone3(2). */
#include "privhelper/spawn/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/fdio.h"
#include "privhelper/policies.h"
#include "proto/slot.h"

/* CHILD: report the failed step on the console, and exit. */
static _Noreturn void give_up(const char *what, const char *program)
{
	char line[300];
	int n = snprintf(line, sizeof(line), "banger: cannot start %s: %s: error %d\n", program,
			 what, errno);

	if (n > 0)
		(void)!write(STDERR_FILENO, line,
			     (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
	_exit(127);
}

static int set_files(const struct child *c)
{
	if (dup3(c->input, STDIN_FILENO, 0) < 0 || dup3(c->console, STDOUT_FILENO, 0) < 0 ||
	    dup3(c->console, STDERR_FILENO, 0) < 0)
		return -1;
	return (int)syscall(SYS_close_range, 3u, ~0u, 0u);
}

/* CHILD: reset all signals but SIGXFSZ, which stays ignored over execve(2).  A write past
 * RLIMIT_FSIZE then fails with EFBIG, which a VMM passes on to its guest, instead of killing the
 * VMM. */
static int reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL }, ign = { .sa_handler = SIG_IGN };
	sigset_t none;

	for (int sig = 1; sig < SIGRTMAX; sig++)
		/* fails for SIGKILL, SIGSTOP and libc's own two */
		(void)sigaction(sig, sig == SIGXFSZ ? &ign : &dfl, NULL);
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* CHILD: all kinds of VMM have the same limits.  RLIMIT_FSIZE bounds the growth of a disk that is a
 * file. */
static int set_limits(uint64_t disk_max)
{
	for (const struct policy_limit *l = policy_vmm[VMM_QEMU].limits; l->resource >= 0; l++) {
		rlim_t max = l->max == POLICY_DISK ? disk_max : l->max;

		if (setrlimit((__rlimit_resource_t)l->resource, &(struct rlimit){ max, max }) < 0)
			return -1;
	}
	return 0;
}

/* ---- CHILD: Landlock, which leaves of /run and /state the slot's own files ---- */

/* These are newer than the headers of Debian 12 (linux/landlock.h of Linux 6.12). */
#define FS_TRUNCATE (1ull << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define NET_TCP 3ull              /* ABI 4: bind and connect */
#define SCOPE_ALL 3ull            /* ABI 6: foreign abstract unix sockets and signals */

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_RUN (FS_READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define FS_WRITE (FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define FS_SOCKETS (LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)
/* Firecracker opens the FIFOs of its log and metrics for reading and writing. */
#define FS_FIFOS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)

/* Return: all accesses to files that this ABI can restrict. */
static uint64_t handled(int abi)
{
	uint64_t all = (1ull << 13) - 1; /* ABI 1 */

	if (abi >= 2)
		all |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		all |= FS_TRUNCATE;
	if (abi >= 5)
		all |= FS_IOCTL_DEV;
	return all;
}

static int allow(int rules, uint64_t access_mask, const char *path)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .allowed_access = access_mask, .parent_fd = fd };

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	return (int)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0u);
}

static int restrict_files(const struct child *c)
{
	static const char *const programs[] = { "/usr", "/bin",   "/sbin",
						"/lib", "/lib64", "/libexec" };
	int abi = c->landlock_abi;
	uint64_t all = handled(abi);
	struct ruleset_attr attr = { all, abi >= 4 ? NET_TCP : 0, abi >= 6 ? SCOPE_ALL : 0 };
	char path[32];

	if (abi == 0)
		return 0;
	_cleanup_close_ int rules = (int)syscall(SYS_landlock_create_ruleset, &attr,
						 abi >= 6   ? 24
						 : abi >= 4 ? 16
							    : 8,
						 0u);
	if (rules < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (allow(rules, FS_RUN & all, programs[i]) < 0)
			return -1;
	if (allow(rules, FS_WRITE & all, "/dev") < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/run/%u", c->slot);
	if (c->api == API_OWN && allow(rules, FS_SOCKETS | FS_FIFOS, path) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/run/vda%u", c->slot);
	if (allow(rules, (FS_WRITE & ~LANDLOCK_ACCESS_FS_READ_DIR) & all, path) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/state/%u", c->slot);
	if (allow(rules, FS_WRITE & all, path) < 0)
		return -1;
	return (int)syscall(SYS_landlock_restrict_self, rules, 0u);
}

int spawn_bound_files(int abi)
{
	const uint64_t all = handled(abi);

	if (SETUP_FAILS("landlock"))
		return -1;
	if (abi == 0)
		return 0;
	_cleanup_close_ int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all),
						 0u);
	if (rules < 0 || allow(rules, all, "/") < 0)
		return -1;
	return (int)syscall(SYS_landlock_restrict_self, rules, 0u);
}

/* ---- CHILD: identity ---- */

/* Take the slot's ids, and drop all capabilities, which the launcher's securebits would keep over
 * the change of uid.  Lock-down has dropped the supplementary groups; getgroups(2) verifies
 * that. */
static int become(uint32_t id)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { 0 };
	unsigned long u = id;

	if (syscall(SYS_getgroups, 0, NULL) != 0) {
		errno = EPERM;
		return -1;
	}
	/* unsigned long, because the filter compares all 64 bits of each id. */
	if (syscall(SYS_setresgid, u, u, u) < 0 || syscall(SYS_setresuid, u, u, u) < 0)
		return -1;
	return (int)syscall(SYS_capset, &head, none);
}

/* Remove what an earlier VMM has left under a socket's name, or bind(2) would fail. */
static int clear(const char *path)
{
	return unlink(path) < 0 && errno != ENOENT ? -1 : 0;
}

/* Make a listening socket, whose descriptor becomes @fd. */
static int make_socket(const struct sockaddr_un *a, int fd)
{
	if (clear(a->sun_path) < 0 || socket(AF_UNIX, SOCK_STREAM, 0) != fd ||
	    bind(fd, (const struct sockaddr *)a, sizeof(*a)) < 0)
		return -1;
	/* A file of a user's may keep its last close, and so the VMM, from ending. */
	fdio_refuse_fds(fd);
	return listen(fd, 1);
}

/* Make the sockets with the slot's uid: the API, and the ports of the guest's agent. */
static int prepare_sockets(const struct child *c)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (c->api == API_NONE)
		return 0;
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "/run/%u/api.sock", c->slot);
	if (c->api == API_OWN)
		return clear(a.sun_path);
	if (make_socket(&a, API_FD) < 0)
		return -1;
	for (uint32_t i = 0; i < c->ports; i++) {
		(void)snprintf(a.sun_path, sizeof(a.sun_path), "/run/%u/" AGENT_PORT, c->slot, i);
		if (make_socket(&a, PORT_FD + (int)i) < 0)
			return -1;
	}
	return 0;
}

static int load_filter(const struct sock_fprog *f)
{
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0u, f);
}

static _Noreturn void run(const struct child *c)
{
	static char *const no_environment[] = { NULL };
	const char *program = c->argv->v[0];

	FAILPOINT("child.begin");
	if (set_files(c) < 0)
		_exit(127);
	(void)umask(0007);
	if (reset_signals() < 0 || set_limits(c->disk_max) < 0)
		give_up("limits", program);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		give_up("no_new_privs", program);
	if (FAILPOINT_FAILS("child.identity") || become(c->id) < 0)
		give_up("identity", program);
	if (FAILPOINT_FAILS("child.socket") || prepare_sockets(c) < 0)
		give_up("its sockets", program);
	if (restrict_files(c) < 0)
		give_up("landlock", program);
	if (load_filter(c->filter) < 0)
		give_up("seccomp", program);
	if (!FAILPOINT_FAILS("child.execute"))
		(void)execve(program, c->argv->v, no_environment);
	give_up("execve", program);
}

int spawn_child(int cgroup, const struct child *c, int *pidfd)
{
	int fd = -1;
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP | CLONE_PIDFD,
		.pidfd = (uintptr_t)&fd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)cgroup,
	};
	if (FAILPOINT_FAILS("clone.before"))
		return -1;
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		run(c);
	if (pid < 0)
		return -1;
	FAILPOINT("clone.after");
	*pidfd = fd;
	return (int)pid;
}
