/* online.c - reconciliation while the service runs: removes orphans, and makes missing objects of
 * running VMs again.
 *
 * A scan reads the inventory (one LIST of each role) and then the rows.  A row is written before
 * its objects and deleted after them, so an object that is listed without a row is an orphan.
 * Operations go on meanwhile, so a difference is only a suspicion at first.  A suspected VM is
 * checked again with its operation lock held.  An object is removed only if two consecutive
 * inventories find no row for it. */
#include "controller/recovery/online.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/pidfd.h"
#include "controller/db/db.h"
#include "controller/lifecycle/operation.h"
#include "controller/lifecycle/vm_lock.h"
#include "controller/objects/object.h"
#include "controller/objects/release.h"
#include "controller/recovery/remedy.h"
#include "controller/recovery/stray_files.h"
#include "controller/vmm/watch.h"
#include "controller/workers.h"

struct repair {
	struct ctl *c;
	const struct repair_options *options;
	struct repaired *n;
	struct inventory *inv; /* the inventory in which claim_row() marks objects */
	uint8_t (*suspects)[ID_LEN];
	size_t n_suspects;
};

static void cleanup_inventory(struct inventory *inv)
{
	inventory_free(inv);
}
#define _cleanup_inventory_ __attribute__((cleanup(cleanup_inventory)))

__attribute__((format(printf, 2, 3))) static void report(struct repair *p, const char *format, ...)
{
	char line[256];
	va_list ap;

	p->n->found++;
	va_start(ap, format);
	(void)vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	if (p->options->report)
		p->options->report(p->options->arg, line);
}

/* ---- VMs ---- */

/* Return: the objects that a running VM should have and does not, a set of 1u << kind.  Loop
 * devices are left out: the device-mapper disk holds them open, so they exist while it does. */
static unsigned missing_kinds(const struct vm *vm, const struct inventory *inv, unsigned listed)
{
	enum object kinds[OBJ_COUNT];
	size_t n = objects_planned(vm, kinds);
	unsigned missing = 0;

	for (size_t i = 0; i < n; i++)
		if (!(listed & 1u << kinds[i]) || inventory_is_broken(inv, vm, kinds[i]))
			missing |= 1u << kinds[i];
	return missing & ~(1u << OBJ_LOOP_BASE | 1u << OBJ_LOOP_COW);
}

/* True for a degraded VM whose VMM lives and that lacks only objects which can be made again. */
static bool may_be_restored(struct repair *p, const struct vm *vm, const struct inventory *inv,
			    unsigned listed)
{
	return vm->state == VM_DEGRADED && (listed & 1u << OBJ_VMM) &&
	       !vm_release_failed(p->c, vm) &&
	       !(missing_kinds(vm, inv, listed) & ~(1u << OBJ_GUEST | 1u << OBJ_NAT));
}

/* True if the ledger has a row that is not "present": an operation failed, out of memory or on a
 * full disk, and could not record its failure. */
static bool is_half_done(struct ctl *c, const struct vm *vm)
{
	struct ledger_row rows[OBJ_COUNT];
	struct error ignored = { 0 };
	size_t n = 0;

	(void)db_ledger_rows(c->db, vm->id, rows, &n, &ignored);
	for (size_t i = 0; i < n; i++)
		if (rows[i].state != LEDGER_PRESENT)
			return true;
	return false;
}

static bool is_wrong(struct repair *p, const struct vm *vm, const struct inventory *inv,
		     unsigned listed)
{
	if (vm_at_rest(vm))
		return listed;
	if (p->options->restore && may_be_restored(p, vm, inv, listed))
		return true;
	return p->options->restore && vm->state == VM_RUNNING &&
	       (missing_kinds(vm, inv, listed) || (!vm->nat && (listed & 1u << OBJ_NAT)) ||
		is_half_done(p->c, vm));
}

static int note_suspect(void *arg, const struct vm *vm)
{
	struct repair *p = arg;

	if (!is_wrong(p, vm, p->inv, inventory_claim(p->inv, vm)))
		return 0;
	void *more = reallocarray(p->suspects, p->n_suspects + 1, ID_LEN);
	if (!more)
		return -1;
	p->suspects = more;
	memcpy(p->suspects[p->n_suspects++], vm->id, ID_LEN);
	return 0;
}

static void name_kinds(unsigned kinds, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (unsigned k = 1; k < OBJ_COUNT; k++)
		if (kinds & 1u << k && n < size)
			n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "",
					      object_name((enum object)k));
}

static void mend_vm(struct repair *p, struct vm *vm, const struct inventory *inv, unsigned listed)
{
	struct operation o;
	struct error e = { 0 };

	operation_own(&o);
	int r = operation_begin(p->c, &o, OPERATION_RECONCILE, vm, &e);
	if (r == 0) {
		memcpy(vm->op, o.hex, sizeof(vm->op));
		r = !vm_at_rest(vm)
			    ? remedy_restore(p->c, inv, vm, &o, &e)
			    : vm_release_listed(p->c, vm, listed, vm_rest_state(vm), &o, &e);
		r = operation_end(p->c, &o, r, &e);
	}
	if (r < 0)
		log_error("%s: %s", vm->name, e.why);
	p->n->mended += r == 0;
	p->n->failed += r < 0;
}

/* Check a suspected VM again, with its operation lock held. */
static int check_locked(struct repair *p, struct vm *vm, struct error *e)
{
	_cleanup_close_ int pidfd = watch_pidfd(p->c->watch, vm->id);
	_cleanup_inventory_ struct inventory inv = { 0 };
	char what[128];

	if (inventory_take(p->c, &inv, e) < 0)
		return -1;
	unsigned listed = inventory_claim(&inv, vm);
	const bool rests = vm_at_rest(vm);
	if (!is_wrong(p, vm, &inv, listed) || (!rests && !pidfd_alive(pidfd)))
		return 0; /* in order, or the exit handler is about to release it */
	unsigned missing = rests ? 0 : missing_kinds(vm, &inv, listed);
	unsigned extra = rests ? listed : vm->nat ? 0 : listed & 1u << OBJ_NAT;
	name_kinds(missing ? missing : extra, what, sizeof(what));
	report(p, "%s (slot %u), %s: %s %s", vm->name, vm->slot, vm_state_name(vm->state),
	       missing ? "it lacks"
	       : extra ? "it still has"
		       : "a change of it was not recorded to its end",
	       what);
	if (!p->options->dry_run)
		mend_vm(p, vm, &inv, listed);
	return 0;
}

/* A VM that was deleted meanwhile needs nothing.  One that can not be read, for want of memory, is
 * an error: a scan that left it out would report a host that is in order. */
static int recheck_vm(struct repair *p, const uint8_t id[ID_LEN], struct error *e)
{
	atomic_bool *cancelled;
	struct error unread = { 0 };
	struct vm vm;

	vm_lock_take(p->c->vm_locks, id, VM_LOCK_WAIT, &cancelled);
	int r = db_vm_by_id(p->c->db, id, &vm, &unread);
	if (r == 0)
		r = check_locked(p, &vm, e);
	else if (unread.code == FAIL_NOT_FOUND)
		r = 0;
	else
		*e = unread;
	vm_lock_give(p->c->vm_locks, id);
	return r;
}

/* ---- orphans ---- */

static const struct listed *find_unclaimed(const struct inventory *inv, const struct listed *like)
{
	for (size_t i = 0; i < inv->n; i++) {
		const struct listed *l = &inv->v[i];
		if (!l->claimed && l->kind == like->kind && l->slot == like->slot &&
		    l->generation == like->generation)
			return l;
	}
	return NULL;
}

static int claim_row(void *arg, const struct vm *vm)
{
	(void)inventory_claim(((struct repair *)arg)->inv, vm);
	return 0;
}

static void remove_orphan(struct repair *p, const struct listed *l)
{
	struct operation o;

	report(p, "slot %u, generation %u: %s belongs to no VM", l->slot, l->generation,
	       object_name(l->kind));
	if (p->options->dry_run)
		return;
	operation_own(&o);
	bool gone = remedy_remove_orphan(p->c, l, &o) == 0;
	p->n->mended += gone;
	p->n->failed += !gone;
}

static int remove_orphans(struct repair *p, const struct inventory *before, struct error *e)
{
	_cleanup_inventory_ struct inventory now = { 0 };
	bool any = false;

	for (size_t i = 0; i < before->n; i++)
		any |= !before->v[i].claimed;
	if (!any)
		return 0;
	p->inv = &now; /* for claim_row() */
	int r = inventory_take(p->c, &now, e) < 0 ||
				db_vm_each(p->c->db, NULL, true, claim_row, p, e) < 0
			? -1
			: 0;
	p->inv = NULL;
	if (r < 0)
		return -1;
	for_each_object_reverse(kind)
	{
		for (size_t i = 0; i < now.n; i++) {
			const struct listed *l = &now.v[i];
			if (!l->claimed && l->kind == kind && find_unclaimed(before, l))
				remove_orphan(p, l);
		}
	}
	return 0;
}

static void report_stray(void *arg, const char *line)
{
	struct repair *p = arg;

	report(p, "%s", line);
	p->n->mended += !p->options->dry_run;
}

/* Remove stray files.  Only `host gc` does so: an administrator may still restore a database that
 * has rows for them. */
static int remove_strays(struct repair *p, struct error *e)
{
	int failed = stray_files_remove(p->c, p->options->dry_run, report_stray, p);

	if (failed < 0)
		return error_set(e, FAIL_HOST, "slots", "the state database can not be held");
	p->n->failed += (unsigned)failed;
	p->n->mended -= (unsigned)failed;
	return 0;
}

int online_repair(struct ctl *c, const struct repair_options *options, struct repaired *out,
		  struct error *e)
{
	_cleanup_inventory_ struct inventory inv = { 0 };
	struct repair p = { .c = c, .options = options, .n = out, .inv = &inv };

	*out = (struct repaired){ 0 };
	e->code = FAIL_NONE;
	int r = inventory_take(c, &inv, e);
	if (r == 0)
		r = db_vm_each(c->db, NULL, true, note_suspect, &p, e);
	for (size_t i = 0; i < p.n_suspects && r == 0; i++)
		r = recheck_vm(&p, p.suspects[i], e);
	if (r == 0)
		r = remove_orphans(&p, &inv, e);
	if (r == 0 && !options->restore)
		r = remove_strays(&p, e);
	free(p.suspects);
	if (r < 0 && e->code == FAIL_NONE)
		(void)error_set(e, FAIL_GENERAL, "reconcile", "out of memory");
	return r;
}
