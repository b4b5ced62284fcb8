/* blk.h - the state of the blk role, which makes loop devices and device-mapper snapshots. */
#ifndef BANGER_PRIVHELPER_BLK_BLK_H
#define BANGER_PRIVHELPER_BLK_BLK_H

#include <dirent.h>
#include <stdint.h>
#include <sys/types.h>

#include "privhelper/role/role.h"

/* The role's root has a node for each loop index below BLK_LOOPS.  A higher index is answered with
 * ST_LIMIT. */
#ifndef BANGER_FAILPOINTS
#define BLK_LOOPS 4096
#else
#define BLK_LOOPS 256 /* the crash test starts the role thousands of times */
#endif
#define BLK_SECTOR 512u

enum blk_part { PART_BASE, PART_COW, BLK_PARTS };

/* One loop of a slot. */
struct blk_loop {
	int fd;            /* keeps the loop bound; -1: the snapshot keeps it */
	int32_t index;     /* N of /dev/loopN; -1: the slot has no loop */
	uint64_t dev, ino; /* of the file behind it, as in struct loop_info64 */
};

struct blk_slot {
	struct blk_loop part[BLK_PARTS];
};

struct blk_state {
	const struct config *config;
	int loop_control; /* /dev/loop-control, or -1 */
	int dm_control;   /* /dev/mapper/control, or -1: no snapshots on this host */
	DIR *disks;       /* /sys/block, which shows the loops that exist */
	uint32_t dm_major;
	unsigned loop_shift; /* loop index to minor: the module's max_part */
	dev_t store_dev;     /* the file system of images and CoW stores */
	struct blk_slot slots[SLOT_MAX];
};

#endif
