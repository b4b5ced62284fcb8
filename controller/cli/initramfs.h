/* initramfs.h - makes a guest's initramfs: busybox, banger's own /init and a few drivers. */
#ifndef BANGER_CLI_INITRAMFS_H
#define BANGER_CLI_INITRAMFS_H

#include "proto/control.h"

/**
 * initramfs_build() - write the archive (cpio newc, gzip; padded with zeros to 512 bytes)
 * @fd:		an empty regular file
 * @modules:	the folder lib/modules/<release>, with modules.dep (depmod(8)) in it
 * @busybox:	a statically linked busybox for the guest
 *
 * Drivers become modules/<nn>-<name>.ko, uncompressed.  Their order is one in which they can be
 * inserted, so the guest needs neither modprobe nor dependency data.  The padding aligns an
 * uncompressed cpio that is appended later, as the kernel requires (init/initramfs.c,
 * unpack_to_rootfs()).  Equal input gives equal bytes.  Return: 0, or -1 with @e.
 */
int initramfs_build(int fd, const char *modules, const char *busybox, struct error *e);

#endif
