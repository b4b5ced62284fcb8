/* lockdown.c - gives up all rights of a process except those that its task needs, and verifies that
 * they are gone.
 *
 * Theory of operation.  The steps depend on each other, in this order:
 *
 *   limits                  come first; raising one again needs CAP_SYS_RESOURCE, which goes next
 *   securebits, ids, caps   need CAP_SETPCAP, for the bits and for emptying the bounding set
 *   no_new_privs            comes after the ids; an unprivileged process needs it to load a filter
 *   dumpable, PDEATHSIG     come after the change of ids, which resets both (prctl(2))
 *   read back               from /proc/self/status, opened earlier: a role's root has no /proc
 *   filter                  comes last, so that it allows none of the calls above
 *   read back               by prctl(2), the only one of these calls that the filter allows
 *
 * The kernel sends PR_SET_PDEATHSIG only if the dying parent may signal the child (kernel/exit.c,
 * group_send_sig_info()).  So the supervisor keeps CAP_KILL. */
#include "privhelper/lockdown.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/policies.h"

#define LOCK(bit) (SECBIT_##bit | SECBIT_##bit##_LOCKED)
#define SECUREBITS                                                           \
	(LOCK(NOROOT) | LOCK(NO_SETUID_FIXUP) | LOCK(NO_CAP_AMBIENT_RAISE) | \
	 SECBIT_KEEP_CAPS_LOCKED)

static int failed(const char *what)
{
	log_errno("lock-down: %s", what);
	return -1;
}

int lockdown_begin(int first)
{
	for (int fd = 3; fd < first; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			return failed("a descriptor from the supervisor is missing");
	if (SETUP_FAILS("descriptors") || close_range((unsigned)first, UINT_MAX, 0) < 0)
		return failed("close_range");
	int fd = SETUP_FAILS("status") ? -1 : open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? failed("/proc/self/status") : fd;
}

/* With SIGXFSZ ignored, a write beyond RLIMIT_FSIZE fails with EFBIG instead of killing the process
 * (setrlimit(2)). */
static int limit(const struct lockdown *l)
{
	if (SETUP_FAILS("signal") || signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		return failed("SIGXFSZ");
	return policy_limit(l->policy->limits);
}

static uint64_t cap_mask(const struct lockdown *l)
{
	uint64_t mask = 0;

	for (const unsigned *c = l->policy->caps; *c != UINT_MAX; c++)
		mask |= UINT64_C(1) << *c;
	return mask;
}

/* SECBIT_NO_SETUID_FIXUP keeps the capabilities over the change of ids.  Then libcap-ng sets all
 * five sets at once.  Its capng_change_id() can not be used, because it drops CAP_SETPCAP before
 * KEEP_CAPS can be locked. */
int lockdown_ids(const struct account *account, const unsigned *caps)
{
	uint32_t uid = account->uid, gid = account->gid;
	int bad = 0;

	if (SETUP_FAILS("securebits") || prctl(PR_SET_SECUREBITS, SECUREBITS) < 0)
		return failed("securebits");
	if (SETUP_FAILS("ids") || setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return failed("ids");
	capng_clear(CAPNG_SELECT_ALL);
	for (const unsigned *c = caps; *c != UINT_MAX; c++)
		bad |= capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, *c);
	if (SETUP_FAILS("capabilities") || bad || capng_apply(CAPNG_SELECT_ALL) < 0)
		return failed("capabilities");
	return 0;
}

static int bind_to_parent(const struct lockdown *l)
{
	if (SETUP_FAILS("no_new_privs") || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return failed("prctl");
	if (!l->parent)
		return 0;
	if (SETUP_FAILS("parent") || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return failed("PR_SET_PDEATHSIG");
	/* The parent may have exited before prctl(2). */
	if (getppid() != l->parent) {
		log_error("lock-down: the supervisor has exited");
		return -1;
	}
	return 0;
}

/* ---- reading back ---- */

/* Expect a line, with its newlines, in the text of /proc/self/status. */
__attribute__((format(printf, 2, 3))) static int expect(const char *text, const char *fmt, ...)
{
	char want[80];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	if (strstr(text, want))
		return 0;
	log_error("lock-down: /proc/self/status lacks \"%.*s\"", (int)strcspn(want + 1, "\n"),
		  want + 1);
	return -1;
}

/* Check ids, groups, capabilities and no_new_privs in /proc/self/status (proc_pid_status(5)). */
static int check_status(const struct lockdown *l)
{
	char text[8192];
	ssize_t n = pread(l->status_fd, text, sizeof(text) - 1, 0);

	if (SETUP_FAILS("read back") || n <= 0)
		return failed("/proc/self/status");
	text[n] = '\0';
	const uint32_t u = l->account.uid, g = l->account.gid;
	const unsigned long long caps = cap_mask(l);
	return expect(text, "\nUid:\t%u\t%u\t%u\t%u\n", u, u, u, u) |
	       expect(text, "\nGid:\t%u\t%u\t%u\t%u\n", g, g, g, g) |
	       expect(text, "\nGroups:\t \n") | expect(text, "\nCapInh:\t%016x\n", 0) |
	       expect(text, "\nCapPrm:\t%016llx\n", caps) |
	       expect(text, "\nCapEff:\t%016llx\n", caps) | expect(text, "\nCapBnd:\t%016x\n", 0) |
	       expect(text, "\nCapAmb:\t%016x\n", 0) | expect(text, "\nNoNewPrivs:\t1\n");
}

/* Check that the process can not become root again.  The launcher, with CAP_SETUID, could; its
 * filter bounds the ids instead. */
static int check_no_return(const struct lockdown *l)
{
	if (cap_mask(l) & UINT64_C(1) << CAP_SETUID)
		return 0;
	if (SETUP_FAILS("no return") || setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0) {
		log_error("lock-down: the process could become root again");
		return -1;
	}
	return 0;
}

static int check_bits(void)
{
	if (!SETUP_FAILS("read back securebits") && prctl(PR_GET_SECUREBITS) == SECUREBITS)
		return 0;
	log_error("lock-down: securebits are 0x%x, not 0x%x", (unsigned)prctl(PR_GET_SECUREBITS),
		  (unsigned)SECUREBITS);
	return -1;
}

static int check_filtered(void)
{
	if (!SETUP_FAILS("read back filter") && prctl(PR_GET_SECCOMP) == SECCOMP_MODE_FILTER &&
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_DUMPABLE) == 0)
		return 0;
	log_error("lock-down: the filter is not in place");
	return -1;
}

/* ---- the filter ---- */

#ifdef BANGER_SANITIZED
/* clang-format off */
#define RUNTIME(call) { SCMP_SYS(call), 0, ANY, "the sanitizers" }
/* The sanitizers' runtime: shadow memory, its own locks and stacks, and its report of an error.
 * Only the build of `make check` has these rules, and it is never installed. */
static const struct rule sanitizer_rules[] = {
	RUNTIME(mmap),	     RUNTIME(munmap),	    RUNTIME(mprotect),	RUNTIME(mremap),
	RUNTIME(madvise),    RUNTIME(brk),	    RUNTIME(sigaltstack), RUNTIME(rt_sigaction),
	RUNTIME(rt_sigprocmask), RUNTIME(futex),    RUNTIME(sched_yield), RUNTIME(getpid),
	RUNTIME(gettid),     RUNTIME(readlink),	    RUNTIME(open),	RUNTIME(openat),
	RUNTIME(read),	     RUNTIME(write),	    RUNTIME(fstat),	RUNTIME(newfstatat),
	RUNTIME(lseek),	     RUNTIME(getrlimit),    RUNTIME(prlimit64), RUNTIME(sched_getaffinity),
	RUNTIME(getuid),     { 0 },
};
/* clang-format on */
#else
static const struct rule sanitizer_rules[] = { { 0 } };
#endif

static int load_filter(const struct lockdown *l)
{
	scmp_filter_ctx ctx = policy_filter(l->policy, l->bound);

	if (!ctx || policy_add(ctx, sanitizer_rules, NULL) < 0)
		return -1;
	int r = SETUP_FAILS("load") ? -EIO : seccomp_load(ctx);
	if (r < 0)
		log_error("lock-down: seccomp_load: %s", strerrordesc_np(-r));
	return r < 0 ? -1 : 0;
}

int lockdown_apply(const struct lockdown *l)
{
	if (limit(l) < 0 || lockdown_ids(&l->account, l->policy->caps) < 0 || bind_to_parent(l) < 0)
		return -1;
	if (check_status(l) < 0 || check_bits() < 0 || check_no_return(l) < 0)
		return -1;
	(void)close(l->status_fd);
	return load_filter(l) < 0 ? -1 : check_filtered();
}
