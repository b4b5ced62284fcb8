/* delete.c - removes everything of a VM: its objects, its files, its row. */
#include "controller/lifecycle/delete.h"

#include <stdio.h>

#include "controller/db/db.h"
#include "controller/lifecycle/hold.h"
#include "controller/lifecycle/operation.h"
#include "controller/lifecycle/reader.h"
#include "controller/lifecycle/stop.h"
#include "controller/objects/release.h"
#include "controller/storage/disk.h"
#include "controller/storage/slot_owner.h"
#include "controller/vmm/watch.h"

/* Remove the files of the VM's slot, unless the owner file names another VM. */
static int remove_files(struct ctl *c, const struct vm *vm, struct error *e)
{
	struct error owner = { 0 };

	if (storage_check_owner(&c->config, vm, &owner) == 0)
		return c->disks->remove(c, vm->slot, e);
	if (owner.code == FAIL_STATE)
		return 0;
	*e = owner;
	return -1;
}

int vm_remove(struct ctl *c, struct vm *vm, unsigned listed, const struct operation *o,
	      struct error *e)
{
	operation_stage(o, "release", "");
	/* The state becomes failed before the first file is removed: if the deletion is
	 * interrupted, the VM can only be deleted. */
	(void)snprintf(vm->reason, sizeof(vm->reason), "its deletion has begun");
	if (vm_release_listed(c, vm, listed, VM_FAILED, o, e) < 0)
		return -1;
	operation_stage(o, "files", "");
	if (remove_files(c, vm, e) < 0)
		return -1;
	if (c->watch)
		watch_discard(c->watch, vm->slot);
	if (db_vm_delete(c->db, vm, e) < 0)
		return -1;
	hold_forget(c->holds, vm);
	return 0;
}

int vm_delete_locked(struct ctl *c, struct vm *vm, uint64_t volume_ms, const struct operation *o,
		     struct error *e)
{
	if (reader_refuse(c->readers, vm, e) < 0 ||
	    operation_begin_state(c, o, OPERATION_DELETE, vm,
				  vm_is_incomplete(vm) ? vm->state : VM_STOPPING, e) < 0)
		return -1;
	if (vm_writes_volumes(vm))
		(void)vm_shut_down(c, vm, volume_ms, o);
	return operation_end(c, o, vm_remove(c, vm, 0, o, e), e);
}

int vm_delete(struct ctl *c, struct operation *o, const char *ref, struct error *e)
{
	struct vm vm;

	if (operation_enter(c, o, ref, true, &vm, e) < 0)
		return -1;
	return operation_leave(c, o, &vm, vm_delete_locked(c, &vm, 0, o, e), e);
}
