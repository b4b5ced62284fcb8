/* operation_rows.h - an operation that is unfinished at start-up is rolled back (start) or forward (stop, kill, delete). */
#ifndef BANGER_CONTROLLER_DB_OPERATION_ROWS_H
#define BANGER_CONTROLLER_DB_OPERATION_ROWS_H

#include "controller/ctl.h"

int store_op_begin(struct store *s, const struct operation *o, const char *verb,
		   const uint8_t *vm /* or NULL */, struct error *e);
int store_op_end(struct store *s, const struct operation *o, const struct error *result /* NULL: success */,
		 struct error *e);
/* @vm of @fn is NULL when the operation had none.  No lock is held, @fn may call the store. */
int store_op_unfinished(struct store *s, int (*fn)(void *arg, const uint8_t op[ID_LEN], const char *verb,
			const uint8_t vm[ID_LEN]),
			void *arg, struct error *e);
/* May @c read the audit of this operation? (its own, or root).  Return: 1, 0, or -1. */
int store_op_visible(struct store *s, const struct caller *c, const char *op_hex, struct error *e);

#endif
