/* image_files.c - opens, locks and lists the folders of images, kernels and volumes, and marks in
 * them. */
#include "controller/storage/image_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "controller/storage/slot_folder.h"

#define DIGEST_HEX 64u

int artifact_folder(const struct config *c, enum artifact_type type, struct error *e)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/%s", c->state_dir, artifact_kinds[type].folder);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? storage_fail(path, e) : fd;
}

DIR *artifact_folder_list(const struct config *c, enum artifact_type type, struct error *e)
{
	int fd = artifact_folder(c, type, e);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0) {
		(void)storage_fail(artifact_kinds[type].folder, e);
		close_and_reset(&fd);
	}
	return d;
}

int artifact_folder_lock(int dir, struct error *e)
{
	int r;

	do
		r = flock(dir, LOCK_EX);
	while (r < 0 && errno == EINTR);
	return r < 0 ? storage_fail("lock", e) : 0;
}

bool artifact_is_there(int dir, enum artifact_type type, const char *digest)
{
	char name[80];
	struct stat st;

	(void)snprintf(name, sizeof(name), "%s%s", digest, artifact_kinds[type].suffix);
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* ---- markers ---- */

int artifact_mark(int dir, const char *digest, struct error *e)
{
	char name[96];

	(void)snprintf(name, sizeof(name), ARTIFACT_MARKER "%s", digest);
	if (FAILPOINT_FAILS("images.mark.before"))
		return storage_fail(name, e);
	_cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || fsync(dir) < 0)
		return storage_fail(name, e);
	FAILPOINT("images.mark.after");
	return 0;
}

void artifact_unmark(int dir, const char *digest)
{
	char name[96];

	(void)snprintf(name, sizeof(name), ARTIFACT_MARKER "%s", digest);
	FAILPOINT("images.unmark.before");
	(void)unlinkat(dir, name, 0);
	FAILPOINT("images.unmark.after");
}

bool artifact_is_marked(int dir, const char *digest)
{
	char name[96];

	(void)snprintf(name, sizeof(name), ARTIFACT_MARKER "%s", digest);
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- the list ---- */

static bool is_published(const char *name, enum artifact_type type, char digest[DIGEST_HEX + 1])
{
	if (strspn(name, "0123456789abcdef") != DIGEST_HEX ||
	    strcmp(name + DIGEST_HEX, artifact_kinds[type].suffix) != 0)
		return false;
	memcpy(digest, name, DIGEST_HEX);
	digest[DIGEST_HEX] = '\0';
	return true;
}

int artifact_files_each(const struct config *c, enum artifact_type type,
			void (*fn)(void *arg, int dir, const char *digest), void *arg,
			struct error *e)
{
	char digest[DIGEST_HEX + 1];
	struct dirent *entry;
	DIR *d = artifact_folder_list(c, type, e);

	if (!d)
		return -1;
	for (errno = 0; (entry = readdir(d)); errno = 0)
		if (is_published(entry->d_name, type, digest))
			fn(arg, dirfd(d), digest);
	int r = errno ? storage_fail(artifact_kinds[type].folder, e) : 0;
	(void)closedir(d);
	return r;
}
