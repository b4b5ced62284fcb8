/* object.h - the kernel objects that a VM can hold: the request that makes each, and the one
 * that removes it.
 *
 * The table behind this is in order of making; a release walks it backwards. Nothing else knows
 * which request belongs to which object, or which runtime field names it. */
#ifndef BANGER_CONTROLLER_OBJECTS_OBJECT_H
#define BANGER_CONTROLLER_OBJECTS_OBJECT_H

#include "controller/ctl.h"

/* What came of making one. */
struct made {
	int64_t ident;   /* as in LIST; -1: the role tells none */
	int pidfd;       /* OBJ_VMM: of the VMM, the caller's.  Else -1 */
};

/* All kinds in order of making, which is the order of their numbers, and backwards, as they are
 * released. */
#define for_each_object(kind) for (enum object kind = OBJ_TAP; kind < OBJ_COUNT; kind++)
#define for_each_object_reverse(kind) for (enum object kind = OBJ_COUNT - 1; kind > 0; kind--)

enum role_id object_role(enum object kind);

/* What @vm holds once it runs, in order of making.  Return: how many. */
size_t objects_planned(const struct vm *vm, enum object kinds[OBJ_COUNT]);

/* Does the runtime name it?  True also for what follows from a name there, as the guest's
 * elements from its tap. */
bool object_named(const struct vm *vm, enum object kind);

/* The kind whose field in the runtime names @kind: itself, or, for the guest's elements, the
 * tap. */
enum object object_named_by(enum object kind);

/* Drop from the runtime what names @kind. */
void object_forget(struct vm *vm, enum object kind);

/**
 * object_make() - ask the role for it and note its identity in @vm's runtime
 *
 * Asking for what the VM has already succeeds.  A limit may be one of rate:
 * it is asked again for MAKE_MS.  Errors: FAIL_LIMIT, FAIL_HOST, FAIL_GENERAL, with the reason.
 */
int object_make(struct ctl *c, struct vm *vm, enum object kind, const struct operation *o,
		struct made *m, struct error *e);

/**
 * object_remove() - ask the role once to remove it
 *
 * With the tap the flows of its address are forgotten, since the address is
 * not free before that.
 * Return: ST_OK gone or never there, another status, or -1: the role is gone.
 */
int object_remove(struct ctl *c, const struct vm *vm, enum object kind, const struct operation *o);

/**
 * object_release() - remove it, asking again while it is busy
 *
 * A VMM gets RELEASE_VMM_MS to end (freeing a large guest takes the kernel
 * seconds), anything else RELEASE_MS.  Return: 0 gone, or -1 with the reason.
 */
int object_release(struct ctl *c, const struct vm *vm, enum object kind, const struct operation *o,
		   struct error *e);

#define RELEASE_VMM_MS 10000
#define RELEASE_MS 3000
#define MAKE_MS 2000

/* The pidfd of a living VMM, and what the role knows of it.
 * Return: descriptor, or -1 with errno: ENOENT there is none, EAGAIN the kernel does not say,
 * EPIPE the role is gone. */
int object_vmm(struct ctl *c, const struct vm *vm, const struct operation *o, int64_t *pid,
	       int64_t *start);

/* "the net role: <why>" of a status or -1. */
int object_explain(enum object kind, int status, struct error *e);

#endif
