/* operation.h - the frame of an operation on one VM: operation lock, VM row, operation row. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_OPERATION_H
#define BANGER_CONTROLLER_LIFECYCLE_OPERATION_H

#include "controller/ctl.h"

/* The verbs, stored by name in the column "verb". */
enum operation_verb {
	OPERATION_NONE, /* no verb, or a name that only a newer program knows */
	OPERATION_CREATE,
	OPERATION_SET,
	OPERATION_START,
	OPERATION_STOP,
	OPERATION_KILL,
	OPERATION_DELETE,
	OPERATION_EXIT,
	OPERATION_RECONCILE,
	OPERATION_VERBS
};

/* How start-up finishes an operation that the end of the service has interrupted. */
enum operation_finish {
	/* by the VM's state: a start is rolled back, a running VM is adopted */
	FINISH_BY_STATE,
	FINISH_RELEASE, /* forward: release all objects of the VM */
	FINISH_REMOVE,  /* remove the VM with its files */
};

/* Return: the name of @verb (below OPERATION_VERBS), a literal; and the verb of a name,
 * OPERATION_NONE if the name is unknown. */
const char *operation_verb_name(enum operation_verb verb);
enum operation_verb operation_verb_parse(const char *name);
enum operation_finish operation_verb_finish(enum operation_verb verb);

/**
 * operation_enter() - find a VM, take its operation lock, and read its row with the lock held
 * @o:		its caller decides which VMs are visible; o->cancelled is set
 * @ref:	name or id, as a user gave it
 * @interrupt:	cancel the operations that hold the lock or wait for it
 * @vm:		out: the row
 *
 * Return: 0, then operation_leave() is due; or -1: FAIL_NOT_FOUND, also when the VM was deleted
 * during the wait.
 */
int operation_enter(struct ctl *c, struct operation *o, const char *ref, bool interrupt,
		    struct vm *vm, struct error *e);

/* Functions that close a frame (operation_leave(), operation_end(), db_group_end()) take the
 * result of the frame's body as @r and return it, so that a function can end with `return
 * operation_leave(c, o, vm, r, e);`. */

/* Release the operation lock.  If @r is negative, @e gets the operation's id.  Return: @r. */
int operation_leave(struct ctl *c, struct operation *o, const struct vm *vm, int r,
		    struct error *e);

/* Initialize an operation of the controller itself: a new id, no caller, no reports of stages. */
void operation_own(struct operation *o);

/* Write the operation's row.  @vm may be NULL: the operation is about no single VM.  Return: 0, or
 * -1. */
int operation_begin(struct ctl *c, const struct operation *o, enum operation_verb verb,
		    const struct vm *vm, struct error *e);

/* Write the operation's end, with @e if @r is negative.  If that fails, the next start-up finds the
 * operation unfinished.  Return: @r. */
int operation_end(struct ctl *c, const struct operation *o, int r, const struct error *e);

/* As operation_begin(), and write the VM's row in the state @to in the same commit. */
int operation_begin_state(struct ctl *c, const struct operation *o, enum operation_verb verb,
			  struct vm *vm, enum vm_state to, struct error *e);

#endif
