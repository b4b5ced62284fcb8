/* bytes.h - numbers in the formats of disks, and reads at a place. */
#ifndef BANGER_COMMON_BYTES_H
#define BANGER_COMMON_BYTES_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

static inline uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static inline uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t le64(const uint8_t *p)
{
	return le32(p) | (uint64_t)le32(p + 4) << 32;
}

/* Read up to @n bytes of a file, all that it has there.  Return: their number, or -1 with errno. */
static inline ssize_t read_some(int fd, uint64_t place, uint8_t *buf, size_t n)
{
	size_t have = 0;
	ssize_t now = 1;

	while (have < n && now != 0) {
		now = pread(fd, buf + have, n - have, (off_t)(place + have));
		if (now < 0 && errno != EINTR)
			return -1;
		have += now > 0 ? (size_t)now : 0;
	}
	return (ssize_t)have;
}

#endif
