/* image_read.c - opens an image to be read in parts, for its export. */
#include "controller/storage/image_read.h"

#include <fcntl.h>
#include <string.h>

#include "controller/db/db.h"
#include "controller/paths.h"
#include "controller/storage/slot_folder.h"

int image_open(struct ctl *c, const struct caller *caller, const char *name, const char *digest,
	       struct error *e)
{
	struct artifact a = { .type = ARTIFACT_IMAGE };
	char path[256];

	if (db_artifact_find(c->db, caller, name, &a, e) < 0)
		return -1;
	if (strcmp(a.digest, digest) != 0)
		return error_set(e, FAIL_STATE, name, "it has another content meanwhile");
	path_image(&c->config, a.digest, path);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? storage_fail(name, e) : fd;
}
