/* volume_rows.c - reads and writes the table of mounts: which VM has which volume. */
#include "controller/db/volume_rows.h"

#include <stdio.h>

#include "controller/db/connection.h"

int volume_rows_load(struct db *s, struct vm *vm)
{
	struct query q = query(s,
			       "SELECT o.name, o.digest, m.path, o.size, m.read_only FROM mounts m"
			       " JOIN volumes o ON o.id = m.volume WHERE m.vm = ?1"
			       " ORDER BY m.disk");
	int r = 0;

	q_blob(&q, vm->id, ID_LEN);
	for (vm->n_volumes = 0; vm->n_volumes < VOLUMES_MAX && (r = q_row(&q)) > 0;
	     vm->n_volumes++) {
		struct vm_volume *v = &vm->volumes[vm->n_volumes];
		q_get_text(&q, v->name, sizeof(v->name));
		q_get_text(&q, v->digest, sizeof(v->digest));
		q_get_text(&q, v->path, sizeof(v->path));
		v->size_mib = (uint32_t)(((uint64_t)q_get_int(&q) + (1 << 20) - 1) >> 20);
		v->read_only = q_get_int(&q) != 0;
	}
	return q_end(&q, r < 0 ? -1 : 0);
}

static int add(struct db *s, const struct vm *vm, uint32_t disk)
{
	const struct vm_volume *v = &vm->volumes[disk];
	int64_t found;
	struct query q = query(s, "INSERT INTO mounts(vm, disk, volume, path, read_only)"
				  " SELECT ?1, ?2, id, ?3, ?4 FROM volumes"
				  " WHERE owner = ?5 AND name = ?6 AND digest = ?7 RETURNING 1");

	q_blob(&q, vm->id, ID_LEN);
	q_int(&q, disk);
	q_text(&q, v->path);
	q_int(&q, v->read_only);
	q_int(&q, vm->owner);
	q_text(&q, v->name);
	q_text(&q, v->digest);
	if (q_one_int(&q, 0, &found) < 0)
		return -1;
	return found ? 0 : error_set(&s->why, FAIL_NOT_FOUND, v->name, "there is no such volume");
}

int volume_rows_add(struct db *s, const struct vm *vm)
{
	for (uint32_t i = 0; i < vm->n_volumes; i++)
		if (add(s, vm, i) < 0)
			return -1;
	return 0;
}

static int refuse(struct db *s, const struct vm_volume *v, const char *other, bool writes)
{
	(void)error_set(&s->why, FAIL_STATE, v->name, "the VM %s runs with it%s", other,
			writes ? ", and can write it" : "");
	error_hint(&s->why, "stop that VM first; several VMs can have a volume at a time if all "
			    "have it read-only (:ro)");
	return -1;
}

static int check(struct db *s, const struct vm *vm, const struct vm_volume *v)
{
	char other[64] = "";
	struct query q = query(s, "SELECT v.name, NOT m.read_only FROM volumes o"
				  " JOIN mounts m ON m.volume = o.id JOIN vms v ON v.id = m.vm"
				  " JOIN ledger l ON l.vm = m.vm AND l.kind = ?1"
				  " WHERE o.digest = ?2 AND m.vm <> ?3"
				  " AND NOT (m.read_only AND ?4) ORDER BY m.read_only LIMIT 1");

	q_text(&q, object_name(OBJ_VMM));
	q_text(&q, v->digest);
	q_blob(&q, vm->id, ID_LEN);
	q_int(&q, v->read_only);
	int r = q_row(&q);
	if (r > 0)
		q_get_text(&q, other, sizeof(other));
	const bool writes = r > 0 && q_get_int(&q) != 0;
	if (q_end(&q, r < 0 ? -1 : 0) < 0)
		return -1;
	return r == 0 ? 0 : refuse(s, v, other, writes);
}

int db_volumes_free(struct db *s, const struct vm *vm, struct error *e)
{
	int r = 0;

	read_begin(s);
	for (uint32_t i = 0; i < vm->n_volumes && r == 0; i++)
		r = check(s, vm, &vm->volumes[i]);
	return read_end(s, r, vm->name, e);
}
