/* ledger.h - the ledger: a row for each kernel object of a VM, written before a role makes the
 * object. */
#ifndef BANGER_CONTROLLER_DB_LEDGER_H
#define BANGER_CONTROLLER_DB_LEDGER_H

#include "controller/ctl.h"

/* PLANNED: the object may exist.  PRESENT: a role has made it.  RELEASING: its removal has
 * failed. */
enum ledger_state { LEDGER_PLANNED, LEDGER_PRESENT, LEDGER_RELEASING };

struct ledger_row {
	enum object kind;
	enum ledger_state state;
	int64_t ident;   /* identity as in LIST; -1: unknown */
	char error[128]; /* why the last removal failed; "" otherwise */
};

/* Each write below also writes the VM's row, in the same durable commit.  Return: 0, or -1 with the
 * error. */

/* Plan @n objects of @vm.  @o: the operation to name in the rows; NULL: vm->op. */
int db_ledger_plan(struct db *s, const struct vm *vm, const enum object *kinds, size_t n,
		   const struct operation *o, struct error *e);

/* Record @n objects of @vm as present, with their identities: the end of a start. */
int db_ledger_present(struct db *s, const struct vm *vm, const struct ledger_row *rows, size_t n,
		      struct error *e);

/* Read the rows of a VM, in order of making.  @n: out, their number. */
int db_ledger_rows(struct db *s, const uint8_t vm[ID_LEN], struct ledger_row rows[OBJ_COUNT],
		   size_t *n, struct error *e);

/* Record the result of a release: keep the @n rows @left, whose removal has failed, and delete all
 * others. */
int db_ledger_settle(struct db *s, const struct vm *vm, const struct ledger_row *left, size_t n,
		     struct error *e);

#endif
