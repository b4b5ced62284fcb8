/* volume.c - links the files of volumes into the folder of the slot that uses them.
 *
 * A volume is one file below volumes/.  A start gives its VM a second name of that file, beside the
 * root disk; the end of the VM takes nothing back, since a link without a monitor is of no use to
 * any process, and the next start, or the deletion of the VM, removes it. */
#include "controller/storage/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "controller/paths.h"
#include "controller/storage/label.h"
#include "controller/storage/slot_folder.h"

#define LINK_NAME 16

static int missing(const struct vm_volume *v, const char *path, struct error *e)
{
	if (errno != ENOENT)
		return storage_fail(path, e);
	(void)error_set(e, FAIL_NOT_FOUND, v->name, "the file of this volume is missing: %s", path);
	error_hint(e, "put it back from a backup; or delete the VM, then the volume");
	return -1;
}

/* Give the file the level that the monitors of this start need.  Several slots share a read-only
 * file, so it gets the level of volumes/, which has no category. */
static int set_level(struct ctl *c, const struct vm_volume *v, int slot, int file, struct error *e)
{
	char path[256];

	if (!v->read_only)
		return storage_label(slot, file, e);
	path_volume(&c->config, "", path);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return dir < 0 ? storage_fail(path, e) : storage_label(dir, file, e);
}

static int link_one(struct ctl *c, const struct vm_volume *v, int slot, const char *name,
		    struct error *e)
{
	char path[256];

	path_volume(&c->config, v->digest, path);
	_cleanup_close_ int file = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (file < 0)
		return missing(v, path, e);
	if (set_level(c, v, slot, file, e) < 0)
		return -1;
	if (FAILPOINT_FAILS("volume.link.before") || fchmod(file, v->read_only ? 0444 : 0666) < 0 ||
	    linkat(AT_FDCWD, path, slot, name, 0) < 0)
		return storage_fail(path, e);
	return FAILPOINT_FAILS("volume.link.after") ? storage_fail(path, e) : 0;
}

int storage_link_volumes(struct ctl *c, const struct vm *vm, struct error *e)
{
	char name[LINK_NAME];

	if (!vm->n_volumes)
		return 0;
	_cleanup_close_ int slot = storage_slot_dir(&c->config, vm->slot, e);
	if (slot < 0)
		return -1;
	for (uint32_t i = 0; i < vm->n_volumes; i++) {
		(void)snprintf(name, sizeof(name), "vol%u", i);
		FAILPOINT("volume.unlink");
		if (unlinkat(slot, name, 0) < 0 && errno != ENOENT)
			return storage_fail(name, e);
		if (link_one(c, &vm->volumes[i], slot, name, e) < 0)
			return -1;
	}
	return 0;
}
