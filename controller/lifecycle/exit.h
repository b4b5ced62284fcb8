/* exit.h - what happens when a VMM has exited. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_EXIT_H
#define BANGER_CONTROLLER_LIFECYCLE_EXIT_H

#include "controller/ctl.h"

/* The reason of a VM that ended because the host goes down (drain.h). */
#define VM_REASON_DRAINED "the host was shut down"

/* The VMM of @id has exited without having been told to: release what it held.  Called in a
 * worker, by the watch, and by housekeeping when that could not be recorded. */
void vm_on_exit(struct ctl *c, const uint8_t id[ID_LEN]);

#endif
