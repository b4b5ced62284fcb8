/* open.h - opening and closing the state database. */
#ifndef BANGER_CONTROLLER_DB_OPEN_H
#define BANGER_CONTROLLER_DB_OPEN_H

#include "controller/ctl.h"

/* Open or create; migrates.  Refused and left as it is: a newer schema, another's (FAIL_STATE), a damaged one (FAIL_HOST).
 * @path may be ":memory:". */
struct store *store_open(const char *path, struct error *e);
void store_close(struct store *s);

#endif
