/* dm.h - device-mapper snapshots, by the uuid of a slot and a generation. */
#ifndef BANGER_PRIVHELPER_BLK_DM_H
#define BANGER_PRIVHELPER_BLK_DM_H

#include "privhelper/blk/blk.h"

/* A snapshot device as the kernel shows it. */
struct blk_dm {
	uint32_t slot, generation;
	bool active;               /* has a live table of the form we make, and is not suspended */
	bool invalid;              /* given up by the kernel: a write found no room, or an error, in the CoW store */
	int32_t base_index, cow_index; /* loops of the live table; -1 when there is none */
};

/* What device-mapper has under the slot's name.  Return: 1 ours, 0 nothing or not ours, -1 with errno. */
int blk_dm_find(const struct blk_state *b, uint32_t slot, struct blk_dm *out);

/* Create, load, resume and read back "snapshot base cow P 8"; nothing is left on failure.  Return: ST_OK, ST_BUSY, ST_KERNEL. */
enum status blk_dm_create(const struct blk_state *b, uint32_t slot, uint32_t generation, uint64_t sectors);

/* Remove by uuid, so never another's device.  Return: ST_OK (also when absent), ST_BUSY, ST_KERNEL. */
enum status blk_dm_remove(const struct blk_state *b, uint32_t slot, uint32_t generation);

/* The uuid "BANGER-<slot>-<generation>" taken apart.  Return: false when it is not one of ours. */
bool blk_dm_uuid_parse(const char *uuid, uint32_t *slot, uint32_t *generation);

/* The live table's text, "7:<base> 7:<cow> P 8", as the kernel prints it.  Return: false when it is anything else. */
bool blk_dm_table_parse(const struct blk_state *b, const char *text, struct blk_dm *out);

#endif
