/* lockdown.h - gives up all rights of a process except those of its policy, and verifies that they
 * are gone. */
#ifndef BANGER_PRIVHELPER_LOCKDOWN_H
#define BANGER_PRIVHELPER_LOCKDOWN_H

#include <sys/types.h>

#include "common/config.h"
#include "common/policy.h"

struct lockdown {
	struct account account; /* uid and gid to take; supplementary groups are dropped */
	const struct policy *policy;
	const struct binding *bound; /* the policy's variables */
	/* the kernel kills this process when @parent exits (PR_SET_PDEATHSIG); 0: not */
	pid_t parent;
	int status_fd; /* from lockdown_begin(); closed by lockdown_apply() */
};

/* Close descriptors from @first on, make those from 3 to @first - 1 close-on-exec, and open
 * /proc/self/status, which a role's later root lacks.  Return: the descriptor for struct lockdown,
 * or -1 (logged). */
int lockdown_begin(int first);

/* Set limits, ids, capabilities, securebits, no_new_privs and the filter, and read everything back.
 * Return: 0, or -1 (logged); the caller must then exit at once, because it may have lost only a
 * part of its rights. */
int lockdown_apply(const struct lockdown *l);

/* Set securebits, ids and capabilities alone, for the child that executes the controller.  Return:
 * 0, or -1 (logged). */
int lockdown_ids(const struct account *account, const unsigned *caps);

#endif
