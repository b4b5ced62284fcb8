/* lockdown.h - gives up all rights of a process except those that its task needs, and verifies that
 * they are gone.
 *
 * The functions that add to a filter return 0, or -1 (logged), so that results can be or-ed.  A
 * rule without arguments overrides every rule with arguments for the same call
 * (seccomp_rule_add(3)). */
#ifndef BANGER_PRIVHELPER_LOCKDOWN_H
#define BANGER_PRIVHELPER_LOCKDOWN_H

#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"

struct lockdown {
	struct account account; /* uid and gid to take; supplementary groups are dropped */
	const unsigned *caps;   /* CAP_* numbers to keep, ended by UINT_MAX */
	bool may_fork;          /* false: RLIMIT_NPROC is 0 */
	/* bytes of the longest file that it may write (RLIMIT_FSIZE); 0: no limit */
	uint64_t file_max;
	/* the kernel kills this process when @parent exits (PR_SET_PDEATHSIG); 0: not */
	pid_t parent;
	int status_fd; /* from lockdown_begin(); closed by lockdown_apply() */
	/* adds the allowed calls; see lockdown_allow_base() */
	int (*filter)(void *arg, scmp_filter_ctx ctx);
	void *arg;
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

/* Allow the calls of every locked process: exit, log to descriptor 2, read clocks, read its own
 * locks. */
int lockdown_allow_base(scmp_filter_ctx ctx);

/* Allow @call, or each call of a list that -1 ends, with any arguments. */
int lockdown_allow(scmp_filter_ctx ctx, int call);
int lockdown_allow_list(scmp_filter_ctx ctx, const int *calls);

/* Allow @call if the low 32 bits of argument @arg (0 to 5) are @value.  The kernel uses no more of
 * an int. */
int lockdown_allow_arg(scmp_filter_ctx ctx, int call, unsigned arg, uint32_t value);

/**
 * lockdown_allow_open() - allow openat(2) with this folder and exactly these flags
 * @dir:	a descriptor, or AT_FDCWD
 * @flags:	O_* without O_CREAT and O_TMPFILE, so that there is no mode to compare
 *
 * The rule compares the descriptor, because a relative path below another one could leave the
 * process's root: a peer can send a descriptor of a folder outside by SCM_RIGHTS.
 */
int lockdown_allow_open(scmp_filter_ctx ctx, int dir, uint32_t flags);

/* Allow ioctl(2) @request on @fd, or with @fd -1 on any descriptor.  Both are compared in 32 bits,
 * as by the kernel. */
int lockdown_allow_ioctl(scmp_filter_ctx ctx, int fd, uint32_t request);

#endif
