/* lock.h - the controller's own confinement: no privilege to begin with, and then only what it needs. */
#ifndef BANGER_CONTROLLER_LOCK_H
#define BANGER_CONTROLLER_LOCK_H

#include "controller/ctl.h"

/* Refuse to run as root or with any capability.  Return: 0, or -1 (logged). */
int lock_check_identity(void);

/**
 * lock_down() - no new privileges, Landlock, seccomp; before the first thread
 *
 * Landlock is best effort (ctl's host says); everything else fails closed.
 * Return: 0, or -1 (logged).
 */
int lock_down(struct ctl *c);

#endif
