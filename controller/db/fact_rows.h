/* fact_rows.h - small facts, e.g. "kvm:<boot id>:<kernel release>" -> "yes". */
#ifndef BANGER_CONTROLLER_DB_FACT_ROWS_H
#define BANGER_CONTROLLER_DB_FACT_ROWS_H

#include "controller/ctl.h"

int store_fact_get(struct store *s, const char *key, char *out, size_t size); /* 1 found, 0 not, -1 */
int store_fact_set(struct store *s, const char *key, const char *value);

#endif
