/* initramfs.h - the small archive that a guest's kernel starts with: busybox, our /init, a handful
 * of drivers. */
#ifndef BANGER_CLI_INITRAMFS_H
#define BANGER_CLI_INITRAMFS_H

#include "proto/control.h"

/**
 * initramfs_build() - write the archive (cpio newc, gzip; padded with zeros to 512 bytes)
 * @fd:		an empty regular file
 * @modules:	the folder lib/modules/<release>, with modules.dep (depmod(8)) in it
 * @busybox:	a statically linked busybox for the guest
 *
 * Drivers become modules/<nn>-<name>.ko, uncompressed, in the order in which
 * they can be inserted, so the guest needs no modprobe and no dependency data.
 * The padding keeps a cpio that is appended later at the alignment that the
 * kernel asks of uncompressed ones (init/initramfs.c, unpack_to_rootfs).
 * The bytes depend on the input only.  Return: 0, or -1 with @e.
 */
int initramfs_build(int fd, const char *modules, const char *busybox, struct error *e);

#endif
