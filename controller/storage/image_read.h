/* image_read.h - reads a part of an image, for its export. */
#ifndef BANGER_CONTROLLER_STORAGE_IMAGE_READ_H
#define BANGER_CONTROLLER_STORAGE_IMAGE_READ_H

#include "controller/db/image_rows.h"
#include "controller/storage/file_part.h"

struct image_part {
	const char *digest; /* the content that is meant */
	struct file_part file;
};

/**
 * image_read() - read a part of an image
 * @name:	a reference of the caller's (db_artifact_find())
 *
 * The file is closed again, so that a caller who stops in the middle holds nothing.
 * Return: 0, or -1: FAIL_NOT_FOUND, FAIL_STATE when the name has another content than @p->digest.
 */
int image_read(struct ctl *c, const struct caller *caller, const char *name, struct image_part *p,
	       struct error *e);

#endif
