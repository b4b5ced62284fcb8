/* preflight.h - is there room, and is the state database in its place, before anything new is begun? */
#ifndef BANGER_CONTROLLER_DB_PREFLIGHT_H
#define BANGER_CONTROLLER_DB_PREFLIGHT_H

#include "controller/ctl.h"

#define ROOM_LEAST_MIB 64u /* below this, nothing new is begun */

/* Free space where the state is, in MiB.  Return: 0, or -1 with errno. */
int room_mib(const struct config *c, uint64_t *mib);

/* Is there room to begin something that writes?  Ends and deletes never ask.  Return: 0, or -1 (FAIL_HOST). */
int room_check(const struct config *c, const char *what, struct error *e);

/* Likewise, and is the state database in its place, so that the next start will know of it? */
int work_check(const struct ctl *c, const char *what, struct error *e);

#endif
