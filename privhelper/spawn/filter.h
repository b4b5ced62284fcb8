/* filter.h - the filters of the launcher and of the VMMs, made from the tables of policy.c. */
#ifndef BANGER_PRIVHELPER_SPAWN_FILTER_H
#define BANGER_PRIVHELPER_SPAWN_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>

#include "common/config.h"
#include "common/policy.h"
#include "proto/ops.h"

/* Bind the variables of the launcher's policy.  @bound: out; LAUNCHER_VARS of them.  Return: 0, or
 * -1 (logged). */
int spawn_filter_bind(const struct config *c, struct binding *bound);

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
