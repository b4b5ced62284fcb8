/* start.h - starts a VM. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_START_H
#define BANGER_CONTROLLER_LIFECYCLE_START_H

#include "controller/ctl.h"

/**
 * vm_start() - start a VM at rest
 * @ref:	name or id, as a user gave it
 * @already:	out: it was running before
 * @out:	out: the VM's row at the end
 *
 * Return: 0, or -1 with no object left: FAIL_NOT_FOUND, FAIL_STATE, FAIL_HOST, FAIL_LIMIT,
 * FAIL_TIMEOUT, FAIL_GENERAL.
 */
int vm_start(struct ctl *c, struct operation *o, const char *ref, bool *already, struct vm *out,
	     struct error *e);

/* As vm_start(), for the row @vm, with the operation lock held. */
int vm_start_locked(struct ctl *c, struct vm *vm, const struct operation *o, bool *already,
		    struct error *e);

#endif
