/* exit.h - the exit handler of VMMs. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_EXIT_H
#define BANGER_CONTROLLER_LIFECYCLE_EXIT_H

#include "controller/ctl.h"

/* The reason in the row of a VM that host_drain() has ended. */
#define VM_REASON_DRAINED "the host was shut down"

/**
 * vm_on_exit() - release a VM whose VMM has exited without a request
 * @id:	of the VM; nothing happens if it was deleted, stopped or started again
 *
 * Called in a worker: by the watch, and by housekeeping if the exit could not be recorded.
 */
void vm_on_exit(struct ctl *c, const uint8_t id[ID_LEN]);

#endif
