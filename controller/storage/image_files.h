/* image_files.h - opens, locks and lists the folders of images, kernels and volumes, and marks in
 * them. */
#ifndef BANGER_CONTROLLER_STORAGE_IMAGE_FILES_H
#define BANGER_CONTROLLER_STORAGE_IMAGE_FILES_H

#include <dirent.h>

#include "controller/storage/image_kinds.h"

/* Return: a descriptor of the folder of that type, or -1. */
int artifact_folder(const struct config *c, enum artifact_type type, struct error *e);

/* The same as a stream, for readdir(3).  Return: the stream, or NULL. */
DIR *artifact_folder_list(const struct config *c, enum artifact_type type, struct error *e);

/* Keep publishing and removal apart until @dir is closed: flock(2), by open file, so it holds
 * between threads too. */
int artifact_folder_lock(int dir, struct error *e);

/* Is anything published under that digest?  What can not be asked is taken for there. */
bool artifact_is_there(int dir, enum artifact_type type, const char *digest);

/*
 * A marker is an empty file beside the digest's files: an import or a delete is between files and
 * row, or was when it was cut short.  artifact_settle() ends it, in the process that set it or at
 * the next start.
 */
#define ARTIFACT_MARKER "pending-"
int artifact_mark(int dir, const char *digest, struct error *e);
void artifact_unmark(int dir, const char *digest);
bool artifact_is_marked(int dir, const char *digest);

/**
 * artifact_files_each() - walk through what is published, whether a row names it or not
 * @fn:		called for each; @dir is open during the call
 *
 * Return: 0, or -1.
 */
int artifact_files_each(const struct config *c, enum artifact_type type,
			void (*fn)(void *arg, int dir, const char *digest), void *arg,
			struct error *e);

#endif
