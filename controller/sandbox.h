/* sandbox.h - the controller's own confinement: no privilege to begin with, and then only what it needs. */
#ifndef BANGER_CONTROLLER_SANDBOX_H
#define BANGER_CONTROLLER_SANDBOX_H

#include "controller/ctl.h"

/* Refuse to run as root or with any capability.  Return: 0, or -1 (logged). */
int sandbox_check_identity(void);

/**
 * sandbox_enter() - no new privileges, Landlock, seccomp; before the first thread
 *
 * Landlock is best effort (ctl's host says); everything else fails closed.
 * Return: 0, or -1 (logged).
 */
int sandbox_enter(struct ctl *c);

#endif
