/* group.h - groups several writes into one durable commit. */
#ifndef BANGER_CONTROLLER_DB_GROUP_H
#define BANGER_CONTROLLER_DB_GROUP_H

#include "controller/ctl.h"

/**
 * db_group_begin(), db_group_end() - make all writes in between one durable commit
 * @r:	result of the writes; negative: roll back, and leave @e untouched, since the caller has an
 *		error already
 *
 * The lock is held in between, so the caller must not wait, and must not send requests to roles.
 * Return: 0, or -1.  After a failed begin no end is due.
 */
int db_group_begin(struct db *s, struct error *e);
int db_group_end(struct db *s, int r, struct error *e);

#endif
