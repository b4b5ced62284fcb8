/* volumes.h - the volumes that a new VM shall have, as its user writes them. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_VOLUMES_H
#define BANGER_CONTROLLER_LIFECYCLE_VOLUMES_H

#include "controller/ctl.h"

/**
 * vm_choose_volumes() - find the volumes of a new VM, and check where it mounts them
 * @text:	of call_vm_create: up to VOLUMES_MAX words, NAME:PATH or NAME:PATH:ro
 * @vm:		in: owner; out: the volumes, by path, so that a folder is mounted before what is in
 *		it
 *
 * Return: 0, or -1: FAIL_USAGE, FAIL_NOT_FOUND no such volume, FAIL_NOT_ALLOWED another user's.
 */
int vm_choose_volumes(struct ctl *c, const struct operation *o, const char *text, struct vm *vm,
		      struct error *e);

/* Write the volumes of a VM as vm_choose_volumes() takes them. */
void vm_format_volumes(const struct vm *vm, char *out, size_t size);

#endif
