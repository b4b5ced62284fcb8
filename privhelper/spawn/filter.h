/* filter.h - system calls of the role and of VMMs. */
#ifndef BANGER_PRIVHELPER_SPAWN_FILTER_H
#define BANGER_PRIVHELPER_SPAWN_FILTER_H

#include <linux/filter.h>
#include <seccomp.h>
#include <stdbool.h>

#include "privhelper/role/role.h"

/* The role's own calls, and, because a filter outlives execve, those of the VMMs.  Return: 0, or -1 (logged). */
int spawn_filter_role(struct role *r, scmp_filter_ctx ctx);

/**
 * spawn_filter_vmm() - the narrower filter that a VMM loads on top of the role's
 * @kind:	which VMM: they differ in what they may do with sockets
 * @landlock:	the VMM has a Landlock domain below it, which refuses files that it has no business to make
 * @out:	out; its instructions stay in one buffer for each kind, which the next call for @kind overwrites
 *
 * Return: 0, or -1 (logged).
 */
int spawn_filter_vmm(enum vmm_kind kind, bool landlock, struct sock_fprog *out);

#endif
