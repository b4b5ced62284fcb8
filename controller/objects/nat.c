/* nat.c - makes, changes and removes the NAT of one VM, and updates the ledger. */
#include "controller/objects/nat.h"

#include <stdio.h>
#include <string.h>

#include "controller/objects/object.h"
#include "controller/db/db.h"

int nat_prepare(struct ctl *c, const struct vm *vm, const struct operation *o, struct error *e)
{
	struct vm scratch = *vm;
	struct made m;

	return vm->nat ? object_make(c, &scratch, OBJ_NAT, o, &m, e) : 0;
}

/* True if a NAT element may exist: the ledger has a row for it, or the runtime names a tap (a VM
 * row of an older schema has no ledger rows), or the ledger can not be read.  An unneeded removal
 * is harmless, a missing one leaks the element. */
static bool may_have_nat(struct ctl *c, const struct vm *vm)
{
	struct ledger_row rows[OBJ_COUNT];
	struct error ignored = { 0 };
	bool tap = object_named(vm, OBJ_TAP);
	size_t n;

	if (db_ledger_rows(c->db, vm->id, rows, &n, &ignored) < 0)
		return true;
	for (size_t i = 0; i < n; i++) {
		if (rows[i].kind == OBJ_NAT)
			return true;
		tap |= rows[i].kind == OBJ_TAP;
	}
	return vm->nat && tap;
}

int nat_cleanup(struct ctl *c, const struct vm *vm, const struct operation *o, struct error *e)
{
	return may_have_nat(c, vm) ? object_release(c, vm, OBJ_NAT, o, e) : 0;
}

/* Write the result of a removal to the ledger: drop the row of OBJ_NAT, or keep it with the reason
 * @failed. */
static int record_removal(struct ctl *c, const struct vm *vm, const struct error *failed,
			  struct error *e)
{
	struct ledger_row rows[OBJ_COUNT];
	size_t n, kept = 0;

	if (db_ledger_rows(c->db, vm->id, rows, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (rows[i].kind == OBJ_NAT && !failed)
			continue;
		if (rows[i].kind == OBJ_NAT) {
			rows[i].state = LEDGER_RELEASING;
			(void)snprintf(rows[i].error, sizeof(rows[i].error), "%.*s",
				       (int)sizeof(rows[i].error) - 1, failed->why);
		}
		rows[kept++] = rows[i];
	}
	return db_ledger_settle(c->db, vm, rows, kept, e);
}

/* Undo a turn_on() that failed, on a best-effort basis.  If the element stays, the ledger names it
 * and the next release removes it. */
static void undo_turn_on(struct ctl *c, const struct vm *before, const struct operation *o)
{
	struct error failed = { 0 }, ignored = { 0 };
	int r = object_release(c, before, OBJ_NAT, o, &failed);

	(void)record_removal(c, before, r < 0 ? &failed : NULL, &ignored);
}

static int turn_on(struct ctl *c, const struct vm *before, const struct vm *after,
		   const struct operation *o, struct error *e)
{
	const enum object nat = OBJ_NAT;
	const struct ledger_row present = { .kind = OBJ_NAT, .state = LEDGER_PRESENT, .ident = -1 };

	/* The flag in the row changes in the commit that records the element as present.  Before
	 * that commit, online_repair() removes an element that it finds. */
	if (db_ledger_plan(c->db, before, &nat, 1, o, e) < 0)
		return -1;
	if (nat_prepare(c, after, o, e) == 0 &&
	    db_ledger_present(c->db, after, &present, 1, e) == 0)
		return 0;
	undo_turn_on(c, before, o);
	return -1;
}

static int turn_off(struct ctl *c, const struct vm *before, const struct vm *after,
		    const struct operation *o, struct error *e)
{
	struct error ignored = { 0 };

	if (nat_cleanup(c, before, o, e) < 0) {
		/* The flag stays on.  Whether the element exists is unknown, so it is made again:
		 * then kernel, ledger and row agree. */
		if (nat_prepare(c, before, o, &ignored) < 0)
			(void)record_removal(c, before, e, &ignored);
		return -1;
	}
	if (record_removal(c, after, NULL, e) == 0)
		return 0;
	(void)nat_prepare(c, before, o, &ignored);
	return -1;
}

bool nat_is_applied(const struct vm *before, const struct vm *after)
{
	return before->nat != after->nat && vm_is_up(before);
}

int nat_apply_config_change(struct ctl *c, const struct vm *before, const struct vm *after,
			    const struct operation *o, struct error *e)
{
	if (!nat_is_applied(before, after))
		return 0;
	return after->nat ? turn_on(c, before, after, o, e) : turn_off(c, before, after, o, e);
}
