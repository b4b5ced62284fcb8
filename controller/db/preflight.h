/* preflight.h - checks before a new operation: free space, and the state database in its place. */
#ifndef BANGER_CONTROLLER_DB_PREFLIGHT_H
#define BANGER_CONTROLLER_DB_PREFLIGHT_H

#include "controller/ctl.h"

/* free space below which no new operation begins; stops and deletes do */
#define ROOM_LEAST_MIB 64u

/* Read the free space of state_dir's file system in MiB.  Return: 0, or -1 with errno. */
int room_mib(const struct config *c, uint64_t *mib);

/* Check that at least ROOM_LEAST_MIB are free.  @what: subject of the error.  Return: 0, or -1
 * (FAIL_HOST). */
int room_check(const struct config *c, const char *what, struct error *e);

/* As room_check(), and check that the state database is in its place, so that the next start finds
 * the changes. */
int work_check(const struct ctl *c, const char *what, struct error *e);

#endif
