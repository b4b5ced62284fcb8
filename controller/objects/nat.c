/* nat.c - makes, changes and removes the NAT of one VM, and keeps the ledger. */
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

/*
 * Does anything of ours say that there may be NAT?  The ledger's row; or, when
 * a row of an older schema has left nothing there, the tap that the runtime
 * names.  A ledger that can not be read counts as a yes: asking for nothing
 * costs nothing, and not asking leaks.
 */
static bool may_have_nat(struct ctl *c, const struct vm *vm)
{
	struct ledger_row rows[OBJ_COUNT];
	struct error ignored = { 0 };
	bool tap = object_named(vm, OBJ_TAP);
	size_t n;

	if (store_ledger_rows(c->store, vm->id, rows, &n, &ignored) < 0)
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

/* Take OBJ_NAT out of the ledger, or leave it there with the reason why it could not be removed. */
static int settle(struct ctl *c, const struct vm *vm, const struct error *failed, struct error *e)
{
	struct ledger_row rows[OBJ_COUNT];
	size_t n, kept = 0;

	if (store_ledger_rows(c->store, vm->id, rows, &n, e) < 0)
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
	return store_ledger_settle(c->store, vm, rows, kept, e);
}

/* Best effort behind an error that is already told: what stays is in the ledger, and the next
 * release takes it. */
static void take_back(struct ctl *c, const struct vm *before, const struct operation *o)
{
	struct error failed = { 0 }, ignored = { 0 };
	int r = object_release(c, before, OBJ_NAT, o, &failed);

	(void)settle(c, before, r < 0 ? &failed : NULL, &ignored);
}

static int turn_on(struct ctl *c, const struct vm *before, const struct vm *after,
		   const struct operation *o, struct error *e)
{
	const enum object nat = OBJ_NAT;
	const struct ledger_row present = { .kind = OBJ_NAT, .state = LEDGER_PRESENT, .ident = -1 };

	/* The flag comes with the confirmation: until then online_repair() takes back what it
	 * finds half done. */
	if (store_ledger_plan(c->store, before, &nat, 1, o, e) < 0)
		return -1;
	if (nat_prepare(c, after, o, e) == 0 &&
	    store_ledger_present(c->store, after, &present, 1, e) == 0)
		return 0;
	take_back(c, before, o);
	return -1;
}

static int turn_off(struct ctl *c, const struct vm *before, const struct vm *after,
		    const struct operation *o, struct error *e)
{
	struct error ignored = { 0 };

	if (nat_cleanup(c, before, o, e) < 0) {
		/* The flag stays on.  Nobody knows whether the element did: with it there again,
		 * all agrees. */
		if (nat_prepare(c, before, o, &ignored) < 0)
			(void)settle(c, before, e, &ignored);
		return -1;
	}
	if (settle(c, after, NULL, e) == 0)
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
