/* fact_rows.h - small facts, e.g. "kvm:<boot id>:<kernel release>" -> "yes". */
#ifndef BANGER_CONTROLLER_DB_FACT_ROWS_H
#define BANGER_CONTROLLER_DB_FACT_ROWS_H

#include "controller/ctl.h"

/* Read the fact of @key.  Return: 1 found, 0 not found, -1 on failure. */
int db_fact_get(struct db *s, const char *key, char *out, size_t size);

/* Write the fact of @key, in place of an earlier one.  Return: 0, or -1. */
int db_fact_set(struct db *s, const char *key, const char *value);

#endif
