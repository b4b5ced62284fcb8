/* disk_read.h - reads the disk of a VM at rest, for its export. */
#ifndef BANGER_CONTROLLER_STORAGE_DISK_READ_H
#define BANGER_CONTROLLER_STORAGE_DISK_READ_H

#include "controller/ctl.h"
#include "controller/storage/file_part.h"

/* The parts of a disk: one file, or the image of a snapshot and its CoW store. */
#define DISK_PARTS 2u

/* Read the size in bytes of each part; 0: the disk has no such part.  Return: 0, or -1:
 * FAIL_GENERAL, FAIL_HOST. */
int disk_sizes(struct ctl *c, const struct vm *vm, uint64_t sizes[DISK_PARTS], struct error *e);

/**
 * disk_read() - read a piece of a part of a disk
 * @part:	below DISK_PARTS
 *
 * The file is closed again, so that a reader who stops in the middle holds nothing.
 * Return: 0, or -1: FAIL_USAGE the disk has no such part, FAIL_GENERAL, FAIL_HOST.
 */
int disk_read(struct ctl *c, const struct vm *vm, unsigned part, struct file_part *p,
	      struct error *e);

#endif
