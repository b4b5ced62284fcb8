/* open.h - opens and closes the state database. */
#ifndef BANGER_CONTROLLER_DB_OPEN_H
#define BANGER_CONTROLLER_DB_OPEN_H

#include "controller/ctl.h"

/**
 * db_open() - open the state database; create or migrate it if needed
 * @path:	the file, or ":memory:"
 *
 * A file that is refused is not changed.
 * Return: the database, or NULL: FAIL_STATE a newer schema or a foreign database, FAIL_HOST a
 * damaged file, FAIL_GENERAL.
 */
struct db *db_open(const char *path, struct error *e);

/* Close it, and mark the log as empty.  A database whose file was moved is copied first
 * (db_rescue()).  NULL does nothing. */
void db_close(struct db *s);

#endif
