/* operation.h - the frame of an operation on one VM: the VM's lock, its row, the operation's
 * record. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_OPERATION_H
#define BANGER_CONTROLLER_LIFECYCLE_OPERATION_H

#include "controller/ctl.h"

/* What is done with a VM, as the column verb of the database names it. */
enum operation_verb {
	OPERATION_NONE, /* also one that only a newer program knows */
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

/* How start-up finishes an operation that the end of the service has cut short. */
enum operation_finish {
	/* the VM's state tells: a start is rolled back, a VM that runs is adopted */
	FINISH_BY_STATE,
	FINISH_RELEASE,  /* forward: what the VM holds is released */
	FINISH_REMOVE,   /* back or forward: the VM goes, with its files */
};

/* @verb: below OPERATION_VERBS.  Return: its name, a literal.  And back: OPERATION_NONE for a name
 * that is not known. */
const char *operation_verb_name(enum operation_verb verb);
enum operation_verb operation_verb_parse(const char *name);
enum operation_finish operation_verb_finish(enum operation_verb verb);

/**
 * operation_enter() - find @ref as the caller, take the VM's lock, and read the row again
 * @interrupt:	cancel the operation that has the lock, if it can be
 *
 * On success o->cancelled is set, and operation_leave() is due.
 * Errors: FAIL_NOT_FOUND, also when it was deleted while we waited.
 */
int operation_enter(struct ctl *c, struct operation *o, const char *ref, bool interrupt,
		    struct vm *vm, struct error *e);

/* Functions that close a frame (operation_leave(), operation_end(), and store_group_end()) take
 * the result of what was done within it as @r and return it, so a function can end with `return
 * operation_leave(c, o, vm, r, e);`. */

/* Give the lock back; an error gets the operation's id.  Return: @r. */
int operation_leave(struct ctl *c, struct operation *o, const struct vm *vm, int r,
		    struct error *e);

/* An operation of the controller's own: it has a fresh id, and no one listens to its stages. */
void operation_own(struct operation *o);

/* Write its row; @vm may be NULL. */
int operation_begin(struct ctl *c, const struct operation *o, enum operation_verb verb,
		    const struct vm *vm, struct error *e);

/* Close the row, with @e when @r is negative; one that can not be closed is found at the next
 * start-up.  Return: @r. */
int operation_end(struct ctl *c, const struct operation *o, int r, const struct error *e);

/* Begin, and write the VM's row in the state @to, in one commit. */
int operation_begin_state(struct ctl *c, const struct operation *o, enum operation_verb verb,
			  struct vm *vm, enum vm_state to, struct error *e);

#endif
