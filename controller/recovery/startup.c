/* startup.c - start-up reconciliation: compares the kernel's objects with the database before
 * any request is served.  No operation runs yet.
 *
 * The roles are in their RECONCILE phase: they list and remove objects, and create none.
 *
 * 1.  A VM is adopted if its VMM lives and is the process that we started.  The role checks the
 *    cgroup; process id, start time and boot id are compared with the row.
 * 2.  Any other VM is released.
 * 3.  Operations that the end of the last controller interrupted are rolled back (create, start) or
 *    forward (stop, kill, delete).
 * 4.  Orphans are removed.
 * 5.  The roles leave their RECONCILE phase.  Objects of adopted VMs that are missing, for example
 *    after an administrator flushed the ruleset, are made again. */
#include "controller/recovery/startup.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/pidfd.h"
#include "controller/db/db.h"
#include "controller/helper/client.h"
#include "controller/lifecycle/delete.h"
#include "controller/lifecycle/operation.h"
#include "controller/objects/inventory.h"
#include "controller/objects/object.h"
#include "controller/objects/release.h"
#include "controller/recovery/remedy.h"
#include "controller/recovery/stray_files.h"
#include "controller/storage/slot_owner.h"
#include "controller/vmm/watch.h"

/* Attempts to learn whether a VMM lives, and the pause between them.  A guest that were taken for
 * dead by mistake would be killed. */
#define TRIES 5
#define TRIES_MS 20

/* The time for objects that are in use, of all slots together.  The supervisor ends a set that is
 * not ready after 20 s (READY_MS), and a killed VMM in state D may hold its slot for ever.  What is
 * still in use then is removed later (housekeeping, online.h). */
#define BUSY_MS 8000

/* An operation row without an end: the operation was interrupted. */
struct cut {
	uint8_t op[ID_LEN], vm[ID_LEN];
	bool has_vm;
	enum operation_verb verb;
};

struct known {
	uint8_t id[ID_LEN];
	bool adopted;
};

struct pass {
	struct ctl *c;
	struct operation o;
	struct inventory inv;
	struct cut *cuts;
	size_t n_cuts;
	struct known *vms;
	size_t n_vms;
	unsigned adopted, released, orphans, failed;
	/* The reason why it is unknown which VMMs live.  No VM is released then, and the service
	 * does not start. */
	struct error blind;
};

/* ---- rows and interrupted operations ---- */

static int note_cut(void *arg, const uint8_t op[ID_LEN], const char *verb, const uint8_t vm[ID_LEN])
{
	struct pass *p = arg;
	struct cut *more = reallocarray(p->cuts, p->n_cuts + 1, sizeof(*more));

	if (!more)
		return -1;
	p->cuts = more;
	struct cut *cut = &p->cuts[p->n_cuts++];
	*cut = (struct cut){ .has_vm = vm, .verb = operation_verb_parse(verb) };
	memcpy(cut->op, op, ID_LEN);
	if (vm)
		memcpy(cut->vm, vm, ID_LEN);
	return 0;
}

static int note_vm(void *arg, const struct vm *vm)
{
	struct pass *p = arg;
	struct known *more = reallocarray(p->vms, p->n_vms + 1, sizeof(*more));

	if (!more)
		return -1;
	p->vms = more;
	p->vms[p->n_vms] = (struct known){ 0 };
	memcpy(p->vms[p->n_vms++].id, vm->id, ID_LEN);
	return 0;
}

/* Return: how to finish the interrupted operation of @vm.  Only the operation named in the VM's row
 * counts: it changed the row last.  An older one has ended, and its end could not be recorded. */
static enum operation_finish finish_of(const struct pass *p, const struct vm *vm)
{
	char hex[ID_HEX];

	for (size_t i = 0; i < p->n_cuts; i++) {
		const struct cut *cut = &p->cuts[i];
		format_id(cut->op, hex);
		bool same_vm = cut->has_vm && !memcmp(cut->vm, vm->id, ID_LEN);
		if (same_vm && !strcmp(hex, vm->op))
			return operation_verb_finish(cut->verb);
	}
	return FINISH_BY_STATE;
}

/* ---- one VM ---- */

static bool same_vmm(const struct ctl *c, const struct vm *vm, int64_t pid, int64_t start)
{
	const struct vm_runtime *r = &vm->runtime;

	return pid == r->pid && start == r->pid_start && strcmp(r->boot_id, c->boot_id) == 0;
}

/* Return: a pidfd of the VM's VMM if it lives and is the process named in the row, else -1. */
static int living(struct pass *p, const struct vm *vm, unsigned listed)
{
	_cleanup_close_ int pidfd = -1;
	int64_t pid, start;

	if (!(listed & 1u << OBJ_VMM))
		return -1;
	for (int i = 0; i < TRIES; i++) {
		pidfd = object_vmm(p->c, vm, &p->o, &pid, &start);
		if (pidfd >= 0 || errno != EAGAIN)
			break;
		(void)poll(NULL, 0, TRIES_MS);
	}
	if (pidfd < 0 && errno == EPIPE)
		(void)error_set(&p->blind, FAIL_HOST, "reconcile", "the spawn role is gone");
	return pidfd_alive(pidfd) && same_vmm(p->c, vm, pid, start) ? steal_fd(&pidfd) : -1;
}

static bool adopt_vm(struct pass *p, struct vm *vm, int pidfd)
{
	/* makes the FIFO if it was removed, since watch_add() needs one */
	_cleanup_close_ int console = watch_console_open(p->c->watch, vm);

	if (watch_add(p->c->watch, vm, pidfd) < 0) {
		(void)error_set(&p->blind, FAIL_HOST, vm->name,
				"its VMM lives, but can not be watched: %s",
				strerrordesc_np(errno));
		return false;
	}
	p->adopted++;
	return true;
}

static int release_vm(struct pass *p, struct vm *vm, unsigned listed, const char *reason)
{
	struct error e = { 0 };

	(void)snprintf(vm->reason, sizeof(vm->reason), "%s", reason);
	vm->wanted &= vm->restart != RESTART_NO || vm->rebooted;
	p->released++;
	if (vm_release_listed(p->c, vm, listed, vm_rest_state(vm), &p->o, &e) == 0)
		return 0;
	log_error("%s: %s", vm->name, e.why);
	p->failed++;
	return -1;
}

/* Finish an interrupted create or delete by removing the VM.  It runs under the id of the
 * interrupted operation: if it is interrupted again, the next start-up finds that operation in the
 * row. */
static int finish_delete(struct pass *p, struct vm *vm, unsigned listed)
{
	struct operation o = p->o;
	struct error e = { 0 };

	memcpy(o.hex, vm->op, sizeof(o.hex));
	(void)parse_id(o.hex, o.id);
	p->released++;
	if (vm_remove(p->c, vm, listed, &o, &e) == 0)
		return 0;
	log_error("%s: can not be deleted: %s", vm->name, e.why);
	p->failed++;
	return -1;
}

static bool holds_something(struct pass *p, const struct vm *vm, unsigned listed)
{
	struct ledger_row rows[OBJ_COUNT];
	struct error e = { 0 };
	size_t n;

	if (listed || !vm_at_rest(vm) || db_ledger_rows(p->c->db, vm->id, rows, &n, &e) < 0 || n)
		return true;
	for_each_object(kind) if (object_named(vm, kind)) return true;
	return false;
}

static const char *why_gone(const struct pass *p, const struct vm *vm)
{
	if (vm->state != VM_RUNNING)
		return "";
	return strcmp(vm->runtime.boot_id, p->c->boot_id) == 0 ? "the VMM ended"
							       : "the host was started again";
}

/* Mark a VM as failed if the files of its slot belong to another VM.  This happens after an older
 * database was restored: a later database had given the slot to the other VM. */
static void disown_others(struct pass *p, struct vm *vm)
{
	struct error e = { 0 };

	if (storage_check_owner(&p->c->config, vm, &e) == 0 || e.code != FAIL_STATE)
		return;
	log_error("%s: " STORAGE_OLDER, vm->name);
	vm->state = VM_FAILED;
	vm->wanted = false;
	(void)snprintf(vm->reason, sizeof(vm->reason), STORAGE_OLDER);
	if (db_vm_update(p->c->db, vm, &e) < 0)
		log_error("%s: %s", vm->name, e.why);
}

static void reconcile_vm(struct pass *p, struct known *k)
{
	struct vm vm;

	/* A row that can not be read ends start-up, else its objects would be removed as
	 * orphans. */
	if (db_vm_by_id(p->c->db, k->id, &vm, &p->blind) < 0)
		return;
	unsigned listed = inventory_claim(&p->inv, &vm);
	enum operation_finish finish = finish_of(p, &vm);
	if (finish == FINISH_REMOVE) {
		(void)finish_delete(p, &vm, listed);
		return;
	}
	bool ending = finish == FINISH_RELEASE || vm_release_failed(p->c, &vm);
	int pidfd = vm_may_be_adopted(&vm) && !ending ? living(p, &vm, listed) : -1;
	if (p->blind.code != FAIL_NONE)
		return;
	if (pidfd >= 0)
		k->adopted = adopt_vm(p, &vm, pidfd);
	else if (ending || holds_something(p, &vm, listed))
		(void)release_vm(p, &vm, listed, ending ? "" : why_gone(p, &vm));
	if (vm_at_rest(&vm))
		disown_others(p, &vm);
}

/* ---- orphans ---- */

static void remove_orphans(struct pass *p)
{
	for_each_object_reverse(kind) for (size_t i = 0; i < p->inv.n; i++)
	{
		const struct listed *l = &p->inv.v[i];
		if (l->claimed || l->kind != kind)
			continue;
		p->orphans++;
		p->failed += remedy_remove_orphan(p->c, l, &p->o) < 0;
	}
}

/* ---- adopted VMs ---- */

static void restore_adopted(struct pass *p, const struct known *k)
{
	struct error e = { 0 };
	struct vm vm;

	if (db_vm_by_id(p->c->db, k->id, &vm, &e) == 0)
		(void)remedy_restore(p->c, &p->inv, &vm, &p->o, &e);
}

/* ---- the steps in order ---- */

/* Find the VM with the highest slot.  The roles do not list slots above the configured number, so a
 * running VM in such a slot would be taken for dead. */
static int highest_slot(void *arg, const struct vm *vm)
{
	struct vm *highest = arg;

	if (!highest->name[0] || vm->slot > highest->slot)
		*highest = *vm;
	return 0;
}

static int check_slots(struct ctl *c, struct error *e)
{
	struct vm vm = { 0 };

	if (db_vm_each(c->db, NULL, true, highest_slot, &vm, e) < 0)
		return -1;
	if (!vm.name[0] || vm.slot < c->config.slots)
		return 0;
	(void)error_set(e, FAIL_STATE, "banger.conf", "%u slots, but VM %u/%s has slot %u",
			c->config.slots, vm.owner, vm.name, vm.slot);
	error_hint(e, "set count to at least %u until that VM is deleted", vm.slot + 1);
	return -1;
}

static int reconcile_done(struct ctl *c, struct error *e)
{
	for (enum role_id role = ROLE_NET; role < ROLE_COUNT; role++) {
		struct request q = helper_request(OP_RECONCILE_DONE, NULL, NULL);
		struct reply r;
		if (helper_fd(c->helper, role) < 0)
			continue;
		if (helper_call_role(c->helper, role, &q, &r) < 0 || r.status != ST_OK)
			return error_set(e, FAIL_HOST, "reconcile", "the %s role does not go on",
					 role_name(role));
	}
	return 0;
}

static void end_cuts(struct pass *p)
{
	struct error cut = { 0 };

	(void)error_set(&cut, FAIL_GENERAL, "operation", "cut short by the end of the service");
	for (size_t i = 0; i < p->n_cuts; i++) {
		struct operation o = { 0 };
		memcpy(o.id, p->cuts[i].op, ID_LEN);
		format_id(o.id, o.hex);
		(void)operation_end(p->c, &o, -1, &cut);
	}
}

static int reconcile_all(struct pass *p, struct error *e)
{
	struct ctl *c = p->c;

	if (inventory_take(c, &p->inv, e) < 0 || db_vm_each(c->db, NULL, true, note_vm, p, e) < 0)
		return e->code == FAIL_NONE
			       ? error_set(e, FAIL_GENERAL, "reconcile", "out of memory")
			       : -1;
	FAILPOINT("reconcile.inventory");
	for (size_t i = 0; i < p->n_vms && p->blind.code == FAIL_NONE; i++)
		reconcile_vm(p, &p->vms[i]);
	if (p->blind.code != FAIL_NONE) {
		*e = p->blind;
		return -1;
	}
	FAILPOINT("reconcile.settled");
	remove_orphans(p);
	/* Sweep the folders of all unused slots: an interrupted start-up may have removed an
	 * orphaned VMM and not its files, and no row names them. */
	remedy_sweep_unused(c, 0, c->config.slots - 1);
	FAILPOINT("reconcile.orphans");
	stray_files_note(c);
	if (reconcile_done(c, e) < 0)
		return -1;
	FAILPOINT("reconcile.done");
	for (size_t i = 0; i < p->n_vms; i++)
		if (p->vms[i].adopted)
			restore_adopted(p, &p->vms[i]);
	FAILPOINT("reconcile.restored");
	end_cuts(p);
	log_info("reconciled: %zu VMs, %u adopted, %u released, %u orphans, %u failures", p->n_vms,
		 p->adopted, p->released, p->orphans, p->failed);
	return 0;
}

int startup_reconcile(struct ctl *c, struct error *e)
{
	struct pass p = { .c = c };

	c->release_by = clock_boot_ns() + BUSY_MS * UINT64_C(1000000);
	operation_own(&p.o);
	int r = check_slots(c, e);
	if (r == 0)
		r = db_op_unfinished(c->db, note_cut, &p, e);
	if (r == 0)
		r = operation_begin(c, &p.o, OPERATION_RECONCILE, NULL, e);
	if (r == 0)
		r = operation_end(c, &p.o, reconcile_all(&p, e), e);
	c->release_by = 0;
	inventory_free(&p.inv);
	free(p.cuts);
	free(p.vms);
	return r;
}
