/* hold.h - held VMs: a VM that ends when the connection that holds it ends.
 *
 * The row of a VM says what happens to it without a holder (enum hold).  This is the durable half,
 * and the whole intent: a row with a hold and no holder is to be ended.  The table of this file
 * says which connection holds the VM, or when a VM without a holder is due.  It is in memory, and a
 * restart of the controller loses it: housekeeping notes each held row again, and the VM is due
 * when the grace (hold_grace_s) is over, unless a connection has taken the hold.
 *
 * All functions are thread-safe, never wait for another thread's work, and take NULL for a table
 * without entries. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_HOLD_H
#define BANGER_CONTROLLER_LIFECYCLE_HOLD_H

#include "controller/ctl.h"

/* Make an empty table.  Return: the table, or NULL when there is no memory. */
struct holds *holds_open(void);

/* Free it.  The workers must have ended. */
void holds_close(struct holds *h);

/* Make @connection the holder of @vm; the caller holds its operation lock.  A number that an ended
 * connection had is never used again, and is not 0. */
void hold_set(struct holds *h, const struct vm *vm, uint64_t connection);

/* Remove the entry of @vm: it is not held any more, or its row is gone. */
void hold_forget(struct holds *h, const struct vm *vm);

/* Take the loss of the connection: each VM that it holds is due at once. */
void hold_lost(struct holds *h, uint64_t connection);

/* Note that the row of @vm has a hold.  If the table does not know of it, the VM is without a
 * holder and due at @due_ns (clock_boot_ns()). */
void hold_note(struct holds *h, const struct vm *vm, uint64_t due_ns);

/* Have @asks called by hold_due(): it returns true while a request of @owner to take a hold is not
 * answered.  Meanwhile the grace of none of their VMs ends: a holder has come back in time, and
 * waits for a worker or an operation lock.  NULL: nothing is asked. */
void hold_heed(struct holds *h, bool (*asks)(const void *arg, uint32_t owner), const void *arg);

/* Return: the connection that holds @vm; 0: none. */
uint64_t hold_holder(struct holds *h, const struct vm *vm);

/* True if the connection holds a VM. */
bool hold_has(struct holds *h, uint64_t connection);

/* Return: the number of VMs that a connection holds. */
size_t hold_count(struct holds *h);

/**
 * hold_due() - take the next VM that is without a holder and due
 * @now_ns:	of clock_boot_ns()
 *
 * Only the thread of hold_heed() calls this.  The entry is busy until hold_done().  At most half as
 * many as there are workers are busy at a time.
 * Return: a handle for hold_done(), or NULL when none is due or so many are busy.
 */
struct held *hold_due(struct holds *h, uint64_t now_ns);

/* Return: the id of the VM that hold_due() has taken. */
const uint8_t *hold_id(const struct held *s);

/* Give the entry back.  @again_ns: the VM is due again then; 0: its entry is removed.  An entry
 * that has changed meanwhile stays as it is: the VM has got a holder, and may have lost it
 * again. */
void hold_done(struct holds *h, struct held *s, uint64_t again_ns);

/**
 * vm_hold() - make the connection of @o the holder of a VM, or let the VM go
 * @ref:	name or id, as a user gave it
 * @hold:	what happens to the VM when the connection ends; HOLD_NONE: it is not held any more
 *
 * A VM that another connection holds stays with it.
 * Return: 0, or -1: FAIL_NOT_FOUND, FAIL_STATE another connection holds it, FAIL_HOST,
 * FAIL_GENERAL.
 */
int vm_hold(struct ctl *c, struct operation *o, const char *ref, enum hold hold, struct error *e);

#endif
