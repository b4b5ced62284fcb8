/* policy.c - what the supervisor may do after its lock-down. */
#include <limits.h>
#include <linux/capability.h>
#include <sys/resource.h>

#include "privhelper/policies.h"
#include "privhelper/role/reqlog.h"

static const struct rule rules[] = {
	{ SCMP_SYS(poll), 0, ANY, "waits for a signal, an exit, the controller's byte" },
	{ SCMP_SYS(ppoll), 0, ANY, "poll(3) of newer C libraries" },
	{ SCMP_SYS(waitid), 0, ANY, "reads the status of a child that has exited" },
	{ SCMP_SYS(close), 0, ANY, "its line to the controller, which then stops" },
	{ SCMP_SYS(read), 0, { BOUND(0, SUP_SIGNALS) }, "SIGTERM, SIGINT" },
	{ SCMP_SYS(read), 0, { BOUND(0, SUP_LIFE) }, "the controller's ready byte" },
	{ SCMP_SYS(write), 0, { BOUND(0, SUP_NOTIFY) }, "READY and STOPPING" },
	{ SCMP_SYS(pidfd_send_signal), 0, { BOUND(0, SUP_CHILD) }, "ends a child" },
	{ SCMP_SYS(pidfd_send_signal), 0, { BOUND(0, SUP_CHILD + 1) }, "ends a child" },
	{ SCMP_SYS(pidfd_send_signal), 0, { BOUND(0, SUP_CHILD + 2) }, "ends a child" },
	{ SCMP_SYS(pidfd_send_signal), 0, { BOUND(0, SUP_CHILD + 3) }, "ends a child" },
	{ 0 },
};

static const unsigned caps[] = { CAP_KILL, UINT_MAX };

static const struct policy_limit limits[] = {
	{ RLIMIT_CORE, 0 },
	{ RLIMIT_NPROC, 0 },
	{ RLIMIT_FSIZE, REQLOG_BYTES_MAX },
	{ RLIMIT_NOFILE, LOCKED_FILES },
	{ RLIMIT_MEMLOCK, 0 },
	{ RLIMIT_MSGQUEUE, 0 },
	{ -1, 0 },
};

const struct policy policy_supervisor = {
	.process = "banger-privhelper",
	.account = "banger-sup",
	.caps = caps,
	.namespaces = "",
	.files = "none",
	.limits = limits,
	.lists = { lockdown_rules, rules },
	.vars = { [SUP_SIGNALS] = "signalfd",
		  [SUP_LIFE] = "socket to the controller",
		  [SUP_NOTIFY] = "socket to the service manager",
		  [SUP_CHILD] = "pidfd of net",
		  [SUP_CHILD + 1] = "pidfd of blk",
		  [SUP_CHILD + 2] = "pidfd of spawn",
		  [SUP_CHILD + 3] = "pidfd of the controller" },
};
