/* vm_lock.c - the operation locks of all VMs, in one table behind one mutex.
 *
 * An entry belongs to a VM from the first thread that asks for its lock to the last that releases
 * it.  A thread holds at most one lock, so one entry per thread suffices, and locking never
 * allocates memory.  Tickets make the lock fair: threads get it in the order in which they
 * asked. */
#include "controller/lifecycle/vm_lock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "controller/workers.h"

#define ENTRIES (WORKER_THREADS + 8) /* the workers, the main thread, and some to spare */

struct entry {
	uint8_t vm[ID_LEN];
	/* serving: the ticket that holds the lock.  tickets: number of tickets given out.
	 * The entry is free if both are equal. */
	uint64_t serving, tickets;
	atomic_bool cancelled;
};

struct vm_locks {
	pthread_mutex_t lock;
	pthread_cond_t given;
	struct entry entries[ENTRIES];
};

struct vm_locks *vm_locks_open(void)
{
	struct vm_locks *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	(void)pthread_mutex_init(&l->lock, NULL);
	(void)pthread_cond_init(&l->given, NULL);
	return l;
}

void vm_locks_close(struct vm_locks *l)
{
	if (!l)
		return;
	(void)pthread_cond_destroy(&l->given);
	(void)pthread_mutex_destroy(&l->lock);
	free(l);
}

static bool is_of(const struct entry *e, const uint8_t vm[ID_LEN])
{
	return e->serving != e->tickets && memcmp(e->vm, vm, ID_LEN) == 0;
}

/* Return: the entry of @vm.  If it has none, a free entry becomes its entry. */
static struct entry *entry_of(struct vm_locks *l, const uint8_t vm[ID_LEN])
{
	struct entry *free = NULL;

	for (size_t i = 0; i < ENTRIES; i++) {
		struct entry *e = &l->entries[i];
		if (is_of(e, vm))
			return e;
		if (e->serving == e->tickets)
			free = e;
	}
	if (!free)
		die(1, "more operation locks than threads");
	memcpy(free->vm, vm, ID_LEN);
	return free;
}

void vm_lock_take(struct vm_locks *l, const uint8_t vm[ID_LEN], enum vm_lock_mode mode,
		  atomic_bool **cancelled)
{
	(void)pthread_mutex_lock(&l->lock);
	struct entry *e = entry_of(l, vm);
	uint64_t mine = e->tickets++;
	while (e->serving != mine) {
		if (mode == VM_LOCK_INTERRUPT)
			e->cancelled = true;
		(void)pthread_cond_wait(&l->given, &l->lock);
	}
	*cancelled = &e->cancelled;
	(void)pthread_mutex_unlock(&l->lock);
}

void vm_lock_give(struct vm_locks *l, const uint8_t vm[ID_LEN])
{
	(void)pthread_mutex_lock(&l->lock);
	struct entry *e = entry_of(l, vm);
	e->serving++;
	e->cancelled = false;
	(void)pthread_cond_broadcast(&l->given);
	(void)pthread_mutex_unlock(&l->lock);
}

bool vm_lock_is_taken(struct vm_locks *l, const uint8_t vm[ID_LEN])
{
	bool taken = false;

	(void)pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < ENTRIES && !taken; i++)
		taken = is_of(&l->entries[i], vm);
	(void)pthread_mutex_unlock(&l->lock);
	return taken;
}
