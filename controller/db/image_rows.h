/* image_rows.h - images, kernels and volumes, together artifacts: named contents that stay while
 * used. */
#ifndef BANGER_CONTROLLER_DB_IMAGE_ROWS_H
#define BANGER_CONTROLLER_DB_IMAGE_ROWS_H

#include "controller/ctl.h"

/* The types are tables of one shape: a name of an owner for a content.  A volume is its owner's
 * alone; its guests write it, so its digest is a name that no other content ever has. */
enum artifact_type { ARTIFACT_IMAGE, ARTIFACT_KERNEL, ARTIFACT_VOLUME, ARTIFACT_TYPES };

/* What an image is made from, in its bringer's words: the fields of CALL_IMAGE_IMPORT. */
struct artifact_origin {
	char origin[256], config[65], layers[2048];
};

/* One row.  What looks a row up goes by @type, which the caller sets. */
struct artifact {
	enum artifact_type type;
	char name[64], digest[65], created[32];
	char kernel[64], kernel_digest[65]; /* an image's; "" of a kernel */
	uint32_t owner;                     /* root's images and kernels are everybody's to use */
	uint64_t size;                      /* bytes of all its files */
	/* VMs of an image or a volume, images of a kernel; of root's those of the asker alone */
	uint32_t used_by;
	char users[2048];            /* a volume's: the names of these VMs, separated by blanks */
	struct artifact_origin from; /* an image's; "" of a kernel */
};

/* Which rows a walk visits, for whom, and what it calls for each. */
struct artifact_walk {
	enum artifact_type type;
	const struct caller *asker;                     /* NULL: root */
	int (*fn)(void *arg, const struct artifact *a); /* negative: ends the walk */
	void *arg;
};

/* "image", "kernel" or "volume". */
const char *artifact_noun(enum artifact_type type);

/**
 * db_artifact_add() - insert a row
 * @a:		type, owner, name, digest, size; of an image also kernel and kernel_digest
 * @max:	how many of the type an owner may have
 *
 * Return: 0, or -1: FAIL_STATE when the owner has that name already, FAIL_LIMIT when the owner has
 * @max, FAIL_NOT_FOUND when an image's kernel has gone.
 */
int db_artifact_add(struct db *s, const struct artifact *a, uint32_t max, struct error *e);

/* What db_artifact_add() would say now of name and limit, before the work of a copy; @a: type,
 * owner, name. */
int db_artifact_check(struct db *s, const struct artifact *a, uint32_t max, struct error *e);

/**
 * db_artifact_find() - the row that a reference of @c means
 * @name:	a name of the caller's own, or of root's; for root also "uid/name"
 * @a:		in: type; out: the row
 *
 * Return: 0, or -1: FAIL_NOT_FOUND, also for what @c may not know of.
 */
int db_artifact_find(struct db *s, const struct caller *c, const char *name, struct artifact *a,
		     struct error *e);

/* Call @w->fn for each row that the asker may use, by name.  The database is not locked meanwhile.
 * Return: 0, or -1. */
int db_artifact_each(struct db *s, const struct artifact_walk *w, struct error *e);

/**
 * db_artifact_delete() - remove a row
 * @a:		as it was found: a name that has another content since is not removed
 * @last:	out: no other row has this digest, so the files may go
 *
 * Return: 0, or -1: FAIL_STATE while it is used, FAIL_NOT_FOUND when it has gone.
 */
int db_artifact_delete(struct db *s, const struct artifact *a, bool *last, struct error *e);

#endif
