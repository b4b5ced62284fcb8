/* filter.h - lists the system calls that the spawn role, its launcher and the VMMs may make. */
#ifndef BANGER_PRIVHELPER_SPAWN_FILTER_H
#define BANGER_PRIVHELPER_SPAWN_FILTER_H

#include <linux/filter.h>
#include <seccomp.h>
#include <stdbool.h>

#include "common/config.h"
#include "proto/ops.h"

/* Add the role's own calls to the filter: to read and change cgroups below @vm_dir, to read
 * @proc_dir, and to talk to the launcher at the descriptor @launcher.
 * Return: 0, or -1 (logged). */
int spawn_filter_role(int vm_dir, int proc_dir, int launcher, scmp_filter_ctx ctx);

/* Add the launcher's calls to the filter, and those of all VMMs, because a filter stays over
 * execve(2) (seccomp(2)).
 * Return: 0, or -1 (logged). */
int spawn_filter_launcher(const struct config *c, scmp_filter_ctx ctx);

/**
 * spawn_filter_vmm() - make the narrower filter that a VMM loads on top of the launcher's
 * @kind:	the kinds differ in their socket calls
 * @landlock:	true if the kernel has Landlock, which then refuses to create files
 * @out:	out; its instructions lie in a static buffer for @kind, which the next call
 * 	overwrites
 *
 * Return: 0, or -1 (logged).
 */
int spawn_filter_vmm(enum vmm_kind kind, bool landlock, struct sock_fprog *out);

#endif
