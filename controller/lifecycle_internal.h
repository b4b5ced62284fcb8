/* lifecycle_internal.h - what reconcile finishes of operations that a crash has cut short. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_INTERNAL_H
#define BANGER_CONTROLLER_LIFECYCLE_INTERNAL_H

#include "controller/ctl.h"

/* Everything of @vm goes: objects (@listed as in release.h), files, the row.  The caller has the turn, or is alone. */
int vm_remove(struct ctl *c, struct vm *vm, unsigned listed, const struct operation *o, struct error *e);

#endif
