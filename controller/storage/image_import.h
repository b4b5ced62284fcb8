/* image_import.h - the way of an image or a kernel from descriptors to a named, synced file. */
#ifndef BANGER_CONTROLLER_STORAGE_IMAGE_IMPORT_H
#define BANGER_CONTROLLER_STORAGE_IMAGE_IMPORT_H

#include "controller/db/image_rows.h"

struct artifact_import {
	enum artifact_type type;
	const char *name;   /* the new one's, a label */
	const char *kernel; /* an image's: a reference of the caller's (db_artifact_find()); NULL
			       of a kernel */
	const struct artifact_origin *from; /* an image's; NULL of a kernel */
	/*
	 * An image's: a finished ext4, 1 MiB to max_disk_mib, copied sparse.  A kernel's: bzImage,
	 * initramfs, vmlinux, each up to 256 MiB.  Regular files, which the caller may change
	 * meanwhile; they stay the caller's.
	 */
	const int *fds;
	char digest[65]; /* out, also when the import failed after the copy */
};

/**
 * artifact_import() - check, copy, publish; each is a stage of @o
 *
 * Return: 0, or -1: FAIL_USAGE for what is no such file or name, FAIL_LIMIT, FAIL_STATE for a name
 * that is taken or an operation that was cancelled, FAIL_NOT_FOUND without the kernel, FAIL_HOST
 * without room.  Nothing is left then.
 */
int artifact_import(struct ctl *c, const struct operation *o, struct artifact_import *im,
		    struct error *e);

/**
 * image_tag() - give an image a second name
 * @image:	a reference of the caller's (db_artifact_find())
 * @name:	the new name, a label; the new row is the caller's
 *
 * Return: 0, or -1: FAIL_USAGE, FAIL_NOT_FOUND, FAIL_STATE for a name that is taken, FAIL_LIMIT.
 */
int image_tag(struct ctl *c, const struct operation *o, const char *image, const char *name,
	      struct error *e);

#endif
