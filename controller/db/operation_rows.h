/* operation_rows.h - the rows of operations: start-up finds those that were interrupted, audits
 * find their caller. */
#ifndef BANGER_CONTROLLER_DB_OPERATION_ROWS_H
#define BANGER_CONTROLLER_DB_OPERATION_ROWS_H

#include "controller/ctl.h"

/* Write the row of an operation that begins.  Return: 0, or -1 with the error. */
int db_op_begin(struct db *s, const struct operation *o, const char *verb,
		const uint8_t *vm /* or NULL */, struct error *e);

/* Write the end of an operation.  @result: NULL: success.  Return: 0, or -1 with the error. */
int db_op_end(struct db *s, const struct operation *o,
	      const struct error *result /* NULL: success */, struct error *e);

/* Call @fn for each operation without an end.  @vm is NULL for an operation about no VM.  No lock
 * is held, so @fn may use the database.  Return: 0, or -1 when reading or @fn fails. */
int db_op_unfinished(struct db *s,
		     int (*fn)(void *arg, const uint8_t op[ID_LEN], const char *verb,
			       const uint8_t vm[ID_LEN]),
		     void *arg, struct error *e);

/* Check whether @c may read the audit of an operation: one of its own, one about its VM, or @c is
 * root.  Return: 1, 0, or -1 with the error. */
int db_op_visible(struct db *s, const struct caller *c, const char *op_hex, struct error *e);

#endif
