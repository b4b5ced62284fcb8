/* vm_lock.h - the operation lock of a VM: one operation at a time, in the order of arrival. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_VM_LOCK_H
#define BANGER_CONTROLLER_LIFECYCLE_VM_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/parse.h"

struct vm_locks;

/* What a thread does about the operations that hold the lock, or wait for it, before its own. */
enum vm_lock_mode {
	VM_LOCK_WAIT,      /* wait for them */
	VM_LOCK_INTERRUPT, /* set their cancellation flags, and wait: delete, kill */
};

/* Make a table without locks.  Return: NULL with errno on failure. */
struct vm_locks *vm_locks_open(void);

/* Free the table.  No thread may hold a lock or wait for one.  NULL does nothing. */
void vm_locks_close(struct vm_locks *l);

/**
 * vm_lock_take() - wait for the operation lock of a VM, and take it
 * @vm:		id of the VM; it need not have a row
 * @cancelled:	out: the flag that a later operation sets to make this one end early; valid until
 *		vm_lock_give()
 *
 * A thread holds at most one lock.  The function can not fail, and allocates no memory.
 */
void vm_lock_take(struct vm_locks *l, const uint8_t vm[ID_LEN], enum vm_lock_mode mode,
		  atomic_bool **cancelled);

/* Release the operation lock of @vm, which the calling thread holds. */
void vm_lock_give(struct vm_locks *l, const uint8_t vm[ID_LEN]);

/* True while a thread holds the lock or waits for it. */
bool vm_lock_is_taken(struct vm_locks *l, const uint8_t vm[ID_LEN]);

#endif
