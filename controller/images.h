/* images.h - images and kernels as files: received as descriptors, copied, hashed, published by a rename. */
#ifndef BANGER_CONTROLLER_IMAGES_H
#define BANGER_CONTROLLER_IMAGES_H

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

#endif
