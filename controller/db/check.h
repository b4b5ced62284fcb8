/* check.h - the integrity check of a state database. */
#ifndef BANGER_CONTROLLER_DB_CHECK_H
#define BANGER_CONTROLLER_DB_CHECK_H

#include <sqlite3.h>

/**
 * db_integrity() - run PRAGMA integrity_check and foreign_key_check
 * @db:		any connection; nothing is changed
 * @wrong:	out: the first finding, one line; "" if the database is sound
 *
 * Return: 0, or -1 when the check could not run: @db has SQLite's error.
 */
int db_integrity(sqlite3 *db, char wrong[160]);

#endif
