/* image_read.c - reads a part of an image, for its export. */
#include "controller/storage/image_read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/db/db.h"
#include "controller/paths.h"
#include "controller/storage/slot_folder.h"

/* lseek(2): ENXIO: no data up to the end. */
static int read_part(int fd, struct image_part *p)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	p->size = p->at = (uint64_t)st.st_size;
	p->n = 0;
	if (p->offset >= p->size)
		return 0;
	off_t data = lseek(fd, (off_t)p->offset, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO ? 0 : -1;
	ssize_t n = pread(fd, p->buf, p->room, data);
	if (n < 0)
		return -1;
	p->at = (uint64_t)data;
	p->n = (size_t)n;
	return 0;
}

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
	return fd < 0 || read_part(fd, p) < 0 ? storage_fail(name, e) : 0;
}
