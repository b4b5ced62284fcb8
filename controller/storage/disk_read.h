/* disk_read.h - reads the disk of a VM at rest, for its export. */
#ifndef BANGER_CONTROLLER_STORAGE_DISK_READ_H
#define BANGER_CONTROLLER_STORAGE_DISK_READ_H

#include "controller/ctl.h"

/* The parts of a disk: one file, or the image of a snapshot and its CoW store. */
#define DISK_PARTS 2u

/* Read the size in bytes of each part; 0: the disk has no such part.  Return: 0, or -1:
 * FAIL_GENERAL, FAIL_HOST. */
int disk_sizes(struct ctl *c, const struct vm *vm, uint64_t sizes[DISK_PARTS], struct error *e);

/**
 * disk_open_read() - open a part of a disk to be read
 * @part:	below DISK_PARTS
 *
 * The descriptor is closed with the request, so that a reader who stops in the middle holds
 * nothing.
 * Return: a descriptor, or -1: FAIL_USAGE the disk has no such part, FAIL_GENERAL, FAIL_HOST.
 */
int disk_open_read(struct ctl *c, const struct vm *vm, unsigned part, struct error *e);

#endif
