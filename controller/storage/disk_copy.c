/* disk_copy.c - disk drivers "reflink" (a file that shares extents with the image) and "copy" (a
 * sparse copy). */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/fdio.h"
#include "controller/storage/disk.h"
#include "controller/storage/slot_folder.h"

#define COPY_BLOCK (1 << 20)

/* Copy by reads and writes.  It is needed where copy_file_range(2) fails with EXDEV, EOPNOTSUPP,
 * ENOSYS or EINVAL. */
static int copy_by_hand(int from, int to, off_t at, off_t end)
{
	_cleanup_free_ char *buf = malloc(COPY_BLOCK);

	if (!buf)
		return -1;
	while (at < end) {
		size_t want = end - at < COPY_BLOCK ? (size_t)(end - at) : COPY_BLOCK;
		ssize_t n = pread(from, buf, want, at);
		if (n < 0)
			return -1;
		if (n == 0) {
			errno = EIO;
			return -1;
		}
		if (lseek(to, at, SEEK_SET) < 0 || fdio_write_all(to, buf, (size_t)n) < 0)
			return -1;
		at += n;
	}
	return 0;
}

static int copy_extent(int from, int to, off_t at, off_t end)
{
	while (at < end) {
		off_t in = at, out = at;
		ssize_t n = copy_file_range(from, &in, to, &out, (size_t)(end - at), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == ENOSPC ? -1 : copy_by_hand(from, to, at, end);
		at += n;
	}
	return 0;
}

/* Copy the data and leave holes as holes (lseek(2), SEEK_DATA; ENXIO: no data up to the end). */
static int copy_data(int from, int to, off_t size)
{
	off_t at = 0;

	while (at < size) {
		off_t data = lseek(from, at, SEEK_DATA);
		if (data < 0)
			return errno == ENXIO ? 0 : -1;
		off_t end = lseek(from, data, SEEK_HOLE);
		if (end < 0 || copy_extent(from, to, data, end) < 0)
			return -1;
		at = end;
	}
	return 0;
}

static int fill(int image, int disk, uint64_t size, const struct vm *vm, bool reflink)
{
	uint64_t wanted = (uint64_t)vm->disk_mib << 20;

	if (wanted < size)
		wanted = size;
	if (ftruncate(disk, (off_t)wanted) < 0)
		return -1;
	if (!(reflink && ioctl(disk, FICLONE, image) == 0) &&
	    copy_data(image, disk, (off_t)size) < 0)
		return -1;
	/* FICLONE has set the size to that of the image.  The guest grows its file system to the
	 * new size. */
	if (ftruncate(disk, (off_t)wanted) < 0)
		return -1;
	return fdatasync(disk);
}

static int create(struct ctl *c, const struct vm *vm, bool reflink, struct error *e)
{
	uint64_t size;
	_cleanup_close_ int image = storage_open_image(&c->config, vm, &size, e);

	if (image < 0)
		return -1;
	_cleanup_close_ int dir = storage_begin(c, vm, e);
	if (dir < 0)
		return -1;
	_cleanup_close_ int disk = storage_new_file(dir, "disk", 0660, e);
	if (disk < 0)
		return -1;
	if (FAILPOINT_FAILS("disk.fill"))
		return storage_fail("disk", e);
	return fill(image, disk, size, vm, reflink) < 0 ? storage_fail("disk", e) : 0;
}

static int create_reflink(struct ctl *c, const struct vm *vm, struct error *e)
{
	return create(c, vm, true, e);
}

static int create_copy(struct ctl *c, const struct vm *vm, struct error *e)
{
	return create(c, vm, false, e);
}

const struct storage_driver storage_reflink = {
	.name = "reflink", .disk = DISK_FILE, .create = create_reflink, .parts = { "disk" }
};
const struct storage_driver storage_copy = {
	.name = "copy", .disk = DISK_FILE, .create = create_copy, .parts = { "disk" }
};
