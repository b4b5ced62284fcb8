/* seed.h - the seed of a guest: settings that its initramfs applies at boot. */
#ifndef BANGER_CONTROLLER_STORAGE_SEED_H
#define BANGER_CONTROLLER_STORAGE_SEED_H

#include "controller/ctl.h"

/**
 * seed_write() - make initrd in the slot's folder: the kernel's initramfs, then a cpio archive
 *		(newc, uncompressed)
 * @vm:		name, address and SSH key are written to the seed
 *
 * The archive has seed/hostname, seed/network (shell assignments: address, prefix, gateway, dns),
 * seed/authorized_keys, seed/id, seed/volumes (a line for each disk) and seed/entry.  The initramfs
 * applies them and executes the image's init.  All files of the VM are synced on return.
 * Return: 0, or -1: FAIL_USAGE the key is not one printable line, FAIL_STATE the VM has volumes and
 * its initramfs is older than they are (guest_init.h), FAIL_HOST, FAIL_GENERAL.
 */
int seed_write(struct ctl *c, const struct vm *vm, struct error *e);

/* The type of ctl.seed: seed_ops, or a table of a unit test. */
struct seed_ops {
	int (*write)(struct ctl *c, const struct vm *vm, struct error *e); /* seed_write() */
};
extern const struct seed_ops seed_ops;

#endif
