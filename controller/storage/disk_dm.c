/* disk_dm.c - disk driver "dm-snapshot": a device-mapper snapshot of the image.
 *
 * The controller makes the CoW store, a sparse file, at create.  The blk role makes loop devices
 * and snapshot at each start.  The kernel invalidates a snapshot whose store is full, so the store
 * has the maximum size that it can ever need.  A sparse file only uses the space that is
 * written. */
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "controller/storage/disk.h"
#include "controller/storage/label.h"
#include "controller/storage/slot_folder.h"

/* The persistent format of CoW stores (drivers/md/dm-snap-persistent.c), with chunks of 8 sectors,
 * as the role requests: one chunk of header, then areas.  An area is one chunk of metadata (an
 * exception is 16 bytes) and the chunks that it describes.  When an area is full, the kernel clears
 * the metadata of the next one (persistent_commit_exception), so one more area must exist. */
#define CHUNK 4096u
#define EXCEPTIONS (CHUNK / 16)
#define MAGIC 0x70416e53u /* "SnAp" */

static uint64_t cow_size(uint64_t origin)
{
	uint64_t chunks = (origin + CHUNK - 1) / CHUNK;

	return (1 + chunks + chunks / EXCEPTIONS + 1) * CHUNK;
}

static int create(struct ctl *c, const struct vm *vm, struct error *e)
{
	uint64_t size;
	_cleanup_close_ int image = storage_open_image(&c->config, vm, &size, e);

	if (image < 0)
		return -1;
	if ((uint64_t)vm->disk_mib << 20 > ((size + (1u << 20) - 1) >> 20) << 20) {
		(void)error_set(e, FAIL_HOST, "disk",
				"disks are snapshots here, as large as their image: %llu MiB",
				(unsigned long long)(size >> 20));
		error_hint(e, "leave the size out, or import the image with a larger disk");
		return -1;
	}
	_cleanup_close_ int dir = storage_begin(c, vm, e);
	if (dir < 0)
		return -1;
	_cleanup_close_ int cow = storage_new_file(dir, "cow", 0600, e);
	if (cow < 0 || FAILPOINT_FAILS("disk.cow"))
		return cow < 0 ? -1 : storage_fail("cow", e);
	return ftruncate(cow, (off_t)cow_size(size)) < 0 || fdatasync(cow) < 0
		       ? storage_fail("cow", e)
		       : 0;
}

/* The header of a CoW store.  If the file system under a store is full, a write to the store fails,
 * and the kernel clears "valid" in the header and fails all I/O of the snapshot.  The kernel does
 * so since a snapshot is lost when its origin changes without a copy of the old chunk.  Our origins
 * are images, which never change, and acknowledged writes are in the store in order.  So the store
 * can be marked as valid again: the disk has the state that a power cut leaves. */
struct header {
	uint32_t magic, valid, version, chunk; /* little-endian (struct disk_header) */
};

static int revive(int cow, const struct vm *vm, struct error *e)
{
	struct header h;

	if (pread(cow, &h, sizeof(h), 0) != sizeof(h))
		return storage_fail("cow", e);
	if (le32toh(h.magic) != MAGIC || le32toh(h.version) != 1 || h.valid)
		return 0; /* a valid store, or a new one, which is all zeros */
	h.valid = htole32(1);
	if (pwrite(cow, &h, sizeof(h), 0) != sizeof(h) || fdatasync(cow) < 0)
		return storage_fail("cow", e);
	log_warn("%s: the kernel had invalidated its disk; it is used again, in the state of a "
		 "power cut",
		 vm->name);
	return 0;
}

static int open_cow(struct ctl *c, const struct vm *vm, struct error *e)
{
	_cleanup_close_ int dir = storage_slot_dir(&c->config, vm->slot, e);
	if (dir < 0)
		return -1;
	_cleanup_close_ int fd = openat(dir, "cow", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return storage_fail("cow", e);
	if (storage_label(dir, fd, e) < 0)
		return -1;
	return revive(fd, vm, e) < 0 ? -1 : steal_fd(&fd);
}

static int open_part(struct ctl *c, const struct vm *vm, unsigned part, struct error *e)
{
	uint64_t size;

	return part == 0 ? storage_open_image(&c->config, vm, &size, e) : open_cow(c, vm, e);
}

static const enum object objects[] = { OBJ_LOOP_BASE, OBJ_LOOP_COW, OBJ_DM };

const struct storage_driver storage_dm = {
	.name = "dm-snapshot",
	.disk = DISK_DM,
	.create = create,
	.open_part = open_part,
	.parts = { "", "cow" },
	.objects = objects,
	.n_objects = ARRAY_SIZE(objects),
};
