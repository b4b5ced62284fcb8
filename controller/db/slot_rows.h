/* slot_rows.h - the slots of the host, and the generation that each has reached. */
#ifndef BANGER_CONTROLLER_DB_SLOT_ROWS_H
#define BANGER_CONTROLLER_DB_SLOT_ROWS_H

#include "controller/ctl.h"

/* The host has something of ours in @slot with that generation that this database does not know: the slot's next one is
 * higher, and it is given out last. */
int store_slot_floor(struct store *s, uint32_t slot, uint32_t generation, struct error *e);
/* Which VM has it.  Return: 1 and @vm filled, 0 none, -1. */
int store_slot_used(struct store *s, uint32_t slot, uint8_t vm[ID_LEN], struct error *e);

/* Within a transaction: give @vm the free slot that was given back the longest time ago, one never used first, and the
 * next generation.  Return: 0, or -1 with the store's `why`: FAIL_LIMIT when none is free. */
int slot_take(struct store *s, struct vm *vm, const struct config *config);

/* Within a transaction: @slot is free from now on.  Return: 0, or -1. */
int slot_give(struct store *s, int64_t slot);

#endif
