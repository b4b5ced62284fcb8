/* sandbox.h - the confinement of the controller: a check of its identity, Landlock, seccomp. */
#ifndef BANGER_CONTROLLER_SANDBOX_H
#define BANGER_CONTROLLER_SANDBOX_H

#include "controller/ctl.h"
#include "controller/sandbox_policy.h"

/* Check that the process is not root, and has no capabilities.  Return: 0, or -1 (logged). */
int sandbox_check_identity(void);

/**
 * sandbox_enter() - forbid new privileges, and enter Landlock and seccomp
 * @c:	in: config, with the allowed folders; out: host.landlock_abi and host.seccomp
 *
 * Call it before the first thread is started.  A kernel without Landlock is accepted.  Any other
 * failure is an error.
 * Return: 0, or -1 (logged).
 */
int sandbox_enter(struct ctl *c, enum sandbox_kind kind);

#endif
