/* operation_rows.c - the rows of operations: begin, end, search for unfinished ones; old rows are
 * pruned. */
#include "controller/db/operation_rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "controller/db/connection.h"

#define OPERATIONS_KEPT 100000

static int prune_operations(struct db *s)
{
	struct query q = query(s, "DELETE FROM operations WHERE ended IS NOT NULL AND"
				  " seq <= (SELECT coalesce(max(seq), 0) FROM operations) - ?1");
	q_int(&q, OPERATIONS_KEPT);
	return q_run(&q);
}

int db_op_begin(struct db *s, const struct operation *o, const char *verb, const uint8_t *vm,
		struct error *e)
{
	char now[32];

	time_text(clock_wall_ns(), now);
	if (tx_begin(s, e) < 0)
		return -1;
	/* uid: the caller.  owner: the owner of the VM.  Both may read the audit later, when the VM
	 * may be deleted. */
	struct query q = query(
		s, "INSERT INTO operations(id, verb, vm, begun, uid, owner) VALUES (?1, ?2, ?3, ?4,"
		   " nullif(?5, -1), (SELECT owner FROM vms WHERE id = ?3))");
	q_blob(&q, o->id, ID_LEN);
	q_text(&q, verb);
	q_blob(&q, vm, ID_LEN);
	q_text(&q, now);
	q_int(&q, o->caller ? (int64_t)o->caller->uid : -1);
	/* Each begin prunes, so that a user who begins many operations can not fill the disk. */
	return tx_end(s, q_run(&q) < 0 || prune_operations(s) < 0 ? -1 : 0, verb, e);
}

int db_op_end(struct db *s, const struct operation *o, const struct error *result, struct error *e)
{
	char now[32], text[sizeof(result->what) + sizeof(result->why) + 2] = "";

	time_text(clock_wall_ns(), now);
	if (result)
		(void)snprintf(text, sizeof(text), "%s: %s", result->what, result->why);
	if (tx_begin(s, e) < 0)
		return -1;
	struct query q = query(s, "UPDATE operations SET ended = ?1, code = ?2, error = ?3 WHERE "
				  "id = ?4 AND ended IS NULL");
	q_text(&q, now);
	q_int(&q, result ? result->code : FAIL_NONE);
	q_text(&q, text);
	q_blob(&q, o->id, ID_LEN);
	return tx_end(s, q_run(&q), "operation", e);
}

struct unfinished {
	uint8_t id[ID_LEN], vm[ID_LEN];
	bool has_vm;
	char verb[32];
};

/* Return: 1 with @u filled in, 0 when the row was deleted or ended meanwhile, -1 on failure. */
static int unfinished_load(struct db *s, int64_t seq, struct unfinished *u, struct error *e)
{
	read_begin(s);
	struct query q = query(s, "SELECT id, vm, vm IS NOT NULL, verb FROM operations WHERE seq = "
				  "?1 AND ended IS NULL");
	q_int(&q, seq);
	int r = q_row(&q);
	if (r > 0) {
		q_get_id(&q, u->id);
		q_get_id(&q, u->vm);
		u->has_vm = q_get_int(&q);
		q_get_text(&q, u->verb, sizeof(u->verb));
	}
	return read_end(s, q_end(&q, r), "operations", e);
}

int db_op_unfinished(struct db *s,
		     int (*fn)(void *arg, const uint8_t op[ID_LEN], const char *verb,
			       const uint8_t vm[ID_LEN]),
		     void *arg, struct error *e)
{
	struct rowids ids;

	read_begin(s);
	struct query q = query(s, "SELECT seq FROM operations WHERE ended IS NULL ORDER BY seq");
	int r = read_end(s, rowids_take(&q, &ids), "operations", e);
	for (size_t i = 0; i < ids.n && r == 0; i++) {
		struct unfinished u = { 0 };
		int found = unfinished_load(s, ids.v[i], &u, e);
		if (found < 0 || (found > 0 && fn(arg, u.id, u.verb, u.has_vm ? u.vm : NULL) < 0))
			r = -1;
	}
	free(ids.v);
	return r;
}

int db_op_visible(struct db *s, const struct caller *c, const char *op_hex, struct error *e)
{
	uint8_t id[ID_LEN];
	int64_t n;

	if (access_sees_all(c))
		return 1;
	if (parse_id(op_hex, id) < 0)
		return 0;
	read_begin(s);
	struct query q = query(s, "SELECT count(*) FROM operations WHERE id = ?1"
				  " AND (access_vm(?2, uid) OR access_vm(?2, owner))");
	q_blob(&q, id, ID_LEN);
	q_int(&q, c->uid);
	if (read_end(s, q_one_int(&q, 0, &n), "operations", e) < 0)
		return -1;
	return n > 0;
}
