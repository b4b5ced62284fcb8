/* remedy.c - the remedies that start-up and on-line reconciliation share. */
#include "controller/recovery/remedy.h"

#include <stdio.h>

#include "common/log.h"
#include "controller/objects/object.h"
#include "controller/objects/release.h"
#include "controller/db/db.h"

/* ---- orphans ---- */

struct used_slots {
	bool used[SLOT_MAX];
};

static int note_slot(void *arg, const struct vm *vm)
{
	struct used_slots *u = arg;

	if (vm->slot < SLOT_MAX)
		u->used[vm->slot] = true;
	return 0;
}

void remedy_sweep_unused(struct ctl *c, uint32_t from, uint32_t to)
{
	struct used_slots u = { 0 };
	struct error e = { 0 };

	if (db_group_begin(c->db, &e) < 0)
		return;
	bool known = db_vm_each(c->db, NULL, true, note_slot, &u, &e) == 0;
	for (uint32_t i = from; known && i <= to && i < SLOT_MAX; i++)
		if (!u.used[i])
			(void)release_sweep(c, i);
	(void)db_group_end(c->db, 0, &e);
}

int remedy_remove_orphan(struct ctl *c, const struct listed *l, const struct operation *o)
{
	/* The VM's id stays zero: neither the role nor the database knows it. */
	const struct vm orphan = { .slot = l->slot,
				   .generation = l->generation,
				   .owner = l->owner };
	struct error e = { 0 };

	/* A lost database may have made the orphan: the next VM of the slot must get a higher
	 * generation. */
	if (db_slot_floor(c->db, l->slot, l->generation, &e) < 0)
		log_error("slot %u: %s", l->slot, e.why);
	log_warn("slot %u, generation %u: %s belongs to no VM and is removed", l->slot,
		 l->generation, object_name(l->kind));
	/* The tap of a guest element may be gone.  Its flows are forgotten first, while the element
	 * still keeps the slot occupied. */
	int r = l->kind == OBJ_GUEST ? object_release(c, &orphan, OBJ_TAP, o, &e) : 0;
	if (r == 0)
		r = object_release(c, &orphan, l->kind, o, &e);
	if (l->kind == OBJ_VMM && r == 0)
		remedy_sweep_unused(c, l->slot, l->slot);
	if (r == 0)
		return 0;
	log_error("slot %u: %s: %s", l->slot, object_name(l->kind), e.why);
	return -1;
}

/* ---- running VMs ---- */

/* Write ledger rows for all planned objects of a running VM, in state "present". */
static int complete_ledger(struct ctl *c, const struct inventory *inv, const struct vm *vm,
			   const enum object *kinds, size_t n, struct error *e)
{
	struct ledger_row rows[OBJ_COUNT];

	/* A set element has no identity in LIST; a start records -1 as well. */
	for (size_t i = 0; i < n; i++)
		rows[i] = (struct ledger_row){
			.kind = kinds[i],
			.state = LEDGER_PRESENT,
			.ident = kinds[i] == OBJ_GUEST || kinds[i] == OBJ_NAT
					 ? -1
					 : inventory_ident(inv, vm, kinds[i]),
		};
	return db_ledger_settle(c->db, vm, rows, n, e);
}

/* Make one missing object again.  Set elements can be made again under a running guest; tap and
 * disk can not, since the VMM holds them open. */
static int restore_one(struct ctl *c, const struct inventory *inv, struct vm *vm, enum object kind,
		       const struct operation *o, struct error *e)
{
	const bool broken = inventory_is_broken(inv, vm, kind);
	struct made m;

	if (kind == OBJ_DM && broken)
		return error_set(e, FAIL_HOST, vm->name,
				 "it runs, but its disk was given up by the kernel: "
				 "a write failed, as on a full file system");
	if (kind == OBJ_TAP && broken) {
		error_set(e, FAIL_HOST, vm->name,
			  "it runs, but its tap can not be put back into the bridge");
		error_hint(e, "`banger doctor` and the net role's messages say what is in the way");
		return -1;
	}
	if (inventory_ident(inv, vm, kind) >= 0 || kind == OBJ_LOOP_BASE || kind == OBJ_LOOP_COW)
		return 0; /* the device-mapper disk holds the loop devices open */
	if (kind != OBJ_GUEST && kind != OBJ_NAT)
		return error_set(e, FAIL_GENERAL, vm->name, "it runs, but its %s is gone",
				 object_name(kind));
	log_warn("%s: its %s was gone and is made again", vm->name, object_name(kind));
	return object_make(c, vm, kind, o, &m, e);
}

int remedy_restore(struct ctl *c, const struct inventory *inv, struct vm *vm,
		   const struct operation *o, struct error *e)
{
	enum object kinds[OBJ_COUNT];
	struct error failed = { 0 };
	size_t n = objects_planned(vm, kinds);
	/* An interrupted change of the NAT flag may have left the element. */
	int r = vm->nat ? 0 : object_release(c, vm, OBJ_NAT, o, e);

	for (size_t i = 0; i < n && r == 0; i++)
		r = restore_one(c, inv, vm, kinds[i], o, e);
	vm->state = r < 0 ? VM_DEGRADED : VM_RUNNING;
	(void)snprintf(vm->reason, sizeof(vm->reason), "%.*s", (int)sizeof(vm->reason) - 1,
		       r < 0 ? e->why : "");
	if (r < 0)
		log_error("%s: %s", vm->name, e->why);
	int written = r < 0 ? db_vm_update(c->db, vm, &failed)
			    : complete_ledger(c, inv, vm, kinds, n, &failed);
	if (written < 0)
		log_error("%s: %s", vm->name, failed.why);
	return r;
}
