/* object.h - the kernel objects that a VM can hold: how the roles make and remove each kind.
 *
 * The table in object.c is in order of making; a release walks it backwards.  Only this file maps
 * kinds to requests and to runtime fields. */
#ifndef BANGER_CONTROLLER_OBJECTS_OBJECT_H
#define BANGER_CONTROLLER_OBJECTS_OBJECT_H

#include "controller/ctl.h"

/* Result of object_make(). */
struct made {
	int64_t ident; /* identity as in LIST; -1: the kind has none */
	int pidfd;     /* OBJ_VMM: pidfd of the VMM, owned by the caller; else -1 */
};

/* Walk all kinds in order of making, which is the order of their numbers; and in order of
 * release. */
#define for_each_object(kind) for (enum object kind = OBJ_TAP; kind < OBJ_COUNT; kind++)
#define for_each_object_reverse(kind) for (enum object kind = OBJ_COUNT - 1; kind > 0; kind--)

/* Return: the role that makes objects of @kind. */
enum role_id object_role(enum object kind);

/* List the kinds that @vm holds while it runs, in order of making.  Return: their number. */
size_t objects_planned(const struct vm *vm, enum object kinds[OBJ_COUNT]);

/* True if the runtime names the object, or another object that implies it: a tap implies the
 * guest's set elements. */
bool object_named(const struct vm *vm, enum object kind);

/* Return: the kind whose runtime field names @kind: @kind itself, or the tap for set elements. */
enum object object_named_by(enum object kind);

/* Clear the runtime field that names @kind. */
void object_forget(struct vm *vm, enum object kind);

/**
 * object_make() - have the role make an object, and write its identity to @vm's runtime
 * @vm:	the caller holds its operation lock; the row is not written
 * @m:	out
 *
 * Making an object that exists succeeds.  While the role answers ST_BUSY or ST_LIMIT, the request
 * is repeated for MAKE_MS.
 * Return: 0, or -1 with the error: FAIL_LIMIT, FAIL_HOST, FAIL_GENERAL.
 */
int object_make(struct ctl *c, struct vm *vm, enum object kind, const struct operation *o,
		struct made *m, struct error *e);

/**
 * object_remove() - have the role remove an object, without retries
 *
 * The removal of a tap includes the conntrack entries of its address: the address is in use until
 * they are gone.
 * Return: ST_OK when the object does not exist any more, another status, or -1: no role is
 * connected.
 */
int object_remove(struct ctl *c, const struct vm *vm, enum object kind, const struct operation *o);

/**
 * object_release() - have the role remove an object, and retry while it is busy
 *
 * A VMM gets RELEASE_VMM_MS to exit, since the kernel needs seconds to free the memory of a large
 * guest; its role is asked to kill it, and again when it has exited.  Other kinds get RELEASE_MS.
 * Return: 0 when it is gone, or -1 with the error.
 */
int object_release(struct ctl *c, const struct vm *vm, enum object kind, const struct operation *o,
		   struct error *e);

#define RELEASE_VMM_MS 10000
#define RELEASE_MS 3000
#define MAKE_MS 2000

/**
 * object_vmm() - get the pidfd of a living VMM
 * @pid:	out: its process id
 * @start:	out: its start time in clock ticks since boot (proc_pid_stat(5), starttime)
 *
 * Return: a descriptor, owned by the caller; -1 with errno: ENOENT there is no VMM, EAGAIN it is
 * unknown, EPIPE the role is not connected.
 */
int object_vmm(struct ctl *c, const struct vm *vm, const struct operation *o, int64_t *pid,
	       int64_t *start);

/* Fill in the error for a status of object_remove() that is not ST_OK.  Return: -1. */
int object_explain(enum object kind, int status, struct error *e);

#endif
