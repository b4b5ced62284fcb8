/* image_kinds.c - what differs between the files of an image, of a kernel and of a volume. */
#include "controller/storage/image_kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "controller/storage/slot_folder.h"

#define IMAGE_MIN (1u << 20)
#define SECTOR 512u /* what a loop device counts in */
#define KERNEL_FILE_MAX (256u << 20)
#define DISK_SUFFIX ".ext4"
#define KERNEL (&artifact_kinds[ARTIFACT_KERNEL])

/* ---- an image or a volume: one file ---- */

/* A copy of a file system. */
struct disk {
	const char *name; /* in errors */
	const char *salt; /* added to the digest */
	mode_t mode;
};

static int copy_disk(const struct artifact_source *s, int to, const struct disk *d, char digest[65],
		     struct error *e)
{
	const struct copy_file f = {
		.name = d->name, .from = s->fds[0], .to = to, .size = s->sizes[0]
	};
	_cleanup_free_ struct copy *k = copy_begin(s->o);

	if (!k)
		return storage_fail(d->name, e);
	if (copy_sparse(k, &f, e) < 0)
		return -1;
	copy_salt(k, d->salt);
	copy_end(k, digest);
	return fchmod(to, d->mode) < 0 ? storage_fail(d->name, e) : 0;
}

static int copy_image(const struct artifact_source *s, int dir, const char *temp, char digest[65],
		      struct error *e)
{
	const struct disk d = { .name = "image", .salt = "", .mode = 0444 };
	_cleanup_close_ int to = storage_new_file(dir, temp, 0600, e);

	if (to < 0)
		return -1;
	int r = FAILPOINT_FAILS("images.copy.before") ? storage_fail(d.name, e)
						      : copy_disk(s, to, &d, digest, e);
	FAILPOINT("images.copy.after");
	return r;
}

/* The id of the operation makes the digest one that no other volume has, whatever is in it. */
static int copy_volume(const struct artifact_source *s, int dir, const char *temp, char digest[65],
		       struct error *e)
{
	const struct disk d = { .name = "volume", .salt = s->o->hex, .mode = 0600 };
	_cleanup_close_ int to = storage_new_file(dir, temp, 0600, e);

	if (to < 0)
		return -1;
	int r = FAILPOINT_FAILS("volumes.copy.before") ? storage_fail(d.name, e)
						       : copy_disk(s, to, &d, digest, e);
	FAILPOINT("volumes.copy.after");
	return r;
}

static int publish_image(int dir, const char *temp, const char *digest, struct error *e)
{
	char name[80];

	(void)snprintf(name, sizeof(name), "%s" DISK_SUFFIX, digest);
	FAILPOINT("images.link.before");
	if (linkat(dir, temp, dir, name, 0) < 0 || fsync(dir) < 0)
		return storage_fail(name, e);
	return FAILPOINT_FAILS("images.link.after") ? storage_fail(name, e) : 0;
}

static void discard_image(int dir, const char *temp)
{
	FAILPOINT("images.temp.unlink");
	(void)unlinkat(dir, temp, 0);
}

static void retire_image(int dir, const char *digest)
{
	char name[80];

	(void)snprintf(name, sizeof(name), "%s" DISK_SUFFIX, digest);
	FAILPOINT("images.unlink");
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		log_errno("%s can not be removed", name);
}

/* ---- a kernel: a folder of three files ---- */

static int copy_kernel_file(struct copy *k, const struct artifact_source *s, int sub, size_t i,
			    struct error *e)
{
	const char *name = KERNEL->files[i].name;
	struct copy_file f = { .name = name, .from = s->fds[i], .size = s->sizes[i] };
	_cleanup_close_ int to = f.to = storage_new_file(sub, name, 0444, e);

	return to < 0 ? -1 : copy_whole(k, &f, e);
}

static int copy_kernel(const struct artifact_source *s, int dir, const char *temp, char digest[65],
		       struct error *e)
{
	_cleanup_free_ struct copy *k = copy_begin(s->o);
	_cleanup_close_ int sub = -1;

	if (!k)
		return storage_fail("kernel", e);
	FAILPOINT("kernels.mkdir");
	if (mkdirat(dir, temp, 0700) < 0 ||
	    (sub = openat(dir, temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		return storage_fail(temp, e);
	for (size_t i = 0; i < KERNEL->n_files; i++) {
		if (FAILPOINT_FAILS("kernels.copy"))
			return storage_fail(temp, e);
		if (copy_kernel_file(k, s, sub, i, e) < 0)
			return -1;
	}
	copy_end(k, digest);
	return fsync(sub) < 0 ? storage_fail(temp, e) : 0;
}

static int publish_kernel(int dir, const char *temp, const char *digest, struct error *e)
{
	int r = 0;

	FAILPOINT("kernels.rename.before");
	if (renameat(dir, temp, dir, digest) < 0 || fsync(dir) < 0)
		r = storage_fail(temp, e);
	FAILPOINT("kernels.rename.after");
	return r;
}

static void discard_kernel(int dir, const char *temp)
{
	_cleanup_close_ int sub = openat(dir, temp,
					 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	for (size_t i = 0; sub >= 0 && i < KERNEL->n_files; i++) {
		FAILPOINT("kernels.unlink");
		(void)unlinkat(sub, KERNEL->files[i].name, 0);
	}
	FAILPOINT("kernels.rmdir");
	if (unlinkat(dir, temp, AT_REMOVEDIR) < 0 && errno != ENOENT)
		log_errno("%s can not be removed", temp);
}

/* Out of the way first: under a published name there are all files or none. */
static void retire_kernel(int dir, const char *digest)
{
	char temp[96];

	/* The time: what an earlier try could not remove may still be there. */
	(void)snprintf(temp, sizeof(temp), ARTIFACT_TEMP "%.16s-%" PRIx64, digest, clock_boot_ns());
	FAILPOINT("kernels.retire");
	if (renameat(dir, digest, dir, temp) == 0)
		discard_kernel(dir, temp);
	else if (errno != ENOENT)
		log_errno("kernel %s can not be removed", digest);
}

/* ---- the kinds ---- */

/* fs/ext4/ext4.h: the superblock begins at 1024, s_magic is 56 bytes into it. */
#define EXT4_FILE(name_)                                                                  \
	{                                                                                 \
		.name = (name_), .min = IMAGE_MIN, .unit = SECTOR, .magic_at = 1024 + 56, \
		.magic = "\x53\xef", .magic_bytes = 2, .noun = "an ext4 file system"      \
	}

const struct artifact_kind artifact_kinds[ARTIFACT_TYPES] = {
	[ARTIFACT_IMAGE] = {
		.folder = "images", .suffix = DISK_SUFFIX, .user = "VM",
		.files = { EXT4_FILE("image") },
		.n_files = 1,
		.copy = copy_image,
		.publish = publish_image,
		.discard = discard_image,
		.retire = retire_image,
	},
	[ARTIFACT_KERNEL] = {
		.folder = "kernels", .suffix = "", .user = "image",
		.files = {
			/* Documentation/arch/x86/boot.rst: the setup header's magic. */
			{ .name = "kernel", .min = 1, .max = KERNEL_FILE_MAX, .unit = 1,
			  .magic_at = 0x202, .magic = "HdrS", .magic_bytes = 4,
			  .noun = "a bzImage" },
			{ .name = "initramfs", .min = 1, .max = KERNEL_FILE_MAX, .unit = 1 },
			/* elf(5) */
			{ .name = "vmlinux", .min = 1, .max = KERNEL_FILE_MAX, .unit = 1,
			  .magic_at = 0, .magic = "\177ELF", .magic_bytes = 4,
			  .noun = "an ELF file" },
		},
		.n_files = 3,
		.copy = copy_kernel,
		.publish = publish_kernel,
		.discard = discard_kernel,
		.retire = retire_kernel,
	},
	[ARTIFACT_VOLUME] = {
		.folder = "volumes", .suffix = DISK_SUFFIX, .user = "VM",
		.files = { EXT4_FILE("volume") },
		.n_files = 1,
		.copy = copy_volume,
		.publish = publish_image,
		.discard = discard_image,
		.retire = retire_image,
	},
};
