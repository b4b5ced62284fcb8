/* storage.h - where a VM's root disk comes from: device-mapper snapshots, or copies. */
#ifndef BANGER_CONTROLLER_STORAGE_H
#define BANGER_CONTROLLER_STORAGE_H

#include "controller/ctl.h"

struct storage_driver {
	const char *name;    /* "dm-snapshot", "reflink", "copy" */
	enum disk_kind disk; /* what the VMM is told */
	/* The file in the slot's state folder: a sparse CoW store, or the disk itself.  At create. */
	int (*create)(struct ctl *c, const struct vm *vm, struct error *e);
	/* The kernel objects of a start, in order; none for copies. */
	const enum object *objects;
	size_t n_objects;
};

/* The driver that this host can run: reflink where files of state_dir share extents, else dm-snapshot where the blk role
 * can make one and the configuration wants it, else a sparse copy. */
const struct storage_driver *storage_choose(struct ctl *c);
/* A VM's is the one that made its files, runtime.storage, whatever this host would choose today.  NULL: there is none. */
const struct storage_driver *storage_by_name(const char *name);

#define STORAGE_OWNER "owner"
#define STORAGE_OLDER "its slot has the files of another VM: the state database is older than they are"

/* Whose files a slot has.  UNMARKED: a VM's of a banger that wrote no mark, or what is left of one.  UNKNOWN, with errno:
 * it can not be told now, so nothing may be done to them. */
enum storage_mark { STORAGE_EMPTY, STORAGE_UNMARKED, STORAGE_MARKED, STORAGE_UNKNOWN };
struct storage_owner {
	uint8_t vm[ID_LEN];
	uint32_t generation, uid;
};
enum storage_mark storage_owner(const struct config *c, uint32_t slot, struct storage_owner *o);

/* Are the files of its slot its own?  Return: 0, or -1 with FAIL_STATE: another VM's; FAIL_HOST: it can not be told. */
int storage_check_owner(const struct config *c, const struct vm *vm, struct error *e);

/* What the rest of the controller does to the files of a VM's disk, as ctl.disks: storage_ops, or a unit test's own. */
struct disk_ops {
	int (*remove)(struct ctl *c, uint32_t slot, struct error *e);                            /* storage_remove() */
	int (*open_part)(struct ctl *c, const struct vm *vm, unsigned part, struct error *e); /* storage_open_part() */
};
extern const struct disk_ops storage_ops;

/* Everything in the slot's state folder goes; absence is success.  At delete, and for a create that failed. */
int storage_remove(struct ctl *c, uint32_t slot, struct error *e);

/* Open a file of a VM's image or slot folder for the blk role: part 0 the image, 1 the CoW store.  Return: fd or -1. */
int storage_open_part(struct ctl *c, const struct vm *vm, unsigned part, struct error *e);

/* Give a file in a slot's folder the folder's SELinux level, where there are levels.  Return: 0, or -1. */
int storage_label(int dir, int fd, struct error *e);

/* Paths, all below config.state_dir and run_dir. */
void path_slot_state(const struct config *c, uint32_t slot, const char *file, char out[200]);
void path_slot_run(const struct config *c, uint32_t slot, const char *file, char out[200]);
void path_image(const struct config *c, const char *digest, char out[256]);               /* images/<digest>.ext4 */
void path_kernel(const struct config *c, const char *digest, const char *file, char out[256]); /* kernels/<digest>/<file> */

#endif
