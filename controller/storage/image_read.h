/* image_read.h - opens an image to be read in parts, for its export. */
#ifndef BANGER_CONTROLLER_STORAGE_IMAGE_READ_H
#define BANGER_CONTROLLER_STORAGE_IMAGE_READ_H

#include "controller/db/image_rows.h"

/**
 * image_open() - open an image
 * @name:	a reference of the caller's (db_artifact_find())
 * @digest:	the content that is meant
 *
 * The descriptor is closed with the request, so that a caller who stops in the middle holds
 * nothing.
 * Return: a descriptor, or -1: FAIL_NOT_FOUND, FAIL_STATE when the name has another content than
 * @digest.
 */
int image_open(struct ctl *c, const struct caller *caller, const char *name, const char *digest,
	       struct error *e);

#endif
