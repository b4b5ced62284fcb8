/* lifecycle_internal.h - what reconcile, at start-up, and repair, later, have in common with the operations. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_INTERNAL_H
#define BANGER_CONTROLLER_LIFECYCLE_INTERNAL_H

#include "controller/ctl.h"
#include "controller/inventory.h"

/* A running VM gets again what @inv lacks of it, and can be made again; else it is degraded, with the reason.
 * Its row is written.  Return: 0, or -1 with the reason. */
int vm_restore(struct ctl *c, const struct inventory *inv, struct vm *vm, const struct operation *o, struct error *e);

/* An object that no VM has.  Return: 0 gone, or -1; either is logged. */
int orphan_remove(struct ctl *c, const struct listed *l, const struct operation *o);

#endif
