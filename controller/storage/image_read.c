/* image_read.c - reads a part of an image, for its export. */
#include "controller/storage/image_read.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/db/db.h"
#include "controller/paths.h"
#include "controller/storage/slot_folder.h"

int image_read(struct ctl *c, const struct caller *caller, const char *name, struct image_part *p,
	       struct error *e)
{
	struct artifact a = { .type = ARTIFACT_IMAGE };
	char path[256];

	if (db_artifact_find(c->db, caller, name, &a, e) < 0)
		return -1;
	if (strcmp(a.digest, p->digest) != 0)
		return error_set(e, FAIL_STATE, name, "it has another content meanwhile");
	path_image(&c->config, a.digest, path);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 || file_part_read(fd, &p->file) < 0 ? storage_fail(name, e) : 0;
}
