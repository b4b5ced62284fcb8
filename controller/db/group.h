/* group.h - several writes as one durable commit. */
#ifndef BANGER_CONTROLLER_DB_GROUP_H
#define BANGER_CONTROLLER_DB_GROUP_H

#include "controller/ctl.h"

/**
 * store_group_begin(), store_group_end() - what is written between them is one durable commit, or nothing
 * @r:	negative: something between has failed, the caller has its error, and all is undone; @e is not touched
 *
 * The store is held in between: no waiting, no helper.  Return: 0, or -1; after a begin that fails no end is due.
 */
int store_group_begin(struct store *s, struct error *e);
int store_group_end(struct store *s, int r, struct error *e);

#endif
