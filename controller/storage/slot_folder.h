/* slot_folder.h - files in the state folder of a slot, for the disk drivers and the seed. */
#ifndef BANGER_CONTROLLER_STORAGE_SLOT_FOLDER_H
#define BANGER_CONTROLLER_STORAGE_SLOT_FOLDER_H

#include "controller/ctl.h"

/* Fill in the error for errno: FAIL_HOST with a hint if the disk is full, else FAIL_GENERAL.
 * Return: -1. */
int storage_fail(const char *what, struct error *e);

/* Descriptors that these functions return are owned by the caller. */

/* Open the slot's state folder.  Return: a descriptor, or -1: FAIL_HOST it does not exist. */
int storage_slot_dir(const struct config *c, uint32_t slot, struct error *e);

/* Open the image of @vm for reading.  @size: out, in bytes.  Return: a descriptor, or -1 with the
 * error. */
int storage_open_image(const struct config *c, const struct vm *vm, uint64_t *size,
		       struct error *e);

/* Make a new file in @dir with exactly @mode, regardless of the umask.  It must not exist (O_EXCL).
 * Return: a descriptor, or -1 with the error. */
int storage_new_file(int dir, const char *name, mode_t mode, struct error *e);

/* Begin a create: empty the folder of @vm's slot, write the owner file, and link the kernel.
 * Return: a descriptor of the folder, or -1 with the error. */
int storage_begin(struct ctl *c, const struct vm *vm, struct error *e);

/* Remove all files in the slot's state folder, and sync the folder.  A folder that does not exist
 * counts as empty.  Return: 0, or -1 with the error. */
int storage_remove(struct ctl *c, uint32_t slot, struct error *e);

#endif
