/* schema.h - the schema of the state database, and its migrations. */
#ifndef BANGER_CONTROLLER_DB_SCHEMA_H
#define BANGER_CONTROLLER_DB_SCHEMA_H

#include <sqlite3.h>

#include "controller/ctl.h"

/* Return: the number of the schema that this program writes. */
int schema_known(void);

/* Check that this program can use the database.  Changes nothing.  Return: 0, or -1: FAIL_STATE a
 * newer schema, or a foreign database. */
int schema_check(sqlite3 *db, const char *path, struct error *e);

/* Migrate a database that schema_check() has accepted to schema_known(), after a copy to
 * <path>.v<version>. Return: 0, or -1 with the error. */
int schema_migrate(sqlite3 *db, const char *path, struct error *e);

/* Read one integer with the query @sql.  Return: 0, or -1 with SQLite's error in @db. */
int schema_number(sqlite3 *db, const char *sql, int *out);

#endif
