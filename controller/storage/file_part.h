/* file_part.h - a part of a file that is read in pieces, without its holes. */
#ifndef BANGER_CONTROLLER_STORAGE_FILE_PART_H
#define BANGER_CONTROLLER_STORAGE_FILE_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_part {
	uint64_t offset; /* where to look from */
	uint64_t end;    /* where to end, or UINT64_MAX */
	uint8_t *buf;
	size_t room; /* of @buf */
	/* out: bytes of the file; the first byte from @offset on that is not in a hole, at most
	 * @end and @size; how many bytes @buf has of there */
	uint64_t size, at;
	size_t n;
};

/* True when nothing is left behind what file_part_read() has read. */
bool file_part_is_last(const struct file_part *p);

/* Read a part of @fd.  Return: 0, or -1 with errno. */
int file_part_read(int fd, struct file_part *p);

#endif
