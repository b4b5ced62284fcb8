/* sandbox.c - the confinement of the controller: identity, Landlock, seccomp.
 *
 * The supervisor executes the controller under an account without capabilities.
 * sandbox_check_identity() verifies that. sandbox_enter() then forbids new privileges, files
 * outside of the controller's folders (Landlock), and each system call that is not in the tables
 * below.  exec and fork are not in them: a controller that was taken over can not execute programs.
 *
 * The flags of clone3(2) are behind a pointer, where a filter can not read them.  The filter
 * answers clone3 with ENOSYS, and the C library uses clone(2) instead, whose flags are compared.  A
 * system call of another architecture, x32 included, kills the process; by libseccomp's default it
 * would only kill the thread. */
#include "controller/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <linux/prctl.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

/* ---- identity ---- */

static int has_capability(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &h, d) < 0)
		return -1;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if (d[i].effective | d[i].permitted | d[i].inheritable)
			return 1;
	/* The ambient set is a subset of the permitted set (capabilities(7)), so it is empty
	 * too. */
	return 0;
}

int sandbox_check_identity(void)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;

	if (getresuid(&r, &e, &s) < 0 || getresgid(&gr, &ge, &gs) < 0) {
		log_errno("identity");
		return -1;
	}
	if (r == 0 || e == 0 || s == 0 || gr == 0 || ge == 0 || gs == 0) {
		log_error("refusing to run as root; banger-privhelper starts this program as its "
			  "own account");
		return -1;
	}
	if (has_capability() != 0) {
		log_error("refusing to run with a capability");
		return -1;
	}
	return 0;
}

/* ---- Landlock ---- */

/* Values of include/uapi/linux/landlock.h that the header of the build host may not have yet. */
#define FS_REFER (1ull << 13)     /* ABI 2 */
#define FS_TRUNCATE (1ull << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define NET_TCP 3ull              /* ABI 4: bind, connect */
#define SCOPES 3ull               /* ABI 6: abstract sockets, signals */
#define FS_ABI1 ((1ull << 13) - 1)

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

static const uint64_t fs_read = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t fs_write = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
				 LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
				 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
				 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_FIFO |
				 FS_REFER | FS_TRUNCATE;

static int allow_below(int ruleset, const char *path, uint64_t access)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };

	if (fd < 0)
		return -1;
	return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0u);
}

/* Enter a Landlock ruleset.  Return: its ABI, 0 if the kernel has no usable Landlock, -1 with
 * errno. */
static int confine_files(const struct config *c)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0,
			   LANDLOCK_CREATE_RULESET_VERSION);

	/* ABI 1 forbids all links between folders, but the kernel of a VM is linked to its slot's
	 * folder. */
	if (abi < 2)
		return 0;
	uint64_t known = FS_ABI1 | FS_REFER | (abi >= 3 ? FS_TRUNCATE : 0) |
			 (abi >= 5 ? FS_IOCTL_DEV : 0);
	struct ruleset_attr attr = { known, abi >= 4 ? NET_TCP : 0, abi >= 6 ? SCOPES : 0 };
	size_t size = abi >= 6   ? sizeof(attr)
		      : abi >= 4 ? offsetof(struct ruleset_attr, scoped)
				 : offsetof(struct ruleset_attr, net);
	_cleanup_close_ int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0u);
	if (ruleset < 0 || allow_below(ruleset, c->state_dir, fs_write & known) < 0 ||
	    allow_below(ruleset, c->run_dir, fs_write & known) < 0 ||
	    allow_below(ruleset, c->log_dir, fs_read) < 0)
		return -1;
	/* usage.c reads the VMs' control groups.  A test may run the controller without control
	 * groups. */
	if (c->cgroup_dir[0] && allow_below(ruleset, c->cgroup_dir, fs_read) < 0 && errno != ENOENT)
		return -1;
	return syscall(SYS_landlock_restrict_self, ruleset, 0u) < 0 ? -1 : (int)abi;
}

/* ---- seccomp ---- */

/* System calls that are allowed with any argument, grouped by their users. */
static const int plain[] = {
	/* memory and threads of the C library */
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex),
	SCMP_SYS(rseq), SCMP_SYS(set_robust_list), SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(sysinfo), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(exit),
	SCMP_SYS(exit_group), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getuid),
	SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(uname),
	SCMP_SYS(getrandom), SCMP_SYS(umask),
	/* time and waiting */
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(poll),
	SCMP_SYS(ppoll), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait), SCMP_SYS(eventfd2), SCMP_SYS(signalfd4), SCMP_SYS(alarm),
	SCMP_SYS(setitimer),
	/* descriptors */
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64),
	SCMP_SYS(pwrite64), SCMP_SYS(close), SCMP_SYS(fcntl), SCMP_SYS(dup), SCMP_SYS(dup3),
	SCMP_SYS(lseek), SCMP_SYS(pipe2),
	/* files: SQLite, images, slots, consoles */
	SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(statx),
	SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(access), SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
	SCMP_SYS(getdents64), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fsync),
	SCMP_SYS(fdatasync), SCMP_SYS(syncfs), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
	SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(rmdir), SCMP_SYS(link),
	SCMP_SYS(linkat), SCMP_SYS(copy_file_range), SCMP_SYS(sendfile), SCMP_SYS(fadvise64),
	SCMP_SYS(flock), SCMP_SYS(fgetxattr),
	SCMP_SYS(fsetxattr), /* SELinux labels of files in slots */
};

/* System calls for the control socket, the roles' sockets and the monitors' sockets
 * (SANDBOX_SERVICE only). */
static const int talk[] = {
	SCMP_SYS(accept4),    SCMP_SYS(connect),     SCMP_SYS(shutdown),    SCMP_SYS(sendmsg),
	SCMP_SYS(recvmsg),    SCMP_SYS(sendto),      SCMP_SYS(recvfrom),    SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
};

/* A system call that is allowed if one argument, masked, has a certain value.  If a call has
 * several rows, one of them must match. */
struct filtered {
	int call;
	unsigned arg;
	uint64_t mask, value;
};

/* Set-user-id, set-group-id and sticky bits, which no file may get.  Landlock does not restrict
 * modes.  A set-user-id program in state_dir would give any local user the controller's account. */
#define SPECIAL_MODE 07000u
/* open(2) uses its mode argument only with one of these flags.  Without them the register has an
 * arbitrary value. */
#define CREATES (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))

#define ALL_BITS 0xffffffffu
#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define NEW_WORLD                                                                      \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET)

static const struct filtered filtered[] = {
	{ SCMP_SYS(clone), 0, THREAD | NEW_WORLD | CLONE_PIDFD | CLONE_VFORK, THREAD },
	{ SCMP_SYS(mmap), 2, PROT_EXEC, 0 },
	{ SCMP_SYS(mprotect), 2, PROT_EXEC, 0 },
	{ SCMP_SYS(ioctl), 1, ALL_BITS, FICLONE },
	{ SCMP_SYS(ioctl), 1, ALL_BITS, TCGETS }, /* isatty(3) on standard error */
	{ SCMP_SYS(open), 1, CREATES, 0 },
	{ SCMP_SYS(open), 2, SPECIAL_MODE, 0 },
	{ SCMP_SYS(openat), 2, CREATES, 0 },
	{ SCMP_SYS(openat), 3, SPECIAL_MODE, 0 },
	{ SCMP_SYS(chmod), 1, SPECIAL_MODE, 0 },
	{ SCMP_SYS(fchmod), 1, SPECIAL_MODE, 0 },
	{ SCMP_SYS(fchmodat), 2, SPECIAL_MODE, 0 },
	{ SCMP_SYS(mkdir), 1, SPECIAL_MODE, 0 },
	{ SCMP_SYS(mkdirat), 2, SPECIAL_MODE, 0 },
	{ SCMP_SYS(mknod), 1, S_IFMT | SPECIAL_MODE, S_IFIFO },
	{ SCMP_SYS(mknodat), 2, S_IFMT | SPECIAL_MODE, S_IFIFO },
	{ SCMP_SYS(prctl), 0, ALL_BITS, PR_SET_NAME },
	{ SCMP_SYS(prlimit64), 2, ~0ull, 0 }, /* new_limit NULL: only reads */
	/* signal 0: only tests whether the process lives */
	{ SCMP_SYS(pidfd_send_signal), 1, ALL_BITS, 0 },
};

/* Sockets that may be made: AF_UNIX streams, for the monitors' API sockets.  Daemons with datagram
 * sockets (syslog, the journal, the service manager) can not be reached. */
static const struct {
	int call;
	struct scmp_arg_cmp arg[2];
} sockets[] = {
#define TYPE_BITS (ALL_BITS & ~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK))
#define UNIX_STREAM                                                   \
	{                                                             \
		{ 0, SCMP_CMP_MASKED_EQ, ALL_BITS, AF_UNIX },         \
		{                                                     \
			1, SCMP_CMP_MASKED_EQ, TYPE_BITS, SOCK_STREAM \
		}                                                     \
	}
	{ SCMP_SYS(socket), UNIX_STREAM },
	{ SCMP_SYS(socketpair), UNIX_STREAM },
};

#ifdef BANGER_SANITIZED
/* System calls of the sanitizers' run-time, in sanitizer builds only.  The leak check at exit would
 * need ptrace, and is turned off. */
static const int extra[] = {
	SCMP_SYS(sigaltstack),      SCMP_SYS(mmap),      SCMP_SYS(mprotect),   SCMP_SYS(prctl),
	SCMP_SYS(getrlimit),        SCMP_SYS(prlimit64), SCMP_SYS(tgkill),     SCMP_SYS(kill),
	SCMP_SYS(process_vm_readv), SCMP_SYS(getppid),   SCMP_SYS(arch_prctl),
};

int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return 1;
}
#else
static const int extra[] = {
	SCMP_SYS(tgkill), /* abort(3) */
};
#endif

static int add_list(scmp_filter_ctx f, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, calls[i], 0);
	return r;
}

static int add_sockets(scmp_filter_ctx f)
{
	int r = add_list(f, talk, ARRAY_SIZE(talk));

	for (size_t i = 0; i < ARRAY_SIZE(sockets) && r == 0; i++)
		r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, sockets[i].call, 2, sockets[i].arg);
	return r;
}

static int add_rules(scmp_filter_ctx f, enum sandbox_kind kind)
{
	int r = add_list(f, plain, ARRAY_SIZE(plain));

	if (!r)
		r = add_list(f, extra, ARRAY_SIZE(extra));
	if (!r && kind == SANDBOX_SERVICE)
		r = add_sockets(f);
	for (size_t i = 0; i < ARRAY_SIZE(filtered) && r == 0; i++) {
		struct scmp_arg_cmp cmp = { filtered[i].arg, SCMP_CMP_MASKED_EQ, filtered[i].mask,
					    filtered[i].value };
		r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, filtered[i].call, 1, &cmp);
	}
	return r ? r : seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int filter_calls(enum sandbox_kind kind)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = f ? 0 : -ENOMEM;

	if (!r)
		r = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!r && seccomp_api_get() >= 3) /* older kernels do not log the kill */
		r = seccomp_attr_set(f, SCMP_FLTATR_CTL_LOG, 1);
	if (!r)
		/* a binary tree: the table is long */
		r = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!r)
		r = add_rules(f, kind);
	if (!r)
		r = seccomp_load(f);
	seccomp_release(f);
	errno = -r;
	return r ? -1 : 0;
}

/* ---- entering ---- */

static int failed(const char *what)
{
	log_errno("%s", what);
	return -1;
}

int sandbox_enter(struct ctl *c, enum sandbox_kind kind)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return failed("core dumps can not be turned off");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return failed("no_new_privs");
	c->host.landlock_abi = confine_files(&c->config);
	if (c->host.landlock_abi < 0)
		return failed("Landlock");
	if (!c->host.landlock_abi)
		log_warn("this kernel has no Landlock that fits; files are bounded by their modes "
			 "alone");
	if (filter_calls(kind) < 0)
		return failed("seccomp");
	c->host.seccomp = true;
	return 0;
}
