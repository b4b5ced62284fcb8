/* release.h - releases all objects of a VM: the common end of stops, deletes, exits and
 * rollbacks. */
#ifndef BANGER_CONTROLLER_OBJECTS_RELEASE_H
#define BANGER_CONTROLLER_OBJECTS_RELEASE_H

#include "controller/ctl.h"

/**
 * vm_release() - release all objects of @vm, in reverse order of making
 * @vm:	the caller holds its operation lock, or no other thread runs; runtime fields of removed
 *		objects are cleared, and the row is written
 * @to:	the state if nothing is left; otherwise the VM becomes degraded (failed if it is incomplete)
 *
 * Stop, kill, delete, a failed start, the exit handler and recovery end here.  Objects are found by
 * the ledger and by the runtime fields.  Every step runs, also after a step that failed.  An object
 * that does not exist counts as removed.  An object that can not be removed keeps its ledger row,
 * with the error.
 * Return: 0 when nothing is left, else -1 with the joined errors.
 */
int vm_release(struct ctl *c, struct vm *vm, enum vm_state to, const struct operation *o,
	       struct error *e);

/* As vm_release(), and also release the objects in @listed, a set of 1u << (enum object) from
 * inventory_claim(). */
int vm_release_listed(struct ctl *c, struct vm *vm, unsigned listed, enum vm_state to,
		      const struct operation *o, struct error *e);

/* Empty the slot's run folder after its VMM has exited, so that the slot's next VM finds no old
 * files.  One call removes a bounded number of files.  Return: true when the folder is empty. */
bool release_sweep(struct ctl *c, uint32_t slot);

/* True if an earlier release could not kill the VMM, for example because the spawn role was
 * gone.  Such a VMM must not be adopted. */
bool vm_release_failed(struct ctl *c, const struct vm *vm);

/* True if @vm, on which no operation runs, holds what it should not: it is degraded without a
 * living VMM, or was left in the middle of a start or a stop. */
bool vm_release_due(struct ctl *c, const struct vm *vm);

#endif
