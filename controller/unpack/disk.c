/* disk.c - takes the root file system out of the image of a whole disk. */
#include "controller/unpack/disk.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "controller/unpack/partition.h"

#define WHAT "image"
#define BLOCK 65536u

int disk_open(struct disk *d, int fd, struct error *e)
{
	uint8_t magic[4] = { 0 };
	struct stat st;

	*d = (struct disk){ .fd = fd, .qcow2.fd = -1 };
	if (fstat(fd, &st) < 0 || read_some(fd, 0, magic, sizeof(magic)) < 0)
		return error_set(e, FAIL_GENERAL, WHAT, "%s", strerror(errno));
	d->size = (uint64_t)st.st_size;
	d->packed = memcmp(magic, QCOW2_MAGIC, sizeof(magic)) == 0;
	if (!d->packed)
		return 0;
	if (qcow2_open(&d->qcow2, fd, e) < 0)
		return -1;
	d->size = d->qcow2.size;
	return 0;
}

void disk_close(struct disk *d)
{
	if (d->packed)
		qcow2_close(&d->qcow2);
}

int disk_read(struct disk *d, uint64_t offset, uint8_t *buf, size_t n, struct error *e)
{
	if (offset > d->size || n > d->size - offset)
		return error_set(e, FAIL_USAGE, WHAT, "a part of the disk is missing");
	if (d->packed)
		return qcow2_read(&d->qcow2, offset, buf, n, e);
	ssize_t have = read_some(d->fd, offset, buf, n);
	if (have < 0)
		return error_set(e, FAIL_GENERAL, WHAT, "%s", strerror(errno));
	return (size_t)have == n ? 0
				 : error_set(e, FAIL_USAGE, WHAT, "it became shorter meanwhile");
}

static int write_block(int fd, uint64_t offset, const uint8_t *buf, size_t n, struct error *e)
{
	while (n > 0) {
		ssize_t now = pwrite(fd, buf, n, (off_t)offset);
		if (now < 0 && errno == EINTR)
			continue;
		if (now <= 0)
			return error_set(e, errno == ENOSPC ? FAIL_LIMIT : FAIL_GENERAL, WHAT, "%s",
					 strerror(errno));
		offset += (size_t)now;
		buf += now;
		n -= (size_t)now;
	}
	return 0;
}

static int copy(struct disk *d, const struct range *r, int output, struct error *e)
{
	static const uint8_t zeros[BLOCK];
	static uint8_t buf[BLOCK];

	for (uint64_t at = 0; at < r->len; at += BLOCK) {
		size_t n = r->len - at < BLOCK ? (size_t)(r->len - at) : BLOCK;
		if (disk_read(d, r->start + at, buf, n, e) < 0)
			return -1;
		if (memcmp(buf, zeros, n) != 0 && write_block(output, at, buf, n, e) < 0)
			return -1;
	}
	/* The file may end with a hole. */
	return ftruncate(output, (off_t)r->len) < 0
		       ? error_set(e, FAIL_GENERAL, WHAT, "%s", strerror(errno))
		       : 0;
}

static int copy_root(struct disk *d, int output, uint64_t most, struct error *e)
{
	struct range r;

	if (partition_root(d, &r, e) < 0)
		return -1;
	if (r.len <= most)
		return copy(d, &r, output, e);
	(void)error_set(e, FAIL_LIMIT, WHAT, "its root has %llu MiB, and %llu are allowed",
			(unsigned long long)(r.len >> 20), (unsigned long long)(most >> 20));
	error_hint(e, "--size %lluM", (unsigned long long)((r.len + (1u << 20) - 1) >> 20));
	return -1;
}

int disk_copy_root(int input, int output, uint64_t most, struct error *e)
{
	struct disk d;
	int r = disk_open(&d, input, e);

	if (r == 0)
		r = copy_root(&d, output, most, e);
	disk_close(&d);
	return r;
}
