/* disk.c - chooses the driver that makes the root disks of VMs. */
#include "controller/storage/disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/fdio.h"
#include "common/log.h"
#include "controller/helper/client.h"
#include "controller/storage/slot_folder.h"

static const struct storage_driver *const drivers[] = { &storage_dm, &storage_reflink,
							&storage_copy };

const struct storage_driver *storage_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (strcmp(drivers[i]->name, name) == 0)
			return drivers[i];
	return NULL;
}

/* True if the kernel has device-mapper.  Only the blk role can open its control node.  sysfs shows
 * the misc device of the node exactly when device-mapper is loaded (drivers/md/dm-ioctl.c,
 * misc_register); the role, which has opened the node, has caused it to load. */
static bool has_dm(struct ctl *c)
{
	struct stat st;

	return c->config.dm != DM_OFF && c->helper && helper_fd(c->helper, ROLE_BLK) >= 0 &&
	       stat("/sys/class/misc/device-mapper", &st) == 0;
}

/* True if a file system can share extents.  The only way to know is to try it
 * (ioctl_ficlone(2)). */
static bool has_reflink(const char *dir)
{
	static const char block[4096] = "banger";
	_cleanup_close_ int from = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	_cleanup_close_ int to = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return from >= 0 && to >= 0 && fdio_write_all(from, block, sizeof(block)) == 0 &&
	       ioctl(to, FICLONE, from) == 0;
}

const struct storage_driver *storage_choose(struct ctl *c)
{
	const struct storage_driver *d = &storage_copy;

	/* Reflinks are preferred: such a disk needs no privileged operation. */
	if (has_reflink(c->config.state_dir))
		d = &storage_reflink;
	else if (has_dm(c))
		d = &storage_dm;
	log_info("disks: %s", d->name);
	return d;
}

int storage_open_part(struct ctl *c, const struct vm *vm, unsigned part, struct error *e)
{
	const struct storage_driver *d = storage_by_name(vm->runtime.storage);

	if (!d || !d->open_part)
		return error_set(e, FAIL_GENERAL, "disk", "\"%s\" has no file for the blk role",
				 vm->runtime.storage);
	return d->open_part(c, vm, part, e);
}

const struct disk_ops storage_ops = { .remove = storage_remove, .open_part = storage_open_part };
