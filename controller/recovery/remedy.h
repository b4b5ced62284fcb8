/* remedy.h - the remedies that start-up and on-line reconciliation share. */
#ifndef BANGER_CONTROLLER_RECOVERY_REMEDY_H
#define BANGER_CONTROLLER_RECOVERY_REMEDY_H

#include "controller/ctl.h"
#include "controller/objects/inventory.h"

/**
 * remedy_restore() - make missing objects of a running VM again, and complete its ledger
 * @inv:	the inventory, in which @vm's objects are looked up
 * @vm:		the caller holds its operation lock, or no other thread runs; the row is written
 *
 * Return: 0 with the VM in state running, or -1 with the reason and the VM in state degraded.
 */
int remedy_restore(struct ctl *c, const struct inventory *inv, struct vm *vm,
		   const struct operation *o, struct error *e);

/**
 * remedy_remove_orphan() - remove an orphan
 * @l:	the object, listed and unclaimed
 *
 * The slot's next VM gets a generation above that of the orphan.  Success and failure are logged.
 * Return: 0 when it is gone, or -1.
 */
int remedy_remove_orphan(struct ctl *c, const struct listed *l, const struct operation *o);

/**
 * remedy_sweep_unused() - empty the run folders of unused slots, where orphaned VMMs left files
 * @from:	first slot
 * @to:		last slot, included
 *
 * Holds the database, so that no VM gets one of the slots meanwhile.  The folder of a slot in use
 * is swept by the next start of its VM.
 */
void remedy_sweep_unused(struct ctl *c, uint32_t from, uint32_t to);

#endif
