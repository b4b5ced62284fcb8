/* seed.h - what a guest is told at boot: a second cpio behind the kernel's initramfs. */
#ifndef BANGER_CONTROLLER_STORAGE_SEED_H
#define BANGER_CONTROLLER_STORAGE_SEED_H

#include "controller/ctl.h"

/**
 * seed_write() - make <slot folder>/initrd: the kernel's initramfs, then our cpio (newc, uncompressed)
 *
 * The cpio holds seed/hostname, seed/network (shell assignments: address,
 * prefix, gateway, dns), seed/authorized_keys and seed/id.  The initramfs
 * applies them and hands over to the image's init.
 */
int seed_write(struct ctl *c, const struct vm *vm, struct error *e);

/* As ctl.seed: seed_ops, or a unit test's own. */
struct seed_ops {
	int (*write)(struct ctl *c, const struct vm *vm, struct error *e); /* seed_write() */
};
extern const struct seed_ops seed_ops;

#endif
