/* backup.h - copies of the state database, and the check that its file is in its place. */
#ifndef BANGER_CONTROLLER_DB_BACKUP_H
#define BANGER_CONTROLLER_DB_BACKUP_H

#include <sqlite3.h>

#include "controller/ctl.h"

/* Copy @db to the file @to, mode 0600.  @to is complete or does not exist.  Return: 0, or -1. */
int db_copy(sqlite3 *db, const char *to);

/**
 * db_in_place() - check that the open file is the one that the next start will open
 * @what:	subject of the error
 *
 * If the file was removed or replaced, the open connection still works, but its changes are lost
 * with it.
 * Return: 0, or -1 (FAIL_HOST).
 */
int db_in_place(struct db *s, const char *what, struct error *e);

/* Copy the open database to <path>.rescued, for an administrator to put back.  Return: 0, or -1
 * with the error. */
int db_rescue(struct db *s, struct error *e);

/* Copy the database to <path>.backup, if the last copy is older than @age_s seconds.  Return: 1
 * copied, 0 not due, -1 with the error. */
int db_backup(struct db *s, unsigned age_s, struct error *e);

/* True if the file of @db was removed from its name, or another file has the name (sqlite3.h,
 * SQLITE_FCNTL_HAS_MOVED). */
bool db_has_moved(sqlite3 *db);

#endif
