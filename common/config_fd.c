/* config_fd.c - passes the configuration to other processes in a sealed memfd. */
#include "common/config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fdio.h"

/* With these seals no process can change the memfd any more (fcntl(2), file sealing). */
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int config_to_memfd(const struct config *c)
{
	_cleanup_close_ int fd = memfd_create("banger-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || fdio_write_all(fd, c, sizeof(*c)) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -1;
	return steal_fd(&fd);
}

int config_from_memfd(int fd, struct config *c)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || fstat(fd, &st) < 0)
		return -1;
	if ((seals & SEALS) != SEALS || st.st_size != (off_t)sizeof(*c) ||
	    pread(fd, c, sizeof(*c), 0) != (ssize_t)sizeof(*c) || c->magic != CONFIG_MAGIC ||
	    c->size != sizeof(*c)) {
		errno = EBADMSG;
		return -1;
	}
	return 0;
}
