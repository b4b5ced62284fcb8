/* fdio_user.c - the reading half of fdio_write_all(), which no privileged process needs. */
#include "common/fdio.h"

#include <errno.h>
#include <unistd.h>

int fdio_read_all(int fd, void *buf, size_t len)
{
	char *p = buf;

	while (len) {
		ssize_t n = read(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0) {
			errno = EPIPE;
			return -1;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}
