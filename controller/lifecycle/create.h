/* create.h - makes a VM. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_CREATE_H
#define BANGER_CONTROLLER_LIFECYCLE_CREATE_H

#include "controller/ctl.h"

/**
 * vm_create() - make row, disk and seed of a new VM; it is not started
 * @args:	a row of control.def, with its bounds checked
 * @out:	out: the VM's row
 *
 * Return: 0, or -1 with nothing left behind: FAIL_USAGE, FAIL_LIMIT, FAIL_NOT_FOUND the image,
 * FAIL_STATE the name is in use, FAIL_HOST, FAIL_GENERAL.
 */
int vm_create(struct ctl *c, struct operation *o, const struct call_vm_create *args, struct vm *out,
	      struct error *e);

#endif
