/* stop.h - ends a VM on request. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_STOP_H
#define BANGER_CONTROLLER_LIFECYCLE_STOP_H

#include "controller/ctl.h"

/**
 * vm_stop() - ask the guest to power off, kill the VMM if it does not, release everything
 * @timeout_ms:	how long the guest has; 0: 10 s
 * @already:	out: it was at rest
 * @forced:	out: the VMM was killed
 * A stopped VM is not started again by its restart policy.
 */
int vm_stop(struct ctl *c, struct operation *o, const char *ref, uint64_t timeout_ms, bool *already,
	    bool *forced, struct error *e);

/* Likewise, by the row @vm of a VM that is not at rest, with its lock held. */
int vm_stop_locked(struct ctl *c, struct vm *vm, uint64_t timeout_ms, const struct operation *o,
		   bool *forced, struct error *e);

/* Kill the VMM at once; a start that is under way is interrupted. */
int vm_kill(struct ctl *c, struct operation *o, const char *ref, bool *already, struct error *e);

/* Cancel a pending restart: the policy does not start @vm again.  Its lock is held.  Return: 0,
 * or -1. */
int vm_clear_wanted(struct ctl *c, struct vm *vm, struct error *e);

#endif
