/* hold.c - the table of holders, one entry for each slot, and the verb that takes a hold. */
#include "controller/lifecycle/hold.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/lock.h"
#include "controller/db/db.h"
#include "controller/lifecycle/operation.h"
#include "controller/user_log.h"
#include "controller/workers.h"
#include "proto/slot.h"

/* VMs that end at a time.  The other workers, and the places in their queue, are for requests. */
#define ENDS_MAX (WORKER_THREADS / 2)

struct held {
	bool used;  /* the entry is of the VM @vm */
	bool grace; /* no connection has held the VM since the service was started */
	uint32_t owner;
	bool busy; /* hold_due() has given it out */
	uint8_t vm[ID_LEN];
	uint64_t connection; /* 0: there is no holder */
	uint64_t due_ns;     /* without a holder: end the VM then */
	/* @vm and @due_ns at hold_due(); the entry may have changed since */
	uint8_t taken[ID_LEN];
	uint64_t taken_due_ns;
};

struct holds {
	pthread_mutex_t lock;
	size_t count; /* entries with a holder */
	size_t busy;  /* entries that hold_due() has given out */
	bool (*asks)(const void *arg, uint32_t owner);
	const void *asks_arg;
	struct held slots[SLOT_MAX];
};

struct holds *holds_open(void)
{
	struct holds *h = calloc(1, sizeof(*h));

	if (h)
		(void)pthread_mutex_init(&h->lock, NULL);
	return h;
}

void holds_close(struct holds *h)
{
	if (!h)
		return;
	(void)pthread_mutex_destroy(&h->lock);
	free(h);
}

/* Write the entry of @s, whose busy half belongs to the worker that ends the VM. */
static void set(struct holds *h, struct held *s, const struct vm *vm, uint64_t connection,
		uint64_t due_ns)
{
	h->count += (connection != 0) - (s->connection != 0);
	s->used = vm != NULL;
	s->grace = false;
	if (vm) {
		memcpy(s->vm, vm->id, ID_LEN);
		s->owner = vm->owner;
	}
	s->connection = connection;
	s->due_ns = due_ns;
}

static bool is_of(const struct held *s, const struct vm *vm)
{
	return s->used && memcmp(s->vm, vm->id, ID_LEN) == 0;
}

void hold_set(struct holds *h, const struct vm *vm, uint64_t connection)
{
	if (!h || vm->slot >= SLOT_MAX)
		return;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&h->lock);
	set(h, &h->slots[vm->slot], vm, connection, 0);
}

void hold_forget(struct holds *h, const struct vm *vm)
{
	if (!h || vm->slot >= SLOT_MAX)
		return;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&h->lock);
	if (is_of(&h->slots[vm->slot], vm))
		set(h, &h->slots[vm->slot], NULL, 0, 0);
}

void hold_lost(struct holds *h, uint64_t connection)
{
	if (!h)
		return;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&h->lock);
	for (size_t i = 0; i < SLOT_MAX && h->count; i++) {
		struct held *s = &h->slots[i];
		if (!s->used || s->connection != connection)
			continue;
		h->count--;
		s->connection = 0;
		s->due_ns = clock_boot_ns();
	}
}

void hold_note(struct holds *h, const struct vm *vm, uint64_t due_ns)
{
	if (!h || vm->slot >= SLOT_MAX || vm->hold == HOLD_NONE)
		return;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&h->lock);
	struct held *s = &h->slots[vm->slot];
	/* @vm may be of the past: an entry with a holder is newer. */
	if (is_of(s, vm) || s->connection)
		return;
	set(h, s, vm, 0, due_ns);
	s->grace = true;
}

void hold_heed(struct holds *h, bool (*asks)(const void *arg, uint32_t owner), const void *arg)
{
	if (!h)
		return;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&h->lock);
	h->asks = asks;
	h->asks_arg = arg;
}

uint64_t hold_holder(struct holds *h, const struct vm *vm)
{
	if (!h || vm->slot >= SLOT_MAX)
		return 0;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&h->lock);
	return is_of(&h->slots[vm->slot], vm) ? h->slots[vm->slot].connection : 0;
}

bool hold_has(struct holds *h, uint64_t connection)
{
	bool has = false;

	if (!h)
		return false;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&h->lock);
	/* Low slots are given out first, so the holders are soon found. */
	for (size_t i = 0, left = h->count; i < SLOT_MAX && left && !has; i++)
		if (h->slots[i].used && h->slots[i].connection) {
			has = h->slots[i].connection == connection;
			left--;
		}
	return has;
}

size_t hold_count(struct holds *h)
{
	if (!h)
		return 0;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&h->lock);
	return h->count;
}

struct held *hold_due(struct holds *h, uint64_t now_ns)
{
	if (!h)
		return NULL;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&h->lock);
	for (size_t i = 0; i < SLOT_MAX && h->busy < ENDS_MAX; i++) {
		struct held *s = &h->slots[i];
		if (!s->used || s->busy || s->connection || now_ns < s->due_ns)
			continue;
		if (s->grace && h->asks && h->asks(h->asks_arg, s->owner))
			continue;
		s->busy = true;
		h->busy++;
		memcpy(s->taken, s->vm, ID_LEN);
		s->taken_due_ns = s->due_ns;
		return s;
	}
	return NULL;
}

const uint8_t *hold_id(const struct held *s)
{
	return s->taken;
}

void hold_done(struct holds *h, struct held *s, uint64_t again_ns)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&h->lock);
	s->busy = false;
	h->busy--;
	if (!s->used || s->connection || memcmp(s->vm, s->taken, ID_LEN) != 0 ||
	    s->due_ns != s->taken_due_ns)
		return;
	if (again_ns)
		s->due_ns = again_ns;
	else
		set(h, s, NULL, 0, 0);
}

/* ---- the verb ---- */

static int hold_locked(struct ctl *c, struct vm *vm, enum hold hold, const struct operation *o,
		       struct error *e)
{
	const uint64_t holder = hold_holder(c->holds, vm);
	const bool same = vm->hold == hold;

	if (holder && holder != o->connection)
		return error_set(e, FAIL_STATE, vm->name, "another command holds it");
	vm->hold = hold;
	if (!same && db_vm_update(c->db, vm, e) < 0)
		return -1;
	if (same && hold && !holder)
		user_log(vm->owner, "%s: its holder has come back", vm->name);
	if (hold == HOLD_NONE)
		hold_forget(c->holds, vm);
	else
		hold_set(c->holds, vm, o->connection);
	return 0;
}

int vm_hold(struct ctl *c, struct operation *o, const char *ref, enum hold hold, struct error *e)
{
	struct vm vm;

	if (operation_enter(c, o, ref, false, &vm, e) < 0)
		return -1;
	return operation_leave(c, o, &vm, hold_locked(c, &vm, hold, o, e), e);
}
