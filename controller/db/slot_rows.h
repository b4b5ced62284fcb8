/* slot_rows.h - the slots of the host, and the generation of each. */
#ifndef BANGER_CONTROLLER_DB_SLOT_ROWS_H
#define BANGER_CONTROLLER_DB_SLOT_ROWS_H

#include "controller/ctl.h"

/**
 * db_slot_floor() - make the slot's next generation higher than @generation, and give the slot
 *		out last
 * @generation:	of an orphan or a stray file that was found in @slot, and that this database does
 *		not know
 *
 * Return: 0, or -1 with the error.
 */
int db_slot_floor(struct db *s, uint32_t slot, uint32_t generation, struct error *e);

/* Find the VM that has @slot.  Return: 1 with its id in @vm, 0 there is none, -1 with the error. */
int db_slot_used(struct db *s, uint32_t slot, uint8_t vm[ID_LEN], struct error *e);

/* Give @vm a free slot and the slot's next generation, within a transaction.  A slot that was never
 * used is preferred, then the one that has been free for the longest time.  Return: 0, or -1 with
 * the database's `why`: FAIL_LIMIT no slot is free. */
int slot_take(struct db *s, struct vm *vm, const struct config *config);

/* Free @slot, within a transaction.  Return: 0, or -1. */
int slot_give(struct db *s, int64_t slot);

#endif
