/* start.h - starts a VM. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_START_H
#define BANGER_CONTROLLER_LIFECYCLE_START_H

#include "controller/ctl.h"

/* @already: out, it runs.  @out: its row as it was left.  A start that fails leaves no object.
 * Errors: FAIL_STATE, FAIL_HOST, FAIL_LIMIT, FAIL_TIMEOUT, FAIL_GENERAL. */
int vm_start(struct ctl *c, struct operation *o, const char *ref, bool *already, struct vm *out,
	     struct error *e);

/* Likewise, by its row @vm, with the VM's lock held. */
int vm_start_locked(struct ctl *c, struct vm *vm, const struct operation *o, bool *already,
		    struct error *e);

#endif
