/* startup.h - reconciliation of kernel and database at start-up. */
#ifndef BANGER_CONTROLLER_RECOVERY_STARTUP_H
#define BANGER_CONTROLLER_RECOVERY_STARTUP_H

#include "controller/ctl.h"

/**
 * startup_reconcile() - adopt running VMs, finish interrupted operations, remove orphans
 * @c:	the roles are in their RECONCILE phase, and no worker runs an operation
 *
 * Called once, before the first request is served.
 * Return: 0, or -1 with the error: the database can not be read, a role does not answer, it is
 * unknown which VMMs live, or a VM has a slot above the configured number.
 */
int startup_reconcile(struct ctl *c, struct error *e);

#endif
