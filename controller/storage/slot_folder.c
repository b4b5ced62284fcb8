/* slot_folder.c - makes, links and removes the files of a VM in the state folder of its slot. */
#include "controller/storage/slot_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "controller/paths.h"
#include "controller/storage/label.h"
#include "controller/storage/slot_owner.h"
#include "proto/slot.h"

int storage_fail(const char *what, struct error *e)
{
	int saved = errno;

	if (saved != ENOSPC && saved != EDQUOT)
		return error_set(e, FAIL_GENERAL, what, "%s", strerrordesc_np(saved));
	(void)error_set(e, FAIL_HOST, what, "no room left for it");
	error_hint(e, "free some space on the file system of the state directory");
	return -1;
}

int storage_slot_dir(const struct config *c, uint32_t slot, struct error *e)
{
	char path[200];

	path_slot_state(c, slot, "", path);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (errno != ENOENT)
		return storage_fail(path, e);
	(void)error_set(e, FAIL_HOST, path, "the folder of the slot is missing");
	error_hint(e, "restart banger: it makes the folders of all slots");
	return -1;
}

int storage_new_file(int dir, const char *name, mode_t mode, struct error *e)
{
	_cleanup_close_ int fd = openat(dir, name,
					O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0 || fchmod(fd, mode) < 0)
		return storage_fail(name, e);
	return storage_label(dir, fd, e) < 0 ? -1 : steal_fd(&fd);
}

int storage_open_image(const struct config *c, const struct vm *vm, uint64_t *size, struct error *e)
{
	char path[256];
	struct stat st;

	path_image(c, vm->image_digest, path);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return storage_fail(vm->image, e);
	*size = (uint64_t)st.st_size;
	return steal_fd(&fd);
}

/* Link the kernel into the slot's folder.  All VMs share the read-only file.  It exists as long as
 * a slot has a link to it, also after its deletion from kernels/. */
static int link_kernel(struct ctl *c, const struct vm *vm, int dir, struct error *e)
{
	static const char *const names[] = { "kernel", "vmlinux" };
	char path[256];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		path_kernel(&c->config, vm->kernel_digest, names[i], path);
		FAILPOINT("kernel.link");
		if (linkat(AT_FDCWD, path, dir, names[i], 0) < 0)
			return storage_fail(path, e);
	}
	return 0;
}

static int write_owner(const struct vm *vm, int dir, struct error *e)
{
	_cleanup_close_ int fd = storage_new_file(dir, STORAGE_OWNER, 0600, e);
	char id[ID_HEX];

	if (fd < 0)
		return -1;
	format_id(vm->id, id);
	if (dprintf(fd, "%s %u %u\n", id, vm->generation, vm->owner) < 0 || fdatasync(fd) < 0)
		return storage_fail(STORAGE_OWNER, e);
	return 0;
}

int storage_begin(struct ctl *c, const struct vm *vm, struct error *e)
{
	if (storage_remove(c, vm->slot, e) < 0)
		return -1;
	_cleanup_close_ int dir = storage_slot_dir(&c->config, vm->slot, e);
	if (dir < 0 || write_owner(vm, dir, e) < 0 || link_kernel(c, vm, dir, e) < 0)
		return -1;
	return steal_fd(&dir);
}

/* Remove all files of the folder, the owner file last.  Only the controller makes entries in it, so
 * it has no subfolders.  The folder is synced before the VM's row is deleted: no file without a row
 * reappears after a power cut.
 * @fd: of the folder, closed on return.  Return: 0, or -1 with errno. */
static int empty_folder(int fd)
{
	DIR *d = fdopendir(fd);
	struct dirent *entry;
	int r = 0, saved = 0;
	bool removed = false;

	if (!d) {
		saved = errno;
		(void)close(fd);
		errno = saved;
		return -1;
	}
	while ((entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    strcmp(entry->d_name, STORAGE_OWNER) == 0)
			continue;
		if (FAILPOINT_FAILS("files.unlink") ||
		    (unlinkat(dirfd(d), entry->d_name, 0) < 0 && errno != ENOENT)) {
			saved = errno;
			r = -1;
		}
		removed = true;
	}
	FAILPOINT("files.owner.unlink");
	if (r == 0 && unlinkat(dirfd(d), STORAGE_OWNER, 0) < 0 && errno != ENOENT) {
		saved = errno;
		r = -1;
	}
	if (r == 0 && removed && fsync(dirfd(d)) < 0) {
		saved = errno;
		r = -1;
	}
	(void)closedir(d);
	errno = saved;
	return r;
}

static void remove_entry(int dir, const char *name)
{
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		(void)unlinkat(dir, name, AT_REMOVEDIR);
}

/* Remove the API socket and those to the agent from the slot's run folder.  The VMM's uid owns that
 * folder, so an entry may be of any type; it is never opened or followed. */
static void remove_sockets(const struct config *c, uint32_t slot)
{
	char path[200], port[16];

	path_slot_run(c, slot, "", path);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return;
	remove_entry(dir, "api.sock");
	remove_entry(dir, AGENT_VSOCK);
	/* All that can be there: the number of ports may have changed since the start. */
	for (uint32_t i = 0; i < AGENT_PORTS_MAX; i++) {
		(void)snprintf(port, sizeof(port), AGENT_PORT, i);
		remove_entry(dir, port);
	}
}

int storage_remove(struct ctl *c, uint32_t slot, struct error *e)
{
	char path[200];

	remove_sockets(&c->config, slot);
	path_slot_state(&c->config, slot, "", path);
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 && errno == ENOENT)
		return 0;
	if (dir < 0 || empty_folder(dir) < 0)
		return storage_fail(path, e);
	return 0;
}
