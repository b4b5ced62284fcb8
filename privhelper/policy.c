/* policy.c - the system calls of every process that lockdown.c locks: it ends itself, logs, reads a
 * clock, and reads its own locks back; and the limits of those that start no other process. */
#include <linux/prctl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/failpoint.h"
#include "privhelper/policies.h"
#include "proto/reqlog.h"

const struct rule lockdown_rules[] = {
	FAILPOINT_RULE /* of the build for the crash test */
	{ SCMP_SYS(exit_group), 0, ANY, "ends itself" },
	{ SCMP_SYS(rt_sigreturn), 0, ANY, "after SIGXFSZ or a stop" },
	{ SCMP_SYS(restart_syscall), 0, ANY, "after a stop" },
	{ SCMP_SYS(clock_gettime), 0, ANY, "the monotonic clock, where the vDSO has none" },
	{ SCMP_SYS(write), 0, { IS(0, STDERR_FILENO) }, "its log" },
	{ SCMP_SYS(ioctl), 0, { IS(1, TCGETS), IS(0, STDERR_FILENO) }, "is its log a terminal?" },
	{ SCMP_SYS(prctl), 0, { IS(0, PR_GET_SECCOMP) }, "reads its own locks back" },
	{ SCMP_SYS(prctl), 0, { IS(0, PR_GET_NO_NEW_PRIVS) }, "reads its own locks back" },
	{ SCMP_SYS(prctl), 0, { IS(0, PR_GET_DUMPABLE) }, "reads its own locks back" },
	{ 0 },
};

const struct policy_limit lockdown_limits[] = {
	{ RLIMIT_CORE, 0 },
	{ RLIMIT_NPROC, 0 },
	{ RLIMIT_FSIZE, REQLOG_BYTES_MAX },
	{ RLIMIT_NOFILE, LOCKED_FILES },
	{ RLIMIT_MEMLOCK, 0 },
	{ RLIMIT_MSGQUEUE, 0 },
	{ -1, 0 },
};
