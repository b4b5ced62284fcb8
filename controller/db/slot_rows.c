/* slot_rows.c - gives slots to VMs and takes them back; each VM of a slot has a higher
 * generation. */
#include "controller/db/slot_rows.h"

#include "controller/db/connection.h"

#define FLOOR_STEP_MOST 10000000 /* generations */

/* Slots that were never used come first, then the slot that has been free for the longest time. */
int slot_take(struct db *s, struct vm *vm, const struct config *config)
{
	int64_t slot, generation;
	struct query q = query(
		s,
		"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)"
		" SELECT n.i FROM n LEFT JOIN slots s ON s.slot = n.i"
		" WHERE coalesce(s.generation, 0) < 4294967295 AND"
		" NOT EXISTS (SELECT 1 FROM vms v WHERE v.slot = n.i)"
		" ORDER BY coalesce(s.freed, 0), n.i LIMIT 1");
	q_int(&q, config->slots);
	if (q_one_int(&q, -1, &slot) < 0)
		return -1;
	if (slot < 0)
		return error_set(&s->why, FAIL_LIMIT, vm->name,
				 "all %u slots of this host are in use", config->slots);
	struct query up = query(s, "INSERT INTO slots(slot, generation) VALUES (?1, 1)"
				   " ON CONFLICT(slot) DO UPDATE SET generation = generation + 1 "
				   "RETURNING generation");
	q_int(&up, slot);
	if (q_one_int(&up, 0, &generation) < 0)
		return -1;
	vm->slot = (uint32_t)slot;
	vm->generation = (uint32_t)generation;
	return 0;
}

int slot_give(struct db *s, int64_t slot)
{
	struct query freed = query(s, "UPDATE slots SET freed = (SELECT max(freed) + 1 FROM slots)"
				      " WHERE slot = ?1");
	q_int(&freed, slot);
	return q_run(&freed);
}

int db_slot_floor(struct db *s, uint32_t slot, uint32_t generation, struct error *e)
{
	if (tx_begin(s, e) < 0)
		return -1;
	/* The step is bounded, so that a wrong generation from a file or the kernel can not use up
	 * all generations. */
	struct query q = query(s, "INSERT INTO slots(slot, generation, freed)"
				  " SELECT ?1, ?2, (SELECT coalesce(max(freed), 0) + 1 FROM slots)"
				  " WHERE ?2 <= ?3 + coalesce((SELECT generation FROM slots WHERE "
				  "slot = ?1), 0) ON CONFLICT(slot)"
				  " DO UPDATE SET generation = max(generation, "
				  "excluded.generation), freed = excluded.freed");
	q_int(&q, slot);
	q_int(&q, generation);
	q_int(&q, FLOOR_STEP_MOST);
	return tx_end(s, q_run(&q), "slots", e);
}

int db_slot_used(struct db *s, uint32_t slot, uint8_t vm[ID_LEN], struct error *e)
{
	read_begin(s);
	struct query q = query(s, "SELECT id FROM vms WHERE slot = ?1");
	q_int(&q, slot);
	int r = q_row(&q);
	if (r > 0)
		q_get_id(&q, vm);
	return read_end(s, q_end(&q, r), "slots", e);
}
