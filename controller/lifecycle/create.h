/* create.h - makes a VM. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_CREATE_H
#define BANGER_CONTROLLER_LIFECYCLE_CREATE_H

#include "controller/ctl.h"

/* Row, disk and seed of a new VM; it is not started.  @out: its row.  Errors: FAIL_USAGE,
 * FAIL_LIMIT, FAIL_NOT_FOUND the image, FAIL_STATE the name is taken, FAIL_HOST. */
int vm_create(struct ctl *c, struct operation *o, const struct call_vm_create *args, struct vm *out,
	      struct error *e);

#endif
