/* schema.h - the schema of the state database, and its migrations. */
#ifndef BANGER_CONTROLLER_DB_SCHEMA_H
#define BANGER_CONTROLLER_DB_SCHEMA_H

#include <sqlite3.h>

#include "controller/ctl.h"

/* The schema that this program writes. */
int schema_known(void);

/* May this program use what is in @db?  Changes nothing.  FAIL_STATE: newer than we are, or foreign. */
int schema_check(sqlite3 *db, const char *path, struct error *e);

/* Bring the schema of @db, which was checked, up to this program's; with a backup first. */
int schema_migrate(sqlite3 *db, const char *path, struct error *e);

/* One integer of @db.  Return: 0, or -1. */
int schema_number(sqlite3 *db, const char *sql, int *out);

#endif
