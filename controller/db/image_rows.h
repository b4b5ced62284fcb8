/* image_rows.h - images and kernels: content-addressed, immutable, undeletable while used. */
#ifndef BANGER_CONTROLLER_DB_IMAGE_ROWS_H
#define BANGER_CONTROLLER_DB_IMAGE_ROWS_H

#include "controller/ctl.h"

struct image {
	char name[64], digest[65], kernel[64], kernel_digest[65], created[32];
	uint32_t owner; /* root's are everybody's to use */
	uint64_t size;  /* bytes of the disk */
	uint32_t used_by; /* of root's: those of the asker's VMs, which alone are the asker's to know */
};
struct kernel {
	char name[64], digest[65], created[32];
	uint32_t owner;
	uint64_t size;
	uint32_t used_by;
};
/* FAIL_STATE: name taken; FAIL_LIMIT: the owner has @max already. */
int store_image_add(struct store *s, const struct image *i, uint32_t max, struct error *e);
/* What store_image_add() would say now of name and limit, before the work of a copy. */
int store_image_check(struct store *s, uint32_t owner, const char *name, uint32_t max, struct error *e);
int store_image_find(struct store *s, const struct caller *c, const char *name, struct image *i, struct error *e);
int store_image_each(struct store *s, const struct caller *c, int (*fn)(void *arg, const struct image *i),
		     void *arg, struct error *e);
/* FAIL_STATE while a VM uses it.  *last: no other row has this digest, so the files may go. */
int store_image_delete(struct store *s, const struct image *i, bool *last, struct error *e);
int store_kernel_add(struct store *s, const struct kernel *k, uint32_t max, struct error *e);
int store_kernel_check(struct store *s, uint32_t owner, const char *name, uint32_t max, struct error *e);
int store_kernel_find(struct store *s, const struct caller *c, const char *name, struct kernel *k, struct error *e);
int store_kernel_each(struct store *s, const struct caller *c, int (*fn)(void *arg, const struct kernel *k),
		      void *arg, struct error *e);
int store_kernel_delete(struct store *s, const struct kernel *k, bool *last, struct error *e);

#endif
