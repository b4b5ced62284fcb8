/* unheld.h - the schedule of ends: of VMs that are held and have no holder. */
#ifndef BANGER_CONTROLLER_POLICY_UNHELD_H
#define BANGER_CONTROLLER_POLICY_UNHELD_H

#include "controller/ctl.h"

/* Queue the end of each VM without a holder that is due (lifecycle/hold.h).  The main loop calls
 * this in each round, so a VM ends right after its holder, and at most a second after its grace. */
void unheld_tick(struct ctl *c);

#endif
