/* image_kinds.h - what differs between the files of an image and those of a kernel. */
#ifndef BANGER_CONTROLLER_STORAGE_IMAGE_KINDS_H
#define BANGER_CONTROLLER_STORAGE_IMAGE_KINDS_H

#include "controller/db/image_rows.h"
#include "controller/storage/image_copy.h"

/* The prefix of names that no reader looks at: an import on its way, a kernel on its way out. */
#define ARTIFACT_TEMP "import-"
#define ARTIFACT_FILES_MAX 3u

/* What an import copies from. */
struct artifact_source {
	const struct operation *o;
	const int *fds;                     /* one for each of the kind's files; the caller's */
	uint64_t sizes[ARTIFACT_FILES_MAX]; /* bytes */
};

/* An image is a file, digest.ext4; a kernel is a folder, digest, of three files.  @dir: the kind's
 * folder, open. */
struct artifact_kind {
	const char *folder; /* below state_dir */
	const char *suffix; /* behind the digest */
	const char *user;   /* the noun of what uses one */
	struct file_demand files[ARTIFACT_FILES_MAX];
	size_t n_files;
	/* Copy @s to the new name @temp, synced.  Return: 0 and the digest, or -1; @temp may then
	 * be there in part. */
	int (*copy)(const struct artifact_source *s, int dir, const char *temp, char digest[65],
		    struct error *e);
	/* Give a finished @temp its last name, which is not there yet, and sync the folder. Return:
	 * 0, or -1. */
	int (*publish)(int dir, const char *temp, const char *digest, struct error *e);
	/* Remove @temp, whole or in part; absence is success. */
	void (*discard)(int dir, const char *temp);
	/* Remove what was published; absence is success, a failure goes to the log. */
	void (*retire)(int dir, const char *digest);
};

extern const struct artifact_kind artifact_kinds[ARTIFACT_TYPES];

#endif
