/* stray_files.c - finds and removes files in slot folders that no row names. */
#include "controller/recovery/stray_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "controller/db/db.h"
#include "controller/storage/disk.h"
#include "controller/storage/slot_owner.h"
#include "controller/vmm/watch.h"

static void describe(uint32_t slot, enum storage_mark mark, const struct storage_owner *o,
		     char out[160])
{
	char id[ID_HEX];

	format_id(o->vm, id);
	if (mark == STORAGE_MARKED)
		(void)snprintf(
			out, 160,
			"slot %u: files of VM %s, generation %u, of uid %u, which no row names",
			slot, id, o->generation, o->uid);
	else
		(void)snprintf(out, 160, "slot %u: files of a VM that no row names", slot);
}

/* True if the slot's files belong to no VM, or to another VM than the slot's row names.
 * @used: out, a row names the slot, or the database can not be read. */
static bool is_stray(struct ctl *c, uint32_t slot, enum storage_mark mark,
		     const struct storage_owner *o, bool *used)
{
	struct error e = { 0 };
	uint8_t vm[ID_LEN];
	int r = db_slot_used(c->db, slot, vm, &e);

	*used = r != 0;
	if (mark == STORAGE_EMPTY || mark == STORAGE_UNKNOWN || r < 0)
		return false;
	return r == 0 || (mark == STORAGE_MARKED && memcmp(o->vm, vm, ID_LEN) != 0);
}

void stray_files_note(struct ctl *c)
{
	for (uint32_t slot = 0; slot < c->config.slots; slot++) {
		struct storage_owner o;
		struct error e = { 0 };
		char line[160];
		bool used;

		enum storage_mark mark = storage_owner(&c->config, slot, &o);
		if (mark == STORAGE_UNKNOWN)
			log_errno("slot %u: owner file", slot);
		if (!is_stray(c, slot, mark, &o, &used))
			continue;
		describe(slot, mark, &o, line);
		log_warn("%s; they stay until the slot is needed, or `banger host gc`", line);
		if (db_slot_floor(c->db, slot, o.generation, &e) < 0)
			log_error("slot %u: %s", slot, e.why);
	}
}

int stray_files_remove(struct ctl *c, bool dry_run, void (*report)(void *arg, const char *line),
		       void *arg)
{
	int failed = 0;

	for (uint32_t slot = 0; slot < c->config.slots; slot++) {
		struct storage_owner o;
		struct error e = { 0 };
		char line[160];
		bool used;

		enum storage_mark mark = storage_owner(&c->config, slot, &o);
		if (mark == STORAGE_UNKNOWN) {
			(void)snprintf(line, sizeof(line), "slot %u: its files can not be read: %s",
				       slot, strerrordesc_np(errno));
			report(arg, line);
			failed += !dry_run;
			continue;
		}
		/* The transaction keeps other threads from giving the slot to a VM meanwhile. */
		if (db_group_begin(c->db, &e) < 0)
			return -1;
		mark = storage_owner(&c->config, slot, &o);
		bool stray = is_stray(c, slot, mark, &o, &used) && !used;
		bool stays = stray && !dry_run && c->disks->remove(c, slot, &e) < 0;
		if (!used && !dry_run && c->watch)
			watch_discard(c->watch, slot); /* console and logs of the slot's last VM */
		(void)db_group_end(c->db, 0, &e);
		if (stays)
			log_error("slot %u: %s", slot, e.why);
		failed += stays;
		describe(slot, mark, &o, line);
		if (stray)
			report(arg, line);
	}
	return failed;
}
