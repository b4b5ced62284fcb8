/* release.h - the one way in which anything a VM holds is given back. */
#ifndef BANGER_CONTROLLER_OBJECTS_RELEASE_H
#define BANGER_CONTROLLER_OBJECTS_RELEASE_H

#include "controller/ctl.h"

/**
 * vm_release() - walk everything that @vm holds backwards and give it back
 * @vm:	the row; its runtime is emptied for what is confirmed gone, and it is written
 * @to:	the state when nothing is left; VM_DEGRADED, with the reason, when something is
 *
 * Stop, kill, delete, a failed start, a dead VMM, reconcile: all end here.
 * Takes the ledger's rows and whatever the runtime fields name beside them (a
 * row of an older schema has only those).  Every step runs whatever became of
 * the one before; absence is success; a step that fails stays in the ledger
 * with its error.
 * Return: 0 when nothing is left, else -1 with the joined errors.
 */
int vm_release(struct ctl *c, struct vm *vm, enum vm_state to, const struct operation *o,
	       struct error *e);

/* Likewise, with what the roles' LIST shows of it beside ledger and runtime: a set of 1u <<
 * (enum object). */
int vm_release_listed(struct ctl *c, struct vm *vm, unsigned listed, enum vm_state to,
		      const struct operation *o, struct error *e);

/* Empty the slot's run folder of what its VMM, which has exited, has left there.  One call has
 * an end: false says that some is left for the next call. */
bool release_sweep(struct ctl *c, uint32_t slot);

/* True if an earlier release could not kill the VMM, for example because the spawn role was
 * gone.  Such a VMM must not be adopted. */
bool vm_release_failed(struct ctl *c, const struct vm *vm);

/* True if @vm, on which no operation runs, holds what it should not: it is degraded without a
 * living VMM, or was left in the middle of a start or a stop. */
bool vm_release_due(struct ctl *c, const struct vm *vm);

#endif
