/* disk_read.c - reads the disk of a VM at rest, for its export. */
#include "controller/storage/disk_read.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "controller/storage/disk.h"
#include "controller/storage/slot_folder.h"

static int open_own(struct ctl *c, const struct vm *vm, const char *name, struct error *e)
{
	_cleanup_close_ int dir = storage_slot_dir(&c->config, vm->slot, e);

	if (dir < 0)
		return -1;
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? storage_fail(name, e) : fd;
}

int disk_open_read(struct ctl *c, const struct vm *vm, unsigned part, struct error *e)
{
	const struct storage_driver *d = storage_by_name(vm->runtime.storage);
	uint64_t size;

	if (!d || part >= DISK_PARTS || !d->parts[part])
		return error_set(e, FAIL_USAGE, vm->name, "its disk has no part %u", part);
	return d->parts[part][0] ? open_own(c, vm, d->parts[part], e)
				 : storage_open_image(&c->config, vm, &size, e);
}

int disk_sizes(struct ctl *c, const struct vm *vm, uint64_t sizes[DISK_PARTS], struct error *e)
{
	const struct storage_driver *d = storage_by_name(vm->runtime.storage);

	for (unsigned i = 0; i < DISK_PARTS; i++) {
		struct stat st;
		sizes[i] = 0;
		if (i > 0 && d && !d->parts[i])
			continue;
		_cleanup_close_ int fd = disk_open_read(c, vm, i, e);
		if (fd < 0)
			return -1;
		if (fstat(fd, &st) < 0)
			return storage_fail(vm->name, e);
		sizes[i] = (uint64_t)st.st_size;
	}
	return 0;
}
