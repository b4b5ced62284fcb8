/* stop.h - ends a VM on request. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_STOP_H
#define BANGER_CONTROLLER_LIFECYCLE_STOP_H

#include "controller/ctl.h"

/**
 * vm_stop() - ask the guest to power off, kill the VMM if it does not, release all objects
 * @ref:	name or id, as a user gave it
 * @timeout_ms:	time in which the guest may power off; 0: 10 s
 * @already:	out: it was at rest before
 * @forced:	out: the VMM was killed
 *
 * Clears the desired state: the restart policy does not start the VM again.
 * Return: 0, or -1 with the error: FAIL_NOT_FOUND, FAIL_STATE, FAIL_HOST, FAIL_GENERAL.
 */
int vm_stop(struct ctl *c, struct operation *o, const char *ref, uint64_t timeout_ms, bool *already,
	    bool *forced, struct error *e);

/* As vm_stop(), for the row @vm of a VM that is not at rest, with the operation lock held. */
int vm_stop_locked(struct ctl *c, struct vm *vm, uint64_t timeout_ms, const struct operation *o,
		   bool *forced, struct error *e);

/* Kill the VMM at once, and release all objects.  A running start or stop is interrupted.
 * Parameters and result as vm_stop(). */
int vm_kill(struct ctl *c, struct operation *o, const char *ref, bool *already, struct error *e);

/**
 * vm_shut_down() - ask the guest to power off, and wait for it
 * @timeout_ms:	0: 10 s
 *
 * The operation lock is held.  A cancellation of @o ends the wait.
 * Return: true when the VMM has exited or there is none; false: it must be killed.
 */
bool vm_shut_down(struct ctl *c, const struct vm *vm, uint64_t timeout_ms,
		  const struct operation *o);

/* Clear the desired state of @vm, which cancels a pending restart.  The operation lock is held.
 * Return: 0, or -1. */
int vm_clear_wanted(struct ctl *c, struct vm *vm, struct error *e);

#endif
