/* operation.c - the frame of an operation, and the table of verbs. */
#include "controller/lifecycle/operation.h"

#include <string.h>

#include "common/log.h"
#include "controller/db/db.h"
#include "controller/id.h"
#include "controller/lifecycle/vm_lock.h"
#include "controller/workers.h"

static const struct {
	const char *name;
	enum operation_finish finish;
} verbs[OPERATION_VERBS] = {
	[OPERATION_NONE] = { "", FINISH_BY_STATE },
	[OPERATION_CREATE] = { "create", FINISH_REMOVE },
	[OPERATION_SET] = { "set", FINISH_BY_STATE },
	[OPERATION_START] = { "start", FINISH_BY_STATE },
	[OPERATION_STOP] = { "stop", FINISH_RELEASE },
	[OPERATION_KILL] = { "kill", FINISH_RELEASE },
	[OPERATION_DELETE] = { "delete", FINISH_REMOVE },
	[OPERATION_EXIT] = { "ended", FINISH_RELEASE },
	[OPERATION_RECONCILE] = { "reconcile", FINISH_BY_STATE },
};

const char *operation_verb_name(enum operation_verb verb)
{
	return (unsigned)verb < OPERATION_VERBS ? verbs[verb].name : "";
}

enum operation_verb operation_verb_parse(const char *name)
{
	for (unsigned v = OPERATION_NONE + 1; v < OPERATION_VERBS; v++)
		if (strcmp(verbs[v].name, name) == 0)
			return (enum operation_verb)v;
	return OPERATION_NONE;
}

enum operation_finish operation_verb_finish(enum operation_verb verb)
{
	return (unsigned)verb < OPERATION_VERBS ? verbs[verb].finish : FINISH_BY_STATE;
}

int operation_enter(struct ctl *c, struct operation *o, const char *ref, bool interrupt,
		    struct vm *vm, struct error *e)
{
	uint8_t id[ID_LEN];

	if (db_vm_find(c->db, o->caller, ref, vm, e) < 0)
		return -1;
	memcpy(id, vm->id, ID_LEN);
	vm_lock_take(c->vm_locks, id, interrupt ? VM_LOCK_INTERRUPT : VM_LOCK_WAIT, &o->cancelled);
	if (db_vm_by_id(c->db, id, vm, e) == 0)
		return 0;
	memcpy(vm->id, id, ID_LEN);
	return operation_leave(c, o, vm, -1, e);
}

int operation_leave(struct ctl *c, struct operation *o, const struct vm *vm, int r, struct error *e)
{
	o->cancelled = NULL;
	vm_lock_give(c->vm_locks, vm->id);
	if (r < 0 && !e->op[0])
		memcpy(e->op, o->hex, sizeof(e->op));
	return r;
}

void operation_own(struct operation *o)
{
	*o = (struct operation){ 0 };
	id_new(o->id);
	format_id(o->id, o->hex);
}

int operation_begin(struct ctl *c, const struct operation *o, enum operation_verb verb,
		    const struct vm *vm, struct error *e)
{
	return db_op_begin(c->db, o, operation_verb_name(verb), vm ? vm->id : NULL, e);
}

int operation_end(struct ctl *c, const struct operation *o, int r, const struct error *e)
{
	struct error failed = { 0 };

	if (db_op_end(c->db, o, r < 0 ? e : NULL, &failed) < 0)
		log_error("operation %s can not be closed: %s", o->hex, failed.why);
	return r;
}

int operation_begin_state(struct ctl *c, const struct operation *o, enum operation_verb verb,
			  struct vm *vm, enum vm_state to, struct error *e)
{
	const enum vm_state from = vm->state;

	vm->state = to;
	memcpy(vm->op, o->hex, sizeof(vm->op));
	int r = db_group_begin(c->db, e);
	if (r == 0) {
		r = operation_begin(c, o, verb, vm, e);
		if (r == 0)
			r = db_vm_update(c->db, vm, e);
		r = db_group_end(c->db, r, e);
	}
	if (r < 0)
		vm->state = from;
	return r;
}
