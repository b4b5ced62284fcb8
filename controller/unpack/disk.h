/* disk.h - takes the root file system out of the image of a whole disk. */
#ifndef BANGER_UNPACK_DISK_H
#define BANGER_UNPACK_DISK_H

#include "controller/unpack/qcow2.h"

/* A disk as its guest would see it. */
struct disk {
	int fd; /* borrowed */
	uint64_t size;
	bool packed; /* it is a qcow2, else the file is the disk */
	struct qcow2 qcow2;
};

/* What the file is, its content says.  Return: 0, or -1 with @e; in both cases the caller calls
 * disk_close(). */
int disk_open(struct disk *d, int fd, struct error *e);
void disk_close(struct disk *d);
/* Read @n bytes from @offset on.  Return: 0, or -1 with @e, also if the range does not end within
 * the disk. */
int disk_read(struct disk *d, uint64_t offset, uint8_t *buf, size_t n, struct error *e);

/**
 * disk_copy_root() - copy the root file system of a disk
 * @input:	a regular file: a qcow2, or the bytes of the disk
 * @output:	an empty file
 * @most:	bytes that the file system may have
 *
 * See partition_root().  Blocks of zeros become holes.
 * Return: 0, or -1 with @e.
 */
int disk_copy_root(int input, int output, uint64_t most, struct error *e);

#endif
