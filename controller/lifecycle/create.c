/* create.c - makes a VM: first its row and slot, then its files.  A create that fails leaves
 * neither. */
#include "controller/lifecycle/create.h"

#include <stdio.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "controller/db/db.h"
#include "controller/id.h"
#include "controller/lifecycle/configure.h"
#include "controller/lifecycle/delete.h"
#include "controller/lifecycle/hold.h"
#include "controller/lifecycle/operation.h"
#include "controller/lifecycle/vm_lock.h"
#include "controller/lifecycle/volumes.h"
#include "controller/db/preflight.h"
#include "controller/storage/seed.h"
#include "controller/storage/disk.h"

#include "controller/workers.h"

#define DEFAULT_VCPUS 1
#define DEFAULT_MEM_MIB 512

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int choose_sizes(const struct config *k, const struct call_vm_create *a,
			const struct artifact *i, struct vm *vm, struct error *e)
{
	const uint64_t image_mib = (i->size + (1 << 20) - 1) >> 20;
	uint64_t vcpus = a->vcpus ? a->vcpus : DEFAULT_VCPUS;
	uint64_t mem_mib = a->mem_mib ? a->mem_mib : least(DEFAULT_MEM_MIB, k->max_mem_mib);
	uint64_t disk_mib = a->disk_mib ? a->disk_mib : image_mib;

	if (vm_check_size(k, vcpus, mem_mib, e) < 0 || vm_check_disk(k, disk_mib, image_mib, e) < 0)
		return -1;
	vm->vcpus = (uint32_t)vcpus;
	vm->mem_mib = (uint32_t)mem_mib;
	vm->disk_mib = (uint32_t)disk_mib;
	return 0;
}

static void make_name(char out[64])
{
	uint8_t random[ID_LEN];

	id_new(random);
	(void)snprintf(out, 64, "vm-%02x%02x%02x", random[0], random[1], random[2]);
}

static int choose_name(const char *wanted, struct vm *vm, struct error *e)
{
	if (!wanted[0]) {
		make_name(vm->name);
		return 0;
	}
	if (!parse_is_label(wanted)) {
		error_set(e, FAIL_USAGE, "name", "\"%s\" can not be a host name", wanted);
		error_hint(e, "1 to 63 of a-z, 0-9 and '-', no '-' at either end");
		return -1;
	}
	(void)snprintf(vm->name, sizeof(vm->name), "%s", wanted);
	return 0;
}

static int describe(struct ctl *c, const struct operation *o, const struct call_vm_create *a,
		    struct vm *vm, struct error *e)
{
	struct artifact i = { .type = ARTIFACT_IMAGE };

	*vm = (struct vm){ .owner = o->caller->uid,
			   .nat = a->nat,
			   .hold = (enum hold)a->hold,
			   .state = VM_CREATING };
	vm->runtime.loop_base = vm->runtime.loop_cow = -1;
	(void)snprintf(vm->runtime.storage, sizeof(vm->runtime.storage), "%s", c->storage->name);
	if (choose_name(a->name, vm, e) < 0 ||
	    vm_choose_policy(vm, a->restart, a->restart_max, a->auto_stop_s, e) < 0 ||
	    db_artifact_find(c->db, o->caller, a->image, &i, e) < 0 ||
	    work_check(c, vm->name, e) < 0)
		return -1;
	(void)snprintf(vm->image, sizeof(vm->image), "%s", i.name);
	memcpy(vm->image_digest, i.digest, sizeof(vm->image_digest));
	memcpy(vm->kernel_digest, i.kernel_digest, sizeof(vm->kernel_digest));
	(void)snprintf(vm->ssh_key, sizeof(vm->ssh_key), "%s", a->ssh_key);
	memcpy(vm->op, o->hex, sizeof(vm->op));
	if (vm_choose_volumes(c, o, a->volumes, vm, e) < 0)
		return -1;
	return choose_sizes(&c->config, a, &i, vm, e);
}

static int make_files(struct ctl *c, const struct operation *o, const struct vm *vm,
		      struct error *e)
{
	operation_stage(o, "disk", c->storage->name);
	if (FAILPOINT_FAILS("disk.before"))
		return error_set(e, FAIL_HOST, "disk", "no room left for it");
	if (c->storage->create(c, vm, e) < 0)
		return -1;
	FAILPOINT("disk.after");
	operation_stage(o, "seed", "");
	return c->seed->write(c, vm, e);
}

/* Remove files and row of a failed create.  If that fails too, the row stays in state failed, and
 * its owner can delete the VM. */
static void undo_create(struct ctl *c, struct vm *vm, const struct operation *o,
			const struct error *why)
{
	struct error e = { 0 };

	if (vm_remove(c, vm, 0, o, &e) == 0)
		return;
	log_error("%s: can not be removed again: %s", vm->name, e.why);
	vm->state = VM_FAILED;
	(void)snprintf(vm->reason, sizeof(vm->reason), "%.*s", (int)sizeof(vm->reason) - 1,
		       why->why);
	(void)db_vm_update(c->db, vm, &e);
}

/* Write the VM's row and the operation's row in one commit: start-up needs the operation to explain
 * a row without files.  The operation lock is taken before the commit, so that other threads that
 * read the row wait for the files.  The holder is set before it too: a row with a hold and without
 * a holder would be ended.  A new id has no other lock holder, so taking it never waits. */
static int reserve(struct ctl *c, struct operation *o, struct vm *vm, struct error *e)
{
	operation_stage(o, "reserve", "");
	if (db_group_begin(c->db, e) < 0)
		return -1;
	int r = db_vm_create(c->db, vm, &c->config, o, e);
	if (r == 0)
		r = operation_begin(c, o, OPERATION_CREATE, vm, e);
	const bool made = r == 0;
	if (made)
		vm_lock_take(c->vm_locks, vm->id, VM_LOCK_WAIT, &o->cancelled);
	if (made && vm->hold)
		hold_set(c->holds, vm, o->connection);
	r = db_group_end(c->db, r, e);
	if (!made || r == 0)
		return r;
	hold_forget(c->holds, vm);
	return operation_leave(c, o, vm, r, e);
}

static int record_created(struct ctl *c, const struct operation *o, struct vm *vm, struct error *e)
{
	if (db_group_begin(c->db, e) < 0)
		return -1;
	vm->state = VM_CREATED;
	int r = db_vm_update(c->db, vm, e) < 0 || db_op_end(c->db, o, NULL, e) < 0 ? -1 : 0;
	return db_group_end(c->db, r, e);
}

static int create_files(struct ctl *c, const struct operation *o, struct vm *vm, struct error *e)
{
	/* A create whose end can not be recorded would be rolled back by the next start-up.  It is
	 * rolled back now, and the client gets the error. */
	if (make_files(c, o, vm, e) == 0 && record_created(c, o, vm, e) == 0)
		return 0;
	undo_create(c, vm, o, e);
	return operation_end(c, o, -1, e);
}

int vm_create(struct ctl *c, struct operation *o, const struct call_vm_create *args, struct vm *out,
	      struct error *e)
{
	if (describe(c, o, args, out, e) < 0)
		return -1;
	if (reserve(c, o, out, e) < 0)
		return -1;
	return operation_leave(c, o, out, create_files(c, o, out, e), e);
}
