/* vm_lock.h - the operation lock of a VM: one operation at a time, in the order of asking. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_VM_LOCK_H
#define BANGER_CONTROLLER_LIFECYCLE_VM_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/parse.h"

struct vm_locks;

/* What a thread does about the operations before its own. */
enum vm_lock_mode {
	VM_LOCK_WAIT,      /* waits for them */
	VM_LOCK_INTERRUPT, /* sets the flag of each of them, and waits: delete, kill */
};

/* Return: NULL with errno on failure. */
struct vm_locks *vm_locks_open(void);

/* Only when no thread has a lock or waits for one; NULL does nothing. */
void vm_locks_close(struct vm_locks *l);

/**
 * vm_lock_take() - wait until no other operation has this VM
 * @vm:		its id; no row needs to exist
 * @cancelled:	out: the flag that a later operation sets to have this one end early; valid until
 *		vm_lock_give()
 *
 * A thread takes one lock at most at a time.  It can not fail, and needs no memory.
 */
void vm_lock_take(struct vm_locks *l, const uint8_t vm[ID_LEN], enum vm_lock_mode mode,
		  atomic_bool **cancelled);
void vm_lock_give(struct vm_locks *l, const uint8_t vm[ID_LEN]);

/* True while an operation has the lock, or waits for it. */
bool vm_lock_is_taken(struct vm_locks *l, const uint8_t vm[ID_LEN]);

#endif
