/* file_part.c - reads a part of a file, for exports. */
#include "controller/storage/file_part.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* lseek(2): ENXIO: no data up to the end. */
int file_part_read(int fd, struct file_part *p)
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
