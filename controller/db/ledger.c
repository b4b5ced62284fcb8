/* ledger.c - the ledger: one row for each kernel object that a VM holds or may hold. */
#include "controller/db/ledger.h"

#include <stdio.h>
#include <string.h>

#include "controller/db/connection.h"
#include "controller/db/vm_rows.h"

static const char *const state_names[] = { "planned", "present", "releasing" };

static enum ledger_state state_parse(const char *name)
{
	if (strcmp(name, state_names[LEDGER_PRESENT]) == 0)
		return LEDGER_PRESENT;
	return strcmp(name, state_names[LEDGER_RELEASING]) == 0 ? LEDGER_RELEASING : LEDGER_PLANNED;
}

/* Return: the kind, or 0 for a name that only a newer program knows. */
static enum object kind_parse(const char *name)
{
	for (int k = 1; k < OBJ_COUNT; k++)
		if (strcmp(name, object_name((enum object)k)) == 0)
			return (enum object)k;
	return 0;
}

/* Insert or update a row.  A new row gets the last position; an existing row keeps its position. */
static int put_row(struct db *s, const struct vm *vm, const struct ledger_row *row, const char *op)
{
	struct query q = query(s, "INSERT INTO ledger(vm, kind, state, ident, op, error) VALUES "
				  "(?1, ?2, ?3, ?4, ?5, ?6)"
				  " ON CONFLICT(vm, kind) DO UPDATE SET state = excluded.state, "
				  "ident = excluded.ident,"
				  " op = excluded.op, error = excluded.error");
	q_blob(&q, vm->id, ID_LEN);
	q_text(&q, object_name(row->kind));
	q_text(&q, state_names[row->state]);
	q_int(&q, row->ident);
	q_text(&q, op);
	q_text(&q, row->error);
	return q_run(&q);
}

static int drop_row(struct db *s, const struct vm *vm, enum object kind)
{
	struct query q = query(s, "DELETE FROM ledger WHERE vm = ?1 AND kind = ?2");

	q_blob(&q, vm->id, ID_LEN);
	q_text(&q, object_name(kind));
	return q_run(&q);
}

int db_ledger_plan(struct db *s, const struct vm *vm, const enum object *kinds, size_t n,
		   const struct operation *o, struct error *e)
{
	const char *op = o ? o->hex : vm->op;

	if (tx_begin(s, e) < 0)
		return -1;
	int r = vm_row_write(s, vm, op);
	for (size_t i = 0; i < n && r == 0; i++) {
		const struct ledger_row row = { .kind = kinds[i],
						.state = LEDGER_PLANNED,
						.ident = -1 };
		/* An old row is deleted first, so that the new one gets the last position. */
		r = drop_row(s, vm, row.kind) < 0 ? -1 : put_row(s, vm, &row, op);
	}
	return tx_end(s, r, vm->name, e);
}

int db_ledger_present(struct db *s, const struct vm *vm, const struct ledger_row *rows, size_t n,
		      struct error *e)
{
	if (tx_begin(s, e) < 0)
		return -1;
	int r = vm_row_write(s, vm, vm->op);
	for (size_t i = 0; i < n && r == 0; i++) {
		struct ledger_row row = rows[i];
		row.state = LEDGER_PRESENT;
		row.error[0] = '\0';
		r = put_row(s, vm, &row, vm->op);
	}
	return tx_end(s, r, vm->name, e);
}

int db_ledger_rows(struct db *s, const uint8_t vm[ID_LEN], struct ledger_row rows[OBJ_COUNT],
		   size_t *n, struct error *e)
{
	char kind[16], state[16];
	int r = 0;

	*n = 0;
	read_begin(s);
	struct query q =
		query(s, "SELECT kind, state, ident, error FROM ledger WHERE vm = ?1 ORDER BY seq");
	q_blob(&q, vm, ID_LEN);
	while (*n < OBJ_COUNT && (r = q_row(&q)) > 0) {
		struct ledger_row *row = &rows[*n];
		q_get_text(&q, kind, sizeof(kind));
		q_get_text(&q, state, sizeof(state));
		row->kind = kind_parse(kind);
		row->state = state_parse(state);
		row->ident = q_get_int(&q);
		q_get_text(&q, row->error, sizeof(row->error));
		*n += row->kind != 0;
	}
	return read_end(s, q_end(&q, r < 0 ? -1 : 0), "ledger", e);
}

int db_ledger_settle(struct db *s, const struct vm *vm, const struct ledger_row *left, size_t n,
		     struct error *e)
{
	bool kept[OBJ_COUNT] = { false };

	if (tx_begin(s, e) < 0)
		return -1;
	int r = vm_row_write(s, vm, vm->op);
	for (size_t i = 0; i < n && r == 0; i++) {
		kept[left[i].kind] = true;
		r = put_row(s, vm, &left[i], vm->op);
	}
	for (int k = 1; k < OBJ_COUNT && r == 0; k++)
		if (!kept[k])
			r = drop_row(s, vm, (enum object)k);
	return tx_end(s, r, vm->name, e);
}
