/* startup.h - kernel against database at start-up. */
#ifndef BANGER_CONTROLLER_RECOVERY_STARTUP_H
#define BANGER_CONTROLLER_RECOVERY_STARTUP_H

#include "controller/ctl.h"

/* At start-up, before any request is served: compare ledger, kernel and VMMs; adopt, release,
 * remove orphans. */
int startup_reconcile(struct ctl *c, struct error *e);

#endif
