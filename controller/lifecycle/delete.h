/* delete.h - removes a VM. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_DELETE_H
#define BANGER_CONTROLLER_LIFECYCLE_DELETE_H

#include "controller/ctl.h"

/* In any state; an operation of the VM that can be interrupted is. */
int vm_delete(struct ctl *c, struct operation *o, const char *ref, struct error *e);

/* Everything of @vm goes: objects (@listed as in release.h), files, the row.  The caller holds
 * the VM's lock, or no other thread runs. */
int vm_remove(struct ctl *c, struct vm *vm, unsigned listed, const struct operation *o,
	      struct error *e);

#endif
