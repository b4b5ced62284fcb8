/* delete.h - removes a VM. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_DELETE_H
#define BANGER_CONTROLLER_LIFECYCLE_DELETE_H

#include "controller/ctl.h"

/**
 * vm_delete() - delete a VM in any state
 * @ref:	name or id, as a user gave it
 *
 * The monitor is killed, since the disk goes too.  But a guest that can write a volume is asked to
 * power off first, as by vm_stop(): the volume stays.
 * Interrupts the running operation of the VM if it can be interrupted.
 * Return: 0, or -1 with the error: FAIL_NOT_FOUND, FAIL_HOST, FAIL_GENERAL.
 */
int vm_delete(struct ctl *c, struct operation *o, const char *ref, struct error *e);

/* As vm_delete(), for the row @vm, with the operation lock held.  @volume_ms: the time in which a
 * guest with a volume that it can write may power off, as in vm_stop(). */
int vm_delete_locked(struct ctl *c, struct vm *vm, uint64_t volume_ms, const struct operation *o,
		     struct error *e);

/**
 * vm_remove() - remove objects, files and row of @vm
 * @vm:		the caller holds its operation lock, or no other thread runs
 * @listed:	objects that the roles list for it, a set of 1u << kind (vm_release_listed())
 *
 * Return: 0, or -1 with the error and the VM in state failed.
 */
int vm_remove(struct ctl *c, struct vm *vm, unsigned listed, const struct operation *o,
	      struct error *e);

#endif
