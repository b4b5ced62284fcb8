/* group.c - makes several writes one durable commit, by a transaction around theirs. */
#include "controller/db/group.h"

#include "controller/db/connection.h"

int db_group_begin(struct db *s, struct error *e)
{
	return tx_begin(s, e);
}

int db_group_end(struct db *s, int r, struct error *e)
{
	return tx_leave(s, r, "state", e);
}
