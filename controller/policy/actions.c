/* actions.c - policy actions on one VM: each checks the row with the operation lock held. */
#include "controller/policy/actions.h"

#include <stdio.h>

#include "common/log.h"
#include "controller/db/db.h"
#include "controller/lifecycle/delete.h"
#include "controller/lifecycle/hold.h"
#include "controller/lifecycle/operation.h"
#include "controller/lifecycle/start.h"
#include "controller/lifecycle/stop.h"
#include "controller/lifecycle/vm_lock.h"
#include "controller/objects/release.h"
#include "controller/policy/idle.h"
#include "controller/user_log.h"
#include "controller/vmm/port.h"
#include "controller/vmm/watch.h"
#include "controller/workers.h"

/* Read the row of @id with the operation lock held, and call @act with it.  A deleted VM has no
 * row; @act is not called then. */
static void with_vm(struct ctl *c, const uint8_t id[ID_LEN],
		    void (*act)(struct ctl *c, struct vm *vm, const struct operation *o))
{
	struct operation o;
	struct error e = { 0 };
	struct vm vm;

	operation_own(&o);
	vm_lock_take(c->vm_locks, id, VM_LOCK_WAIT, &o.cancelled);
	if (db_vm_by_id(c->db, id, &vm, &e) == 0)
		act(c, &vm, &o);
	vm_lock_give(c->vm_locks, id);
}

/* ---- start again ---- */

/* Record in the row why the restart failed: no client waits for an error message. */
static void record_not_started(struct ctl *c, struct vm *vm, const struct error *why)
{
	struct error e = { 0 };

	log_error("%s: it can not be started again: %s", vm->name, why->why);
	if (!vm_at_rest(vm))
		return; /* the release has written a reason already */
	(void)snprintf(vm->reason, sizeof(vm->reason), "not started again: %.*s",
		       (int)sizeof(vm->reason) - 24, why->why);
	if (db_vm_update(c->db, vm, &e) < 0)
		log_error("%s: %s", vm->name, e.why);
}

static void revive_locked(struct ctl *c, struct vm *vm, const struct operation *o)
{
	struct error e = { 0 };
	bool already = false;

	if (!vm_starts_again(vm))
		return;
	log_info("%s: started again, %s", vm->name,
		 vm->rebooted ? "as its guest has rebooted" : "as its restart policy says");
	if (vm_start_locked(c, vm, o, &already, &e) < 0)
		record_not_started(c, vm, &e);
}

void vm_revive(struct ctl *c, const uint8_t id[ID_LEN])
{
	with_vm(c, id, revive_locked);
}

static void give_up_locked(struct ctl *c, struct vm *vm, const struct operation *o)
{
	struct error e = { 0 };

	(void)o;
	if (!vm_at_rest(vm) || !vm->wanted)
		return;
	if (vm->rebooted)
		(void)snprintf(vm->reason, sizeof(vm->reason),
			       "its guest rebooted, and %u starts in a row did not help",
			       VM_REBOOTS_MOST);
	else
		(void)snprintf(vm->reason, sizeof(vm->reason),
			       "it ended %u times in a row and is not started again",
			       vm->restart_max + 1);
	log_warn("%s: %s", vm->name, vm->reason);
	if (vm_clear_wanted(c, vm, &e) < 0)
		log_error("%s: %s", vm->name, e.why);
}

void vm_give_up(struct ctl *c, const uint8_t id[ID_LEN])
{
	with_vm(c, id, give_up_locked);
}

/* ---- stop, release ---- */

static void auto_stop_locked(struct ctl *c, struct vm *vm, const struct operation *o)
{
	struct error e = { 0 };
	bool forced = false;

	/* The job may be late: the VM may have been started again, or be in use again. */
	if (vm->state != VM_RUNNING || !vm->auto_stop_s ||
	    idle_seconds(c->idle, vm) < vm->auto_stop_s)
		return;
	log_info("%s: idle for %u s and more, so it is stopped", vm->name, vm->auto_stop_s);
	if (vm_stop_locked(c, vm, 0, o, &forced, &e) < 0)
		log_error("%s: %s", vm->name, e.why);
	(void)snprintf(vm->reason, sizeof(vm->reason), "it was idle for %u s", vm->auto_stop_s);
	if (vm_at_rest(vm) && db_vm_update(c->db, vm, &e) < 0)
		log_error("%s: %s", vm->name, e.why);
}

void vm_auto_stop(struct ctl *c, const uint8_t id[ID_LEN])
{
	with_vm(c, id, auto_stop_locked);
}

static void release_again_locked(struct ctl *c, struct vm *vm, const struct operation *o)
{
	struct error e = { 0 };

	if (vm_release_due(c, vm) && vm_release(c, vm, vm_rest_state(vm), o, &e) == 0)
		log_info("%s: what it still held is released", vm->name);
}

void vm_release_again(struct ctl *c, const uint8_t id[ID_LEN])
{
	with_vm(c, id, release_again_locked);
}

/* ---- the end of the holder ---- */

/* A VM that is kept, or has a volume, gets a moment to write its files, in the two seconds that the
 * end may take. */
#define UNHELD_STOP_MS 1000

/* The row loses its hold in the commit that begins the stop: from there on the stop itself is what
 * start-up finishes. */
static int stop_unheld(struct ctl *c, struct vm *vm, const struct operation *o, struct error *e)
{
	bool forced = false;
	int r = 0;

	vm->hold = HOLD_NONE;
	if (!vm_at_rest(vm)) {
		r = vm_stop_locked(c, vm, UNHELD_STOP_MS, o, &forced, e);
		(void)snprintf(vm->reason, sizeof(vm->reason), "the command that held it ended");
	}
	vm->wanted = false;
	return r < 0 ? r : db_vm_update(c->db, vm, e);
}

static int end_unheld_locked(struct ctl *c, struct vm *vm, const struct operation *o,
			     struct error *e)
{
	if (vm->hold == HOLD_NONE || hold_holder(c->holds, vm))
		return 0;
	user_log(vm->owner, "%s: its holder has ended (hold: %s)", vm->name, hold_name(vm->hold));
	int r = vm->hold == HOLD_DELETE ? vm_delete_locked(c, vm, UNHELD_STOP_MS, o, e)
					: stop_unheld(c, vm, o, e);
	if (r < 0)
		log_error("%s: %s", vm->name, e->why);
	return r;
}

/* True if a VM that is kept, or has a volume that is, goes down already: a stop and a delete have
 * their caller's time for the guest, and a drain has the host's.  An end would interrupt it, and
 * kill the VMM while the guest writes its files. */
static bool goes_down(struct ctl *c, const uint8_t id[ID_LEN])
{
	struct error ignored = { 0 };
	struct vm vm;

	if (db_vm_by_id(c->db, id, &vm, &ignored) < 0 || vm_at_rest(&vm) ||
	    (vm.hold != HOLD_STOP && !vm_writes_volumes(&vm)))
		return false;
	return c->draining || (vm.state == VM_STOPPING && vm_lock_is_taken(c->vm_locks, id));
}

int vm_end_unheld(struct ctl *c, const uint8_t id[ID_LEN])
{
	struct operation o;
	struct error e = { 0 };
	struct vm vm;

	if (goes_down(c, id))
		return 1;
	operation_own(&o);
	vm_lock_take(c->vm_locks, id, VM_LOCK_INTERRUPT, &o.cancelled);
	int r = db_vm_by_id(c->db, id, &vm, &e);
	if (r == 0)
		r = end_unheld_locked(c, &vm, &o, &e);
	else if (e.code == FAIL_NOT_FOUND)
		r = 0;
	vm_lock_give(c->vm_locks, id);
	return r;
}

/* ---- the agent ---- */

/* True if the row has still the start of @vm. */
static bool is_same_start(struct ctl *c, const struct vm *vm)
{
	struct error ignored = { 0 };
	struct vm now;

	return db_vm_by_id(c->db, vm->id, &now, &ignored) == 0 && now.state == VM_RUNNING &&
	       now.started_ns == vm->started_ns;
}

void vm_probe(struct ctl *c, const uint8_t id[ID_LEN])
{
	struct error ignored = { 0 };
	struct vm vm;

	if (db_vm_by_id(c->db, id, &vm, &ignored) < 0 || vm.state != VM_RUNNING ||
	    !vmm_port_probe(c, &vm) || !is_same_start(c, &vm))
		return;
	watch_set_ready(c->watch, id);
	log_info("%s: the agent in the guest answers", vm.name);
}
