/* sandbox.c - the confinement of the controller: identity, Landlock, seccomp.
 *
 * The supervisor executes the controller under an account without capabilities.
 * sandbox_check_identity() verifies that. sandbox_enter() then forbids new privileges, files
 * outside of the controller's folders (Landlock), and each system call that is not in
 * sandbox_policy.c.  exec and fork are not in it: a controller that was taken over can not execute
 * programs. */
#include "controller/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/landlock.h"
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
	const int abi = landlock_abi();

	if (!landlock_suffices(c)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	if (abi < LANDLOCK_ABI_LEAST)
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

#ifdef BANGER_SANITIZED
/* The leak check at exit would need ptrace, and is turned off. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return 1;
}

/* clang-format off */
#define RUNTIME(call) { SCMP_SYS(call), 0, ANY, "the sanitizers" }
/* The sanitizers' runtime, in sanitizer builds only, which are never installed. */
static const struct rule sanitizer_rules[] = {
	RUNTIME(sigaltstack), RUNTIME(mmap), RUNTIME(mprotect), RUNTIME(prctl), RUNTIME(getrlimit),
	RUNTIME(prlimit64), RUNTIME(kill), RUNTIME(process_vm_readv), RUNTIME(getppid),
	RUNTIME(arch_prctl), RUNTIME(madvise), RUNTIME(sched_yield), RUNTIME(gettid),
	RUNTIME(nanosleep), RUNTIME(rt_sigaction), RUNTIME(rt_sigprocmask), RUNTIME(tgkill), { 0 },
};
/* clang-format on */
#else
static const struct rule sanitizer_rules[] = { { 0 } };
#endif

static int filter_calls(enum sandbox_kind kind)
{
	scmp_filter_ctx f = policy_filter(&policy_controller[kind], NULL);

	if (!f || policy_add(f, sanitizer_rules, NULL) < 0)
		return -1;
	int r = SETUP_FAILS("load") ? -EIO : seccomp_load(f);
	seccomp_release(f);
	errno = -r;
	return r ? -1 : 0;
}

/* ---- limits ---- */

#define LIMITS_MAX 8
static int set_limits(const struct config *c, const struct policy_limit *limits)
{
	struct policy_limit own[LIMITS_MAX + 1];
	size_t n = 0;

	for (; limits[n].resource >= 0 && n < LIMITS_MAX; n++) {
		own[n] = limits[n];
		if (own[n].max == POLICY_DISK)
			own[n].max = sandbox_file_max(c);
	}
	own[n].resource = -1;
	return policy_limit(own);
}

/* ---- entering ---- */

static int failed(const char *what)
{
	log_errno("%s", what);
	return -1;
}

int sandbox_enter(struct ctl *c, enum sandbox_kind kind)
{
	if (set_limits(&c->config, policy_controller[kind].limits) < 0 || SETUP_FAILS("dumpable") ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return failed("limits and core dumps");
	if (SETUP_FAILS("no_new_privs") || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return failed("no_new_privs");
	c->host.landlock_abi = SETUP_FAILS("landlock") ? -1 : confine_files(&c->config);
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
