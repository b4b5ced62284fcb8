/* backup.h - copies of the state database, and whether it is still in its place. */
#ifndef BANGER_CONTROLLER_DB_BACKUP_H
#define BANGER_CONTROLLER_DB_BACKUP_H

#include <sqlite3.h>

#include "controller/ctl.h"

/* A copy of @db under @to, private, whole or not there at all.  Return: 0, or -1. */
int store_copy(sqlite3 *db, const char *to);

/**
 * store_in_place() - is what is written here still what the next start will open?
 *
 * A file that was removed, or another put in its place, goes on to be written to by whoever has it open, for nothing.
 * Return: 0, or -1 (FAIL_HOST).
 */
int store_in_place(struct store *s, const char *what, struct error *e);

/* All that it holds as <path>.rescued, for a person to put back.  Return: 0, or -1. */
int store_rescue(struct store *s, struct error *e);

/* A copy as <path>.backup, when the last one is older than @age_s.  Return: 1 made, 0 not due, -1. */
int store_backup(struct store *s, unsigned age_s, struct error *e);

/* Is the file of @db gone from its name, or another one there (SQLITE_FCNTL_HAS_MOVED)? */
bool store_has_moved(sqlite3 *db);

#endif
