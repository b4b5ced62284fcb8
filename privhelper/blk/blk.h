/* blk.h - the role that makes loop devices and device-mapper snapshots: its state, which its files share. */
#ifndef BANGER_PRIVHELPER_BLK_BLK_H
#define BANGER_PRIVHELPER_BLK_BLK_H

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

#endif
