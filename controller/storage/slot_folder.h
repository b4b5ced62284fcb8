/* slot_folder.h - the files of a VM in the state folder of its slot, for the disk drivers and the seed. */
#ifndef BANGER_CONTROLLER_STORAGE_SLOT_FOLDER_H
#define BANGER_CONTROLLER_STORAGE_SLOT_FOLDER_H

#include "controller/ctl.h"

/* FAIL_GENERAL with errno's words; FAIL_HOST with a hint when there is no room.  Return: -1. */
int storage_fail(const char *what, struct error *e);

/* The slot's state folder.  Return: a descriptor, or -1: FAIL_HOST when it is not there. */
int storage_slot_dir(const struct config *c, uint32_t slot, struct error *e);

/* The image of @vm, read-only, and its size.  Return: a descriptor, or -1. */
int storage_open_image(const struct config *c, const struct vm *vm, uint64_t *size, struct error *e);

/* A new file of exactly that mode, whatever the umask; it is in nobody's way (O_EXCL).  Return: a descriptor, or -1. */
int storage_new_file(int dir, const char *name, mode_t mode, struct error *e);

/* Empty the folder of @vm's slot and link its kernel there: how every create begins.  Return: the folder, or -1. */
int storage_begin(struct ctl *c, const struct vm *vm, struct error *e);

/* Everything in the slot's state folder goes; absence is success.  At delete, and for a create that failed. */
int storage_remove(struct ctl *c, uint32_t slot, struct error *e);

#endif
