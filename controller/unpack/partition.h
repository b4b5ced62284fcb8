/* partition.h - finds the root file system on a disk. */
#ifndef BANGER_UNPACK_PARTITION_H
#define BANGER_UNPACK_PARTITION_H

#include "controller/unpack/disk.h"

/* Bytes of a disk. */
struct range {
	uint64_t start, len;
};

/**
 * partition_root() - find the root file system on a disk
 * @out:	the whole disk, or a partition; a multiple of 512 bytes
 *
 * A disk that is an ext4 itself is taken whole.  Else the partition table is read: GPT (UEFI
 * specification, 5.3) with sectors of 512 or 4096 bytes, or the four entries of an MBR.  Of the
 * partitions that have a file system of Linux, one of the type "root (x86-64)" is the root, else
 * the largest one.
 * Return: 0, or -1 with @e: there is none, the root is no ext4, or the table is damaged.
 */
int partition_root(struct disk *d, struct range *out, struct error *e);

#endif
