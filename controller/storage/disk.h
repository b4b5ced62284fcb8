/* disk.h - drivers for root disks of VMs: device-mapper snapshots, reflinks, copies. */
#ifndef BANGER_CONTROLLER_STORAGE_DISK_H
#define BANGER_CONTROLLER_STORAGE_DISK_H

#include "controller/ctl.h"

struct storage_driver {
	const char *name;    /* "dm-snapshot", "reflink", "copy" */
	enum disk_kind disk; /* the kind of disk that the VMM gets (proto/ops.h) */
	/* Make the files of a new VM in the slot's state folder: a sparse CoW store, or the disk
	 * itself.  Return: 0, or -1 with the error. */
	int (*create)(struct ctl *c, const struct vm *vm, struct error *e);
	/* Open a file that a start passes to the blk role: part 0 the image, 1 the CoW store.
	 * NULL: the driver has no such files.  Return: a descriptor, owned by the caller, or -1
	 * with the error. */
	int (*open_part)(struct ctl *c, const struct vm *vm, unsigned part, struct error *e);
	/* The files that a disk at rest consists of, by their names in the slot's state folder; "":
	 * the image; NULL: there is no further one.  A second file is the CoW store of the
	 * first. */
	const char *parts[2];
	/* The kernel objects that a start needs, in order of making.  Copies need none. */
	const enum object *objects;
	size_t n_objects;
};

/* Choose the driver for new VMs: reflink if files in state_dir can share extents, else dm-snapshot
 * if the kernel has it and the configuration allows it, else a sparse copy. */
const struct storage_driver *storage_choose(struct ctl *c);

/* Return: the driver of that name, or NULL.  A VM keeps the driver that made its files
 * (runtime.storage), also when storage_choose() has another result later. */
const struct storage_driver *storage_by_name(const char *name);

extern const struct storage_driver storage_dm;                    /* disk_dm.c */
extern const struct storage_driver storage_reflink, storage_copy; /* disk_copy.c */

/* Call open_part() of the driver that made @vm's files.  Return: a descriptor, owned by the caller,
 * or -1. */
int storage_open_part(struct ctl *c, const struct vm *vm, unsigned part, struct error *e);

/* The type of ctl.disks, by which other rooms handle a VM's files: storage_ops, or a table of a
 * unit test. */
struct disk_ops {
	/* storage_remove() */
	int (*remove)(struct ctl *c, uint32_t slot, struct error *e);
	/* storage_open_part() */
	int (*open_part)(struct ctl *c, const struct vm *vm, unsigned part, struct error *e);
};
extern const struct disk_ops storage_ops;

#endif
