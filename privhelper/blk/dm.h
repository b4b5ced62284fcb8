/* dm.h - creates, reads and removes device-mapper snapshots, which a uuid of slot and generation
 * names. */
#ifndef BANGER_PRIVHELPER_BLK_DM_H
#define BANGER_PRIVHELPER_BLK_DM_H

#include "privhelper/blk/blk.h"

/* One snapshot device, as the kernel shows it. */
struct blk_dm {
	uint32_t slot, generation;
	bool active; /* has a live table of our form, and is not suspended */
	/* dropped by the kernel: the CoW store was full or had an I/O error */
	bool invalid;
	int32_t base_index, cow_index; /* loops of the live table; -1: no such table */
};

/* Read the device of the slot's name into @out.  Return: 1; 0: there is none, or its uuid is not
 * the slot's; -1 with errno. */
int blk_dm_find(const struct blk_state *b, uint32_t slot, struct blk_dm *out);

/**
 * blk_dm_create() - create the slot's snapshot device of @sectors * 512 bytes, on the slot's two
 * loops
 *
 * The device is read back afterwards.  After an error it is removed again.
 * Return: ST_OK, ST_BUSY: the name or the minor is taken, or ST_KERNEL (logged).
 */
enum status blk_dm_create(const struct blk_state *b, uint32_t slot, uint32_t generation,
			  uint64_t sectors);

/* Remove the device by its uuid, so that no foreign device of that name is removed.
 * Return: ST_OK (also if it does not exist), ST_BUSY: it is open, or ST_KERNEL (logged). */
enum status blk_dm_remove(const struct blk_state *b, uint32_t slot, uint32_t generation);

/* Read slot and generation from "BANGER-<slot>-<generation>".  Return: true, or false for any other
 * text. */
bool blk_dm_uuid_parse(const char *uuid, uint32_t *slot, uint32_t *generation);

/* Read both loops from the text of a table, "7:<base> 7:<cow> P 8", as the kernel prints it, into
 * @out.
 * Return: true, or false for any other text. */
bool blk_dm_table_parse(const struct blk_state *b, const char *text, struct blk_dm *out);

#endif
