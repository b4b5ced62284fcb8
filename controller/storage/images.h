/* images.h - images and kernels as files: received as descriptors, copied, hashed, published by a rename. */
#ifndef BANGER_CONTROLLER_STORAGE_IMAGES_H
#define BANGER_CONTROLLER_STORAGE_IMAGES_H

#include "controller/ctl.h"

/* Copy a finished ext4 from @fd (a regular file, 1 MiB to max_disk_mib; its superblock magic is checked), sparse. */
int image_import(struct ctl *c, struct operation *o, const char *name, const char *kernel, int fd,
		 char digest[65], struct error *e);
int image_delete(struct ctl *c, struct operation *o, const char *name, struct error *e);
/* fds: bzImage, initramfs, vmlinux. */
int kernel_import(struct ctl *c, struct operation *o, const char *name, const int fds[3], char digest[65],
		  struct error *e);
int kernel_delete(struct ctl *c, struct operation *o, const char *name, struct error *e);

/* At start-up, before any request is served: whatever an import or a delete that was cut short has left goes. */
int images_sweep(struct ctl *c, struct error *e);

/* Call @fn for each published image (@kernels: kernel) that is there, whether a row names it or not; @marked: an import or
 * a delete is at work on it, or was cut short.  Return: 0, or -1 with errno. */
int images_each(const struct config *c, bool kernels, void (*fn)(void *arg, const char *digest, bool marked), void *arg);

/**
 * images_gc() - remove the images and kernels that no row names: a lost database leaves them to a person
 * @dry_run:	only tell
 * @tell:	each finding as one line
 * Return: how many could not be removed, or -1.
 */
int images_gc(struct ctl *c, bool dry_run, void (*tell)(void *arg, const char *line), void *arg, struct error *e);

#endif
