/* lockdown.h - how a process gives up all but what it was made for, and proves it.
 *
 * The helpers that add to a filter return 0, or -1 (logged), so that they can be or-ed together.  A rule without
 * arguments makes every rule with arguments for the same call meaningless (libseccomp takes the widest). */
#ifndef BANGER_PRIVHELPER_LOCKDOWN_H
#define BANGER_PRIVHELPER_LOCKDOWN_H

#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"

struct lockdown {
	struct account account; /* to become, with no supplementary group */
	const unsigned *caps;   /* CAP_* numbers to keep, ended by UINT_MAX */
	bool may_fork;          /* otherwise RLIMIT_NPROC is 0 */
	uint64_t file_max;      /* bytes of the longest file that it may write (RLIMIT_FSIZE); 0: no limit */
	pid_t parent;           /* dies with this parent (PR_SET_PDEATHSIG); 0: does not */
	int status_fd;          /* /proc/self/status, opened before any change of the root; closed here */
	int (*filter)(void *arg, scmp_filter_ctx ctx); /* adds the allowed calls; see lockdown_allow_base() */
	void *arg;
};

/* Close descriptors from @first on, make the lower ones but 0, 1, 2 close-on-exec, and open /proc/self/status.
 * Return: a descriptor for struct lockdown, or -1 (logged). */
int lockdown_begin(int first);

/* Limits, ids, capabilities, securebits, no_new_privs, filter; then everything is read back.
 * Return: 0, or -1 (logged): the caller must end at once, it is neither what it was nor what it should be. */
int lockdown_apply(const struct lockdown *l);

/* The part of it about ids, capabilities and securebits, for the child that is about to execute the controller. */
int lockdown_ids(const struct account *account, const unsigned *caps);

/* What every locked process may call: end, log to descriptor 2, read clocks, ask what its own locks are. */
int lockdown_allow_base(scmp_filter_ctx ctx);

/* @call with any arguments; a list of calls ended by -1 likewise. */
int lockdown_allow(scmp_filter_ctx ctx, int call);
int lockdown_allow_list(scmp_filter_ctx ctx, const int *calls);

/* @call when the 32 low bits of argument @arg are @value: what the kernel sees of an int or unsigned int. */
int lockdown_allow_arg(scmp_filter_ctx ctx, int call, unsigned arg, uint32_t value);

/**
 * lockdown_allow_open() - allow openat(2) with AT_FDCWD and exactly these flags
 * @flags:	O_* without O_CREAT and O_TMPFILE, so that there is no mode to compare
 *
 * The descriptor is part of the rule: the kernel ignores it for an absolute
 * path only, and a descriptor of a folder outside the process's root, which a
 * peer can send by SCM_RIGHTS, would lead out of that root.
 */
int lockdown_allow_open(scmp_filter_ctx ctx, uint32_t flags);

/* ioctl @request on @fd (-1: on any descriptor), both compared as the kernel does, in 32 bits. */
int lockdown_allow_ioctl(scmp_filter_ctx ctx, int fd, uint32_t request);

#endif
