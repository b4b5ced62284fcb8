/* group.c - makes several writes one durable commit, by a transaction around theirs. */
#include "controller/db/group.h"

#include "controller/db/connection.h"

int store_group_begin(struct store *s, struct error *e)
{
	return tx_begin(s, e);
}

int store_group_end(struct store *s, int r, struct error *e)
{
	return tx_leave(s, r, "state", e);
}
