/* inventory.c - collects the LIST answers of all roles in one array. */
#include "controller/objects/inventory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controller/helper/client.h"

/* Bound of the pages of one role: there can not be more objects than one of each kind in each
 * slot. */
#define PAGES_MAX (SLOT_MAX * OBJ_COUNT)

static int add(struct inventory *inv, const uint64_t v[LIST_FIELDS])
{
	if (v[0] == 0 || v[0] >= OBJ_COUNT || v[1] >= SLOT_MAX)
		return 0;
	if (inv->n == inv->room) {
		size_t room = inv->room ? 2 * inv->room : 64;
		struct listed *more = reallocarray(inv->v, room, sizeof(*more));
		if (!more)
			return -1;
		inv->v = more;
		inv->room = room;
	}
	inv->v[inv->n++] = (struct listed){
		.kind = (enum object)v[0],
		.slot = (uint32_t)v[1],
		.generation = (uint32_t)v[2],
		.owner = (uint32_t)v[3],
		.ident = (int64_t)v[4],
	};
	return 0;
}

/* Append one page of the list.  Return: the next cursor, 0 at the end, or -1 with errno. */
static int64_t list_page(struct ctl *c, enum role_id role, uint64_t cursor, struct inventory *inv)
{
	struct request q = helper_request(OP_LIST, NULL, NULL);
	struct reply r;

	q.list.cursor = cursor;
	if (helper_call_role(c->helper, role, &q, &r) < 0)
		return -1;
	if (r.status != ST_OK) {
		errno = EPROTO;
		return -1;
	}
	for (size_t i = 0; i + LIST_FIELDS <= r.list.objects.n; i += LIST_FIELDS)
		if (add(inv, &r.list.objects.v[i]) < 0)
			return -1;
	return (int64_t)r.list.next;
}

static int list_role(struct ctl *c, enum role_id role, struct inventory *inv, struct error *e)
{
	int64_t cursor = 0;
	unsigned pages = 0;

	do {
		cursor = list_page(c, role, (uint64_t)cursor, inv);
	} while (cursor > 0 && ++pages < PAGES_MAX);
	if (cursor == 0)
		return 0;
	return error_set(e, FAIL_HOST, "reconcile", "the %s role does not list its objects: %s",
			 role_name(role),
			 cursor < 0 ? strerrordesc_np(errno) : "there is no end to them");
}

int inventory_take(struct ctl *c, struct inventory *inv, struct error *e)
{
	*inv = (struct inventory){ 0 };
	for (enum role_id role = ROLE_NET; role < ROLE_COUNT; role++)
		if (helper_fd(c->helper, role) >= 0 && list_role(c, role, inv, e) < 0)
			return -1;
	return 0;
}

void inventory_free(struct inventory *inv)
{
	free(inv->v);
	*inv = (struct inventory){ 0 };
}

unsigned inventory_claim(struct inventory *inv, const struct vm *vm)
{
	unsigned kinds = 0;

	for (size_t i = 0; i < inv->n; i++) {
		struct listed *l = &inv->v[i];
		if (l->slot != vm->slot || l->generation != vm->generation)
			continue;
		l->claimed = true;
		kinds |= 1u << l->kind;
	}
	return kinds;
}

int64_t inventory_ident(const struct inventory *inv, const struct vm *vm, enum object kind)
{
	for (size_t i = 0; i < inv->n; i++)
		if (inv->v[i].kind == kind && inv->v[i].slot == vm->slot &&
		    inv->v[i].generation == vm->generation)
			return inv->v[i].ident;
	return -1;
}

bool inventory_is_broken(const struct inventory *inv, const struct vm *vm, enum object kind)
{
	return (kind == OBJ_TAP || kind == OBJ_DM) && inventory_ident(inv, vm, kind) == 0;
}
