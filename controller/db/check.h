/* check.h - what can be said of a state database on a connection of one's own. */
#ifndef BANGER_CONTROLLER_DB_CHECK_H
#define BANGER_CONTROLLER_DB_CHECK_H

#include <sqlite3.h>

/* Is it sound in itself (PRAGMA integrity_check, foreign_key_check)?  "": it is; else what is wrong first.
 * Return: 0, or -1 when even that can not be said: SQLite's error is in @db. */
int store_integrity(sqlite3 *db, char wrong[160]);

#endif
