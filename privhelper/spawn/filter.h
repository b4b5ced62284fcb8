/* filter.h - lists the system calls that the spawn role and its VMMs may make. */
#ifndef BANGER_PRIVHELPER_SPAWN_FILTER_H
#define BANGER_PRIVHELPER_SPAWN_FILTER_H

#include <linux/filter.h>
#include <seccomp.h>
#include <stdbool.h>

#include "privhelper/role/role.h"

/* Add the role's calls to the filter, and those of all VMMs, because a filter stays over execve(2)
 * (seccomp(2)).
 * Return: 0, or -1 (logged). */
int spawn_filter_role(struct role *r, scmp_filter_ctx ctx);

/**
 * spawn_filter_vmm() - make the narrower filter that a VMM loads on top of the role's
 * @kind:	the kinds differ in their socket calls
 * @landlock:	true if the kernel has Landlock, which then refuses to create files
 * @out:	out; its instructions lie in a static buffer for @kind, which the next call
 * 	overwrites
 *
 * Return: 0, or -1 (logged).
 */
int spawn_filter_vmm(enum vmm_kind kind, bool landlock, struct sock_fprog *out);

#endif
