/* remedy.h - what start-up and on-line reconciliation do about a difference between kernel and
 * database. */
#ifndef BANGER_CONTROLLER_RECOVERY_REMEDY_H
#define BANGER_CONTROLLER_RECOVERY_REMEDY_H

#include "controller/ctl.h"
#include "controller/objects/inventory.h"

/**
 * remedy_restore() - make again what @inv lacks of a running VM, and can be made again
 * @vm:	its lock is held, or there is no other thread; its row is written
 * Return: 0 with the VM running, or -1 with the reason: it is degraded.
 */
int remedy_restore(struct ctl *c, const struct inventory *inv, struct vm *vm,
		   const struct operation *o, struct error *e);

/* Remove an object that no VM has; its slot goes on above its generation.  Return: 0 gone, or
 * -1; either is logged. */
int remedy_remove_orphan(struct ctl *c, const struct listed *l, const struct operation *o);

/* Remove what orphaned VMMs have left in the run folders of slots @from .. @to that no VM has; a
 * VM that has the slot by now does so when it starts.  The store is held, so that no VM is given
 * one meanwhile. */
void remedy_sweep_unused(struct ctl *c, uint32_t from, uint32_t to);

#endif
