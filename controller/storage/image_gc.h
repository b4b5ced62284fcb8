/* image_gc.h - removal of the files of images, kernels and volumes that no row names. */
#ifndef BANGER_CONTROLLER_STORAGE_IMAGE_GC_H
#define BANGER_CONTROLLER_STORAGE_IMAGE_GC_H

#include "controller/db/image_rows.h"

/**
 * artifact_settle() - end what artifact_mark() began: without a row the files go, then the marker
 * goes
 * @dir:	the folder of the type, locked, or before any request is served
 *
 * The marker stays where the rows can not be read or a file can not be removed: the next start
 * settles again.
 */
void artifact_settle(struct ctl *c, int dir, enum artifact_type type, const char *digest);

/**
 * artifact_delete() - remove a row, and the files when it was the last of its content
 * @name:	a reference of the caller's (db_artifact_find())
 *
 * Return: 0, or -1: FAIL_NOT_ALLOWED for another owner's, FAIL_STATE while it is used.
 */
int artifact_delete(struct ctl *c, const struct operation *o, enum artifact_type type,
		    const char *name, struct error *e);

/* At start-up, before any request is served: remove what an import or a delete that was cut short
 * has left. */
int images_sweep(struct ctl *c, struct error *e);

/**
 * images_gc() - remove the images, kernels and volumes that no row names, which nothing but this
 * does after a database was lost
 * @dry_run:	only tell
 * @tell:	takes each finding as one line; no lock is held
 *
 * Return: how many could not be removed, or -1.
 */
int images_gc(struct ctl *c, bool dry_run, void (*tell)(void *arg, const char *line), void *arg,
	      struct error *e);

#endif
