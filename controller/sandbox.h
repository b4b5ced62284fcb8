/* sandbox.h - the controller's own confinement: no privilege to begin with, and then only what it needs. */
#ifndef BANGER_CONTROLLER_SANDBOX_H
#define BANGER_CONTROLLER_SANDBOX_H

#include "controller/ctl.h"

/* Refuse to run as root or with any capability.  Return: 0, or -1 (logged). */
int sandbox_check_identity(void);

/* What the program does afterwards. */
enum sandbox_kind {
	SANDBOX_SERVICE, /* all that the controller does */
	SANDBOX_FILES,   /* reads and writes files alone: it neither makes a socket nor uses one */
};

/**
 * sandbox_enter() - no new privileges, Landlock, seccomp; before the first thread
 *
 * Landlock is best effort (ctl's host says); everything else fails closed.
 * Return: 0, or -1 (logged).
 */
int sandbox_enter(struct ctl *c, enum sandbox_kind kind);

#endif
