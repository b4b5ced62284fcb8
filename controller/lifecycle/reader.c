/* reader.c - the table of readers, one entry for each slot, and the verb that makes a reader. */
#include "controller/lifecycle/reader.h"

#include <stdlib.h>
#include <string.h>

#include "common/lock.h"
#include "controller/lifecycle/operation.h"
#include "controller/storage/slot_owner.h"
#include "controller/user_log.h"
#include "proto/slot.h"

struct reader {
	uint8_t vm[ID_LEN];
	uint64_t connection; /* 0: the entry is free */
	struct caller caller;
};

struct readers {
	pthread_mutex_t lock;
	size_t count; /* entries that are not free */
	struct reader slots[SLOT_MAX];
};

struct readers *readers_open(void)
{
	struct readers *r = calloc(1, sizeof(*r));

	if (r)
		(void)pthread_mutex_init(&r->lock, NULL);
	return r;
}

void readers_close(struct readers *r)
{
	if (!r)
		return;
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

void reader_lost(struct readers *r, uint64_t connection)
{
	if (!r)
		return;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&r->lock);
	for (size_t i = 0; i < SLOT_MAX && r->count; i++) {
		if (!r->slots[i].connection || r->slots[i].connection != connection)
			continue;
		r->slots[i].connection = 0;
		r->count--;
	}
}

/* Return: the reader of @vm; one with connection 0: none. */
static struct reader reader_of(struct readers *r, const struct vm *vm)
{
	if (!r || vm->slot >= SLOT_MAX)
		return (struct reader){ 0 };
	_cleanup_unlock_ struct lock_guard g = lock_guard(&r->lock);
	const struct reader *s = &r->slots[vm->slot];
	return memcmp(s->vm, vm->id, ID_LEN) == 0 ? *s : (struct reader){ 0 };
}

bool reader_is(struct readers *r, const struct vm *vm, uint64_t connection)
{
	return connection && reader_of(r, vm).connection == connection;
}

int reader_refuse(struct readers *r, const struct vm *vm, struct error *e)
{
	const struct reader s = reader_of(r, vm);

	if (!s.connection)
		return 0;
	(void)error_set(e, FAIL_STATE, vm->name, "its disk is being read");
	error_hint(e,
		   "wait until `banger vm export` or `vm commit` has ended, or end it: process %d "
		   "of uid %u",
		   (int)s.caller.pid, (unsigned)s.caller.uid);
	return -1;
}

/* ---- the verb ---- */

/* The caller holds the operation lock, so no start is under way. */
static void reader_set(struct readers *r, const struct vm *vm, const struct operation *o)
{
	if (!r || vm->slot >= SLOT_MAX)
		return;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&r->lock);
	struct reader *s = &r->slots[vm->slot];
	r->count += s->connection == 0;
	s->connection = o->connection;
	s->caller = *o->caller;
	memcpy(s->vm, vm->id, ID_LEN);
}

/* The disk of a VM that is to be started again is not read: its start would fail. */
static int check_at_rest(const struct vm *vm, struct error *e)
{
	if (vm_at_rest(vm) && !vm_is_incomplete(vm) && !vm_starts_again(vm))
		return 0;
	if (vm_is_incomplete(vm)) {
		(void)error_set(e, FAIL_STATE, vm->name, "its disk is not complete: it is %s",
				vm_state_name(vm->state));
		return -1;
	}
	(void)error_set(e, FAIL_STATE, vm->name, "its disk may change: it is %s%s",
			vm_state_name(vm->state), vm_at_rest(vm) ? ", and starts again" : "");
	error_hint(e, "banger vm stop %s", vm->name);
	return -1;
}

static int begin_locked(struct ctl *c, const struct vm *vm, const struct operation *o,
			struct error *e)
{
	if (check_at_rest(vm, e) < 0 || storage_check_owner(&c->config, vm, e) < 0)
		return -1;
	if (!reader_is(c->readers, vm, o->connection) && reader_refuse(c->readers, vm, e) < 0)
		return -1;
	reader_set(c->readers, vm, o);
	user_log(vm->owner, "%s: uid %u reads its disk (op %s)", vm->name, o->caller->uid, o->hex);
	return 0;
}

int vm_read_begin(struct ctl *c, struct operation *o, const char *ref, struct vm *vm,
		  struct error *e)
{
	if (operation_enter(c, o, ref, false, vm, e) < 0)
		return -1;
	return operation_leave(c, o, vm, begin_locked(c, vm, o, e), e);
}
