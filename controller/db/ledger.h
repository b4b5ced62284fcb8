/* ledger.h - one row a kernel object, written before the helper is asked. */
#ifndef BANGER_CONTROLLER_DB_LEDGER_H
#define BANGER_CONTROLLER_DB_LEDGER_H

#include "controller/ctl.h"

enum ledger_state { LEDGER_PLANNED, LEDGER_PRESENT, LEDGER_RELEASING };

struct ledger_row {
	enum object kind;
	enum ledger_state state;
	int64_t ident;    /* as in LIST; -1 unknown */
	char error[128];  /* why the last release failed; "" */
};

/* Plan @n objects of @vm and write its row (state, op), in one durable commit. */
int store_ledger_plan(struct store *s, const struct vm *vm, const enum object *kinds, size_t n,
		      const struct operation *o,
		      struct error *e);
/* The end of a start: every planned object of @vm is present with its identity, and the row is written; one commit. */
int store_ledger_present(struct store *s, const struct vm *vm, const struct ledger_row *rows, size_t n,
			 struct error *e);
/* The rows of a VM in the order of their making. */
int store_ledger_rows(struct store *s, const uint8_t vm[ID_LEN], struct ledger_row rows[OBJ_COUNT], size_t *n,
		      struct error *e);
/* After a release pass: drop the confirmed, keep the failed with their errors, and write the row; one commit. */
int store_ledger_settle(struct store *s, const struct vm *vm, const struct ledger_row *left, size_t n,
			struct error *e);

#endif
