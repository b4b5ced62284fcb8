/* blk.h - the role that makes loop devices and device-mapper snapshots; what its three files share. */
#ifndef BANGER_PRIVHELPER_BLK_H
#define BANGER_PRIVHELPER_BLK_H

#include <stdint.h>
#include <sys/types.h>

#include "privhelper/role/role.h"

/* Loop nodes in the role's root: indexes 0..BLK_LOOPS-1.  An index beyond is ST_LIMIT. */
#ifndef BANGER_FAILPOINTS
#define BLK_LOOPS 4096
#else
#define BLK_LOOPS 256 /* the crash test starts the role thousands of times */
#endif
#define BLK_SECTOR 512u

enum blk_part { PART_BASE, PART_COW, BLK_PARTS };

/* One loop of a slot.  index is -1 when there is none, fd is -1 once device-mapper holds it for us. */
struct blk_loop {
	int fd;
	int32_t index;
	uint64_t dev, ino; /* of the file behind it; dev as the kernel tells it in loop_info64 */
};

struct blk_slot {
	struct blk_loop part[BLK_PARTS];
};

struct blk_state {
	const struct config *config;
	int loop_control;    /* /dev/loop-control, or -1 */
	int dm_control;      /* /dev/mapper/control, or -1: no snapshots on this host */
	int partitions;      /* /proc/partitions: the loops that are bound, without opening any */
	uint32_t dm_major;
	unsigned loop_shift; /* loop index to minor: the module's max_part */
	dev_t store_dev;     /* the file system that images and CoW stores live on */
	struct blk_slot slots[SLOT_MAX];
};

/* Who made a loop, from its lo_file_name. */
struct blk_tag {
	bool base; /* then nothing below has a meaning */
	uint32_t slot, generation, owner;
};

/* A snapshot device as the kernel shows it. */
struct blk_dm {
	uint32_t slot, generation;
	bool active;               /* has a live table of the form we make, and is not suspended */
	bool invalid;              /* given up by the kernel: a write found no room, or an error, in the CoW store */
	int32_t base_index, cow_index; /* loops of the live table; -1 when there is none */
};

/* ---- blk_loop.c ---- */

/* The tag of @t into @out (64 bytes, LO_NAME_SIZE), and back.  Return: false when it is not one of ours. */
void blk_tag_format(const struct blk_tag *t, char out[64]);
bool blk_tag_parse(const char *name, struct blk_tag *out);

/**
 * blk_loop_descriptor() - is this a file that may be put behind a loop?
 * @size: out, in bytes
 * Regular, owned by the controller, on the state folder's file system, whole sectors, in bounds, and opened
 * for what @part needs.  Return: ST_OK or ST_DENIED.
 */
enum status blk_loop_descriptor(const struct blk_state *b, int fd, enum blk_part part, uint64_t *size);

/* Bind @fd (checked by the function above) for the VM of @q, or find what is already there.  Idempotent. */
enum status blk_loop_attach(struct blk_state *b, const struct request *q, enum blk_part part, int fd, uint64_t size);

/* Let go of the slot's loop; ST_BUSY while somebody else (a snapshot) keeps it bound. */
enum status blk_loop_detach(struct blk_state *b, uint32_t slot, enum blk_part part);

/* Close our descriptor of the loop and keep its number: device-mapper holds it now. */
void blk_loop_hand_over(struct blk_state *b, uint32_t slot);

/* Is the loop that we know for the slot still bound and still ours? */
bool blk_loop_bound(const struct blk_state *b, uint32_t slot, enum blk_part part);

/* Size in sectors of a loop that we hold open; 0 on failure. */
uint64_t blk_loop_sectors(const struct blk_loop *l);

/* Call @fn for each bound loop that carries a tag of ours.  Return: 0, or -1 with errno. */
int blk_loop_each(struct blk_state *b, void (*fn)(void *arg, const struct blk_tag *t, const struct blk_loop *l),
		  void *arg);

/* After a restart: loop @index is what the slot's snapshot reads from; remembered when it is a base of ours. */
void blk_loop_learn_base(struct blk_state *b, uint32_t slot, int32_t index);

uint32_t blk_loop_minor(const struct blk_state *b, int32_t index);

/* ---- blk_dm.c ---- */

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

/* ---- blk_root.c ---- */

/* Make slots/vda<i> for each slot, while still root.  Return: 0, or -1 (logged). */
int blk_make_disk_nodes(const struct blk_state *b);

/* Become alone: namespaces of our own and a root that holds nothing but loop nodes.  Return: 0, or -1 (logged). */
int blk_enter_root(const struct blk_state *b);

#endif
