/* policy.c - what the supervisor may do after its lock-down. */
#include <limits.h>
#include <linux/capability.h>

#include "privhelper/policies.h"

static const struct rule rules[] = {
	{ SCMP_SYS(poll), 0, ANY, "waits for a signal, an exit, the controller's byte" },
	{ SCMP_SYS(ppoll), 0, ANY, "poll(3) of newer C libraries" },
	{ SCMP_SYS(waitid), 0, ANY, "reads the status of a child that has exited" },
	{ SCMP_SYS(close), 0, ANY, "its line to the controller, which then stops" },
	{ SCMP_SYS(read), 0, { BOUND(0, SUP_LIFE) }, "the controller's ready byte" },
	{ SCMP_SYS(write), 0, { BOUND(0, SUP_NOTIFY) }, "READY and STOPPING" },
	{ 0 },
};

static const unsigned caps[] = { CAP_KILL, UINT_MAX };

const struct policy policy_supervisor = {
	.process = "banger-privhelper",
	.account = "banger-sup",
	.caps = caps,
	.namespaces = "",
	.files = "none",
	.writes = NULL,
	.holds = "null socket pidfd signalfd lock",
	.limits = lockdown_limits,
	.lists = { lockdown_rules, rules },
	.vars = { [SUP_LIFE] = "socket to the controller",
		  [SUP_NOTIFY] = "socket to the service manager" },
};
