/* disk.h - where a VM's root disk comes from: device-mapper snapshots, or copies. */
#ifndef BANGER_CONTROLLER_STORAGE_DISK_H
#define BANGER_CONTROLLER_STORAGE_DISK_H

#include "controller/ctl.h"

struct storage_driver {
	const char *name;    /* "dm-snapshot", "reflink", "copy" */
	enum disk_kind disk; /* what the VMM is told */
	/* The file in the slot's state folder: a sparse CoW store, or the disk itself.  At create. */
	int (*create)(struct ctl *c, const struct vm *vm, struct error *e);
	/* Open a file for the blk role, at a start: part 0 the image, 1 the CoW store.  NULL: the role opens none.
	 * Return: a descriptor, or -1. */
	int (*open_part)(struct ctl *c, const struct vm *vm, unsigned part, struct error *e);
	/* The kernel objects of a start, in order; none for copies. */
	const enum object *objects;
	size_t n_objects;
};

/* The driver that this host can run: reflink where files of state_dir share extents, else dm-snapshot where the blk role
 * can make one and the configuration wants it, else a sparse copy. */
const struct storage_driver *storage_choose(struct ctl *c);
/* A VM's is the one that made its files, runtime.storage, whatever this host would choose today.  NULL: there is none. */
const struct storage_driver *storage_by_name(const char *name);

extern const struct storage_driver storage_dm;                      /* disk_dm.c */
extern const struct storage_driver storage_reflink, storage_copy; /* disk_copy.c */

/* Ask the driver that made @vm's files for its open_part().  Return: a descriptor, or -1. */
int storage_open_part(struct ctl *c, const struct vm *vm, unsigned part, struct error *e);

/* What the rest of the controller does to the files of a VM's disk, as ctl.disks: storage_ops, or a unit test's own. */
struct disk_ops {
	int (*remove)(struct ctl *c, uint32_t slot, struct error *e);                            /* storage_remove() */
	int (*open_part)(struct ctl *c, const struct vm *vm, unsigned part, struct error *e); /* storage_open_part() */
};
extern const struct disk_ops storage_ops;

#endif
