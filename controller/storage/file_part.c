/* file_part.c - reads a part of a file, for exports. */
#include "controller/storage/file_part.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t end_of(const struct file_part *p)
{
	return p->end < p->size ? p->end : p->size;
}

bool file_part_is_last(const struct file_part *p)
{
	return p->at + p->n >= end_of(p);
}

/* lseek(2): ENXIO: no data up to the end. */
int file_part_read(int fd, struct file_part *p)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	p->size = (uint64_t)st.st_size;
	p->n = 0;
	const uint64_t end = p->at = end_of(p);
	if (p->offset >= end)
		return 0;
	off_t data = lseek(fd, (off_t)p->offset, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO ? 0 : -1;
	if ((uint64_t)data >= end)
		return 0;
	size_t room = end - (uint64_t)data < p->room ? (size_t)(end - (uint64_t)data) : p->room;
	ssize_t n = pread(fd, p->buf, room, data);
	if (n < 0)
		return -1;
	p->at = (uint64_t)data;
	p->n = (size_t)n;
	return 0;
}
