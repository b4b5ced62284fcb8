/*
 * Images and kernels, named by what is in them.
 *
 * An import writes under a temporary name, syncs, then publishes: final name, row.
 * A delete takes back: row, files.  Between the two steps of either, the files
 * may be without a row; an empty marker "pending-<digest>" says so, and a
 * start that finds it asks the database whether the files stay.  Without a
 * marker nothing is removed but by a person's `host gc`, so that a lost
 * database does not take the images with it.  A lock on the folder (flock(2),
 * by open file, so that it holds between threads too) keeps publishing and
 * taking back apart.
 */
#include "controller/storage/images.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/fdio.h"
#include "common/log.h"
#include "controller/db/db.h"
#include "controller/db/preflight.h"
#include "controller/storage/slot_folder.h"

#define BLOCK 65536u
#define IMAGE_MIN (1u << 20)
#define SECTOR 512u /* what a loop device counts in */
#define KERNEL_FILE_MAX (256u << 20)
#define FUSE_MAGIC 0x65735546 /* fs/fuse/inode.c */
#define OVERLAY_MAGIC 0x794c7630 /* include/uapi/linux/magic.h */
#define TEMP_PREFIX "import-"
#define PENDING_PREFIX "pending-"

/* ---- what comes in ---- */

/*
 * The server of a FUSE file is a program of the caller's, which can let a
 * read wait for ever.  An overlay hides what is below it, and anybody can
 * mount one over FUSE in a user namespace: it is taken only where the host
 * itself lives on one, as in a container.
 */
static bool may_hang(const struct ctl *c, const struct statfs *fs)
{
	struct statfs own;

	if (fs->f_type != OVERLAY_MAGIC)
		return fs->f_type == FUSE_MAGIC;
	return statfs(c->config.state_dir, &own) < 0 || own.f_type != OVERLAY_MAGIC;
}

/* A regular file of that size. */
static int check_file(const struct ctl *c, int fd, const char *what, uint64_t min, uint64_t max, uint64_t *size, struct error *e)
{
	struct stat st;
	struct statfs fs;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return error_set(e, FAIL_GENERAL, what, "%s", strerrordesc_np(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(e, FAIL_USAGE, what, "it is not a regular file");
	if (may_hang(c, &fs)) {
		(void)error_set(e, FAIL_USAGE, what, "files of a FUSE or overlay file system are not taken");
		error_hint(e, "copy it to a local file system first");
		return -1;
	}
	*size = (uint64_t)st.st_size;
	if (*size < min)
		return error_set(e, FAIL_USAGE, what, "%llu bytes are too few, the least is %llu",
				 (unsigned long long)*size, (unsigned long long)min);
	if (*size > max)
		return error_set(e, FAIL_LIMIT, what, "%llu bytes are too many, this host allows up to %llu",
				 (unsigned long long)*size, (unsigned long long)max);
	return 0;
}

/* Exactly @n bytes at @at; the caller may change or cut its file while we read, which must not confuse us. */
static int read_at(int fd, const char *what, void *buf, size_t n, uint64_t at, struct error *e)
{
	for (size_t have = 0; have < n;) {
		ssize_t r = pread(fd, (char *)buf + have, n - have, (off_t)(at + have));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return error_set(e, FAIL_GENERAL, what, "%s", strerrordesc_np(errno));
		if (r == 0)
			return error_set(e, FAIL_USAGE, what, "it became shorter while it was read");
		have += (size_t)r;
	}
	return 0;
}

static int check_magic(int fd, const char *what, uint64_t at, const char *magic, size_t n, const char *kind,
		       struct error *e)
{
	char found[8];

	if (read_at(fd, what, found, n, at, e) < 0)
		return -1;
	return memcmp(found, magic, n) == 0 ? 0 : error_set(e, FAIL_USAGE, what, "it is not %s", kind);
}

/* ---- copying ---- */

static void hash_number(SHA2_CTX *h, uint64_t v)
{
	uint8_t le[8];

	for (unsigned i = 0; i < sizeof(le); i++)
		le[i] = (uint8_t)(v >> 8 * i);
	SHA256Update(h, le, sizeof(le));
}

static void hash_end(SHA2_CTX *h, char digest[65])
{
	uint8_t raw[SHA256_DIGEST_LENGTH];

	SHA256Final(raw, h);
	format_hex(raw, sizeof(raw), digest);
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* A source to read, and where it goes. */
struct copy {
	const struct operation *o;
	const char *what;
	int from, to;
	uint64_t size;
	uint8_t buf[BLOCK];
	SHA2_CTX hash;
};

/* One block: hashed with its index and written, unless it is zeros. */
static int copy_block(struct copy *k, uint64_t at, struct error *e)
{
	size_t n = k->size - at < BLOCK ? (size_t)(k->size - at) : BLOCK;

	if (k->o->cancelled && *k->o->cancelled)
		return error_set(e, FAIL_STATE, k->what, "the import was interrupted");
	if (read_at(k->from, k->what, k->buf, n, at, e) < 0)
		return -1;
	if (is_zero(k->buf, n))
		return 0;
	hash_number(&k->hash, at / BLOCK);
	SHA256Update(&k->hash, k->buf, n);
	if (lseek(k->to, (off_t)at, SEEK_SET) < 0 || fdio_write_all(k->to, k->buf, n) < 0)
		return storage_fail(k->what, e);
	return 0;
}

/*
 * The digest is SHA-256 over the size and each nonzero block of 64 KiB with
 * its index before it (8 bytes, little-endian): the same for the same bytes,
 * wherever the source has holes.
 */
static int copy_sparse(struct copy *k, struct error *e)
{
	hash_number(&k->hash, k->size);
	if (ftruncate(k->to, (off_t)k->size) < 0)
		return storage_fail(k->what, e);
	for (uint64_t at = 0; at < k->size; at += BLOCK) {
		off_t data = lseek(k->from, (off_t)at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		if (data > 0 && (uint64_t)data >= at + BLOCK)
			at = (uint64_t)data / BLOCK * BLOCK;
		if (at < k->size && copy_block(k, at, e) < 0)
			return -1;
	}
	return fdatasync(k->to) < 0 ? storage_fail(k->what, e) : 0;
}

/* ---- the folder ---- */

static int open_store(const struct config *c, const char *name, struct error *e)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/%s", c->state_dir, name);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? storage_fail(path, e) : fd;
}

static int lock_store(int dir, struct error *e)
{
	int r;

	do
		r = flock(dir, LOCK_EX);
	while (r < 0 && errno == EINTR);
	return r < 0 ? storage_fail("lock", e) : 0;
}

static int mark(int dir, const char *digest, struct error *e)
{
	char name[96];

	(void)snprintf(name, sizeof(name), PENDING_PREFIX "%s", digest);
	if (FAILPOINT_FAILS("images.mark.before"))
		return storage_fail(name, e);
	_cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || fsync(dir) < 0)
		return storage_fail(name, e);
	FAILPOINT("images.mark.after");
	return 0;
}

/* A disk without room for a marker must not keep anything from being deleted: a crash then leaves what `host gc` finds. */
static int mark_if_room(int dir, const char *digest, struct error *e)
{
	return mark(dir, digest, e) == 0 || e->code == FAIL_HOST ? 0 : -1;
}

static void unmark(int dir, const char *digest)
{
	char name[96];

	(void)snprintf(name, sizeof(name), PENDING_PREFIX "%s", digest);
	FAILPOINT("images.unmark.before");
	(void)unlinkat(dir, name, 0);
	FAILPOINT("images.unmark.after");
}

static const char *const kernel_files[] = { "kernel", "initramfs", "vmlinux" };

/* A kernel's folder, or one that was to become it; absence is success. */
static void remove_folder(int dir, const char *name)
{
	_cleanup_close_ int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	for (size_t i = 0; sub >= 0 && i < ARRAY_SIZE(kernel_files); i++) {
		FAILPOINT("kernels.unlink");
		(void)unlinkat(sub, kernel_files[i], 0);
	}
	FAILPOINT("kernels.rmdir");
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		log_errno("%s can not be removed", name);
}

/* Out of the way first: under a published name there are all files or none. */
static void remove_kernel(int dir, const char *digest)
{
	char temp[96];

	/* The time: what an earlier try could not remove may still be there. */
	(void)snprintf(temp, sizeof(temp), TEMP_PREFIX "%.16s-%" PRIx64, digest, clock_boot_ns());
	FAILPOINT("kernels.retire");
	if (renameat(dir, digest, dir, temp) == 0)
		remove_folder(dir, temp);
	else if (errno != ENOENT)
		log_errno("kernel %s can not be removed", digest);
}

static void remove_image(int dir, const char *digest)
{
	char name[80];

	(void)snprintf(name, sizeof(name), "%s.ext4", digest);
	FAILPOINT("images.unlink");
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		log_errno("%s can not be removed", name);
}

static bool is_there(int dir, bool kernel, const char *digest)
{
	char name[80];
	struct stat st;

	(void)snprintf(name, sizeof(name), "%s%s", digest, kernel ? "" : ".ext4");
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* Return: whether nothing is left under that name.  Of a kernel's files the next start removes what could not be now. */
static bool remove_published(int dir, bool kernel, const char *digest)
{
	if (kernel)
		remove_kernel(dir, digest);
	else
		remove_image(dir, digest);
	return !is_there(dir, kernel, digest);
}

static int used(const char *name, uint32_t by, const char *users, struct error *e)
{
	(void)error_set(e, FAIL_STATE, name, "it is in use by %u %s%s", by, users, by == 1 ? "" : "s");
	error_hint(e, "delete %s first", by == 1 ? "it" : "them");
	return -1;
}

static int check_new_name(const char *name, struct error *e)
{
	if (parse_is_label(name))
		return 0;
	(void)error_set(e, FAIL_USAGE, "name", "\"%s\" can not be a name", name);
	error_hint(e, "1 to 63 of a-z, 0-9 and '-', no '-' at either end");
	return -1;
}

static uint32_t asker(const struct operation *o)
{
	return o->caller ? o->caller->uid : 0;
}

/* ---- does any row have this digest? ---- */

struct wanted {
	const char *digest;
	bool found;
};

static int match_image(void *arg, const struct image *i)
{
	struct wanted *w = arg;

	w->found |= strcmp(i->digest, w->digest) == 0;
	return 0;
}

static int match_kernel(void *arg, const struct kernel *k)
{
	struct wanted *w = arg;

	w->found |= strcmp(k->digest, w->digest) == 0;
	return 0;
}

/* 1, 0, or -1: then nothing may be removed. */
static int has_row(struct ctl *c, bool kernel, const char *digest)
{
	struct wanted w = { digest, false };
	struct error e = { 0 };
	int r = kernel ? store_kernel_each(c->store, NULL, match_kernel, &w, &e) :
			 store_image_each(c->store, NULL, match_image, &w, &e);

	return r < 0 ? -1 : w.found;
}

/* The end of what mark() began: without a row the files go. */
static void settle(struct ctl *c, int dir, bool kernel, const char *digest)
{
	int found = has_row(c, kernel, digest);

	/* Else the marker stays, for the next start. */
	if (found > 0 || (found == 0 && remove_published(dir, kernel, digest)))
		unmark(dir, digest);
}

/* ---- images ---- */

static int publish_image(struct ctl *c, int dir, const char *temp, const struct image *i, struct error *e)
{
	char name[80];
	int r;

	(void)snprintf(name, sizeof(name), "%s.ext4", i->digest);
	if (lock_store(dir, e) < 0)
		return -1;
	/* A file of that digest that is there already has the same bytes; loops, or a newer database, may know of it. */
	if (is_there(dir, false, i->digest))
		return store_image_add(c->store, i, c->config.max_images_per_owner, e);
	if (mark(dir, i->digest, e) < 0)
		return -1;
	FAILPOINT("images.link.before");
	if (linkat(dir, temp, dir, name, 0) < 0 || fsync(dir) < 0)
		r = storage_fail(name, e);
	else
		r = FAILPOINT_FAILS("images.link.after") ? storage_fail(name, e) :
			store_image_add(c->store, i, c->config.max_images_per_owner, e);
	settle(c, dir, false, i->digest);
	return r;
}

static int copy_image(const struct operation *o, int from, int to, struct image *i, struct error *e)
{
	_cleanup_free_ struct copy *k = malloc(sizeof(*k));

	if (!k)
		return storage_fail("image", e);
	*k = (struct copy){ .o = o, .what = "image", .from = from, .to = to, .size = i->size };
	SHA256Init(&k->hash);
	if (copy_sparse(k, e) < 0)
		return -1;
	hash_end(&k->hash, i->digest);
	return fchmod(to, 0444) < 0 ? storage_fail("image", e) : 0;
}

static int check_image(struct ctl *c, const struct operation *o, const char *name, const char *kernel, int fd,
		       struct image *i, struct error *e)
{
	struct kernel k;
	const struct caller caller = { .uid = asker(o) };

	*i = (struct image){ .owner = caller.uid };
	if (check_new_name(name, e) < 0 || work_check(c, name, e) < 0 || store_kernel_find(c->store, &caller, kernel, &k, e) < 0)
		return -1;
	/* Told now rather than after the copy; the row's insertion tells it again. */
	if (store_image_check(c->store, caller.uid, name, c->config.max_images_per_owner, e) < 0)
		return -1;
	if (check_file(c, fd, "image", IMAGE_MIN, (uint64_t)c->config.max_disk_mib << 20, &i->size, e) < 0)
		return -1;
	if (i->size % SECTOR)
		return error_set(e, FAIL_USAGE, "image", "its size is not a multiple of %u bytes", SECTOR);
	(void)snprintf(i->name, sizeof(i->name), "%s", name);
	memcpy(i->kernel, k.name, sizeof(i->kernel));
	memcpy(i->kernel_digest, k.digest, sizeof(i->kernel_digest));
	/* fs/ext4/ext4.h: the superblock begins at 1024, s_magic is 56 bytes into it. */
	return check_magic(fd, "image", 1024 + 56, "\x53\xef", 2, "an ext4 file system", e);
}

int image_import(struct ctl *c, struct operation *o, const char *name, const char *kernel, int fd,
		 char digest[65], struct error *e)
{
	char temp[64];
	struct image i;

	operation_stage(o, "check", "");
	if (check_image(c, o, name, kernel, fd, &i, e) < 0)
		return -1;
	_cleanup_close_ int dir = open_store(&c->config, "images", e);
	if (dir < 0)
		return -1;
	(void)snprintf(temp, sizeof(temp), TEMP_PREFIX "%s", o->hex);
	_cleanup_close_ int to = storage_new_file(dir, temp, 0600, e);
	if (to < 0)
		return -1;
	operation_stage(o, "copy", "");
	int r = FAILPOINT_FAILS("images.copy.before") ? storage_fail("image", e) : copy_image(o, fd, to, &i, e);
	FAILPOINT("images.copy.after");
	operation_stage(o, "publish", "");
	if (r == 0)
		r = publish_image(c, dir, temp, &i, e);
	FAILPOINT("images.temp.unlink");
	(void)unlinkat(dir, temp, 0);
	memcpy(digest, i.digest, sizeof(i.digest));
	return r;
}

int image_delete(struct ctl *c, struct operation *o, const char *name, struct error *e)
{
	const struct caller caller = { .uid = asker(o) };
	struct image i;
	bool last;

	if (store_image_find(c->store, &caller, name, &i, e) < 0)
		return -1;
	if (!access_allows(&caller, ACCESS_REMOVE, i.owner))
		return error_set(e, FAIL_NOT_ALLOWED, name, "the image is not yours");
	if (i.used_by)
		return used(name, i.used_by, "VM", e);
	_cleanup_close_ int dir = open_store(&c->config, "images", e);
	if (dir < 0 || lock_store(dir, e) < 0 || mark_if_room(dir, i.digest, e) < 0)
		return -1;
	int r = store_image_delete(c->store, &i, &last, e);
	settle(c, dir, false, i.digest);
	return r;
}

/* ---- kernels ---- */

static int copy_kernel_file(const struct operation *o, int dir, const char *name, int from, uint64_t size,
			    SHA2_CTX *hash,
			    struct error *e)
{
	_cleanup_free_ uint8_t *buf = malloc(BLOCK);
	_cleanup_close_ int to = storage_new_file(dir, name, 0444, e);

	if (to < 0)
		return -1;
	if (!buf)
		return storage_fail(name, e);
	hash_number(hash, size);
	for (uint64_t at = 0; at < size; at += BLOCK) {
		size_t n = size - at < BLOCK ? (size_t)(size - at) : BLOCK;
		if (o->cancelled && *o->cancelled)
			return error_set(e, FAIL_STATE, name, "the import was interrupted");
		if (read_at(from, name, buf, n, at, e) < 0)
			return -1;
		SHA256Update(hash, buf, n);
		if (fdio_write_all(to, buf, n) < 0)
			return storage_fail(name, e);
	}
	return fdatasync(to) < 0 ? storage_fail(name, e) : 0;
}

static int check_kernel(struct ctl *c, const struct operation *o, const char *name, const int fds[3],
			uint64_t sizes[3],
			struct error *e)
{
	if (check_new_name(name, e) < 0 || work_check(c, name, e) < 0 ||
	    store_kernel_check(c->store, asker(o), name, c->config.max_images_per_owner, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(kernel_files); i++)
		if (check_file(c, fds[i], kernel_files[i], 1, KERNEL_FILE_MAX, &sizes[i], e) < 0)
			return -1;
	/* Documentation/arch/x86/boot.rst: the setup header's magic; elf(5). */
	if (sizes[0] < 0x206 || sizes[2] < 4)
		return error_set(e, FAIL_USAGE, kernel_files[sizes[0] < 0x206 ? 0 : 2], "it is too short for a kernel");
	if (check_magic(fds[0], "kernel", 0x202, "HdrS", 4, "a bzImage", e) < 0)
		return -1;
	return check_magic(fds[2], "vmlinux", 0, "\177ELF", 4, "an ELF file", e);
}

/* Fill the new folder @temp with the three files. */
static int copy_kernel(const struct operation *o, int dir, const char *temp, const int fds[3], const uint64_t sizes[3],
		       struct kernel *k, struct error *e)
{
	SHA2_CTX hash;
	_cleanup_close_ int sub = -1;

	FAILPOINT("kernels.mkdir");
	if (mkdirat(dir, temp, 0700) < 0 ||
	    (sub = openat(dir, temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		return storage_fail(temp, e);
	SHA256Init(&hash);
	for (size_t i = 0; i < ARRAY_SIZE(kernel_files); i++) {
		if (FAILPOINT_FAILS("kernels.copy"))
			return storage_fail(temp, e);
		if (copy_kernel_file(o, sub, kernel_files[i], fds[i], sizes[i], &hash, e) < 0)
			return -1;
		k->size += sizes[i];
	}
	hash_end(&hash, k->digest);
	return fsync(sub) < 0 ? storage_fail(temp, e) : 0;
}

static int publish_kernel(struct ctl *c, int dir, const char *temp, const struct kernel *k, struct error *e)
{
	int r = 0;

	if (lock_store(dir, e) < 0)
		return -1;
	/* A folder of that digest that is there already has the same files. */
	if (is_there(dir, true, k->digest))
		return store_kernel_add(c->store, k, c->config.max_images_per_owner, e);
	if (mark(dir, k->digest, e) < 0)
		return -1;
	FAILPOINT("kernels.rename.before");
	if (renameat(dir, temp, dir, k->digest) < 0 || fsync(dir) < 0)
		r = storage_fail(temp, e);
	FAILPOINT("kernels.rename.after");
	if (r == 0)
		r = store_kernel_add(c->store, k, c->config.max_images_per_owner, e);
	settle(c, dir, true, k->digest);
	return r;
}

int kernel_import(struct ctl *c, struct operation *o, const char *name, const int fds[3], char digest[65],
		  struct error *e)
{
	struct kernel k = { .owner = asker(o) };
	uint64_t sizes[3];
	char temp[64];

	operation_stage(o, "check", "");
	if (check_kernel(c, o, name, fds, sizes, e) < 0)
		return -1;
	(void)snprintf(k.name, sizeof(k.name), "%s", name);
	(void)snprintf(temp, sizeof(temp), TEMP_PREFIX "%s", o->hex);
	_cleanup_close_ int dir = open_store(&c->config, "kernels", e);
	if (dir < 0)
		return -1;
	operation_stage(o, "copy", "");
	int r = copy_kernel(o, dir, temp, fds, sizes, &k, e);
	operation_stage(o, "publish", "");
	if (r == 0)
		r = publish_kernel(c, dir, temp, &k, e);
	remove_folder(dir, temp);
	memcpy(digest, k.digest, sizeof(k.digest));
	return r;
}

int kernel_delete(struct ctl *c, struct operation *o, const char *name, struct error *e)
{
	const struct caller caller = { .uid = asker(o) };
	struct kernel k;
	bool last;

	if (store_kernel_find(c->store, &caller, name, &k, e) < 0)
		return -1;
	if (!access_allows(&caller, ACCESS_REMOVE, k.owner))
		return error_set(e, FAIL_NOT_ALLOWED, name, "the kernel is not yours");
	if (k.used_by)
		return used(name, k.used_by, "image", e);
	_cleanup_close_ int dir = open_store(&c->config, "kernels", e);
	if (dir < 0 || lock_store(dir, e) < 0 || mark_if_room(dir, k.digest, e) < 0)
		return -1;
	int r = store_kernel_delete(c->store, &k, &last, e);
	settle(c, dir, true, k.digest);
	return r;
}

/* ---- at start ---- */

static void sweep_entry(struct ctl *c, int dir, bool kernel, const char *name)
{
	if (strncmp(name, PENDING_PREFIX, strlen(PENDING_PREFIX)) == 0) {
		settle(c, dir, kernel, name + strlen(PENDING_PREFIX));
	} else if (strncmp(name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0) {
		if (kernel)
			remove_folder(dir, name);
		else
			(void)unlinkat(dir, name, 0);
	}
}

static int sweep(struct ctl *c, const char *store, bool kernel, struct error *e)
{
	int fd = open_store(&c->config, store, e);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!d && fd >= 0)
		(void)storage_fail(store, e);
	if (!d) {
		close_and_reset(&fd);
		return -1;
	}
	while ((entry = readdir(d)))
		sweep_entry(c, dirfd(d), kernel, entry->d_name);
	(void)closedir(d);
	return 0;
}

int images_sweep(struct ctl *c, struct error *e)
{
	return sweep(c, "images", false, e) < 0 || sweep(c, "kernels", true, e) < 0 ? -1 : 0;
}

/* ---- what no row names ---- */

#define DIGEST_HEX 64u

static bool is_published(const char *name, bool kernel, char digest[DIGEST_HEX + 1])
{
	if (strspn(name, "0123456789abcdef") != DIGEST_HEX || strcmp(name + DIGEST_HEX, kernel ? "" : ".ext4") != 0)
		return false;
	memcpy(digest, name, DIGEST_HEX);
	digest[DIGEST_HEX] = '\0';
	return true;
}

/* An import or a delete is at work, or was when we ended. */
static bool is_marked(int dir, const char *digest)
{
	char name[96];

	(void)snprintf(name, sizeof(name), PENDING_PREFIX "%s", digest);
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int images_each(const struct config *c, bool kernels, void (*fn)(void *arg, const char *digest, bool marked),
		void *arg)
{
	char digest[DIGEST_HEX + 1];
	struct dirent *entry;
	struct error e;
	int fd = open_store(c, kernels ? "kernels" : "images", &e);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		close_and_reset(&fd);
		return -1;
	}
	for (errno = 0; (entry = readdir(d)); errno = 0)
		if (is_published(entry->d_name, kernels, digest))
			fn(arg, digest, is_marked(dirfd(d), digest));
	int failed = errno;
	(void)closedir(d);
	errno = failed;
	return failed ? -1 : 0;
}

struct gc {
	struct ctl *c;
	int dir;
	bool kernels, dry_run;
	void (*tell)(void *arg, const char *line);
	void *arg;
	int failed;
	struct error *e; /* why a look failed; FAIL_NONE: none has */
};

/* Under the folder's lock, so that nothing is between its file and its row.  Return: whether no row names it. */
static bool take_away(struct gc *g, const char *digest)
{
	int named = is_there(g->dir, g->kernels, digest) ? has_row(g->c, g->kernels, digest) : 1;

	if (named < 0)
		(void)error_set(g->e, FAIL_HOST, "images", "the state database can not be read");
	if (named)
		return false;
	if (g->dry_run)
		return true;
	/* No marker: what is cut in the middle no row names either, and the next one finds it. */
	if (remove_published(g->dir, g->kernels, digest))
		unmark(g->dir, digest);
	else
		g->failed++;
	return true;
}

static void collect(void *arg, const char *digest, bool marked)
{
	struct gc *g = arg;
	char line[96];

	(void)marked; /* by somebody who is at work, or was: under the lock it is who was */
	if (g->e->code != FAIL_NONE || lock_store(g->dir, g->e) < 0)
		return;
	bool took = take_away(g, digest);
	(void)flock(g->dir, LOCK_UN); /* who is told may be slow */
	(void)snprintf(line, sizeof(line), "%s %.12s: files that no row names", g->kernels ? "kernel" : "image", digest);
	if (took)
		g->tell(g->arg, line);
}

int images_gc(struct ctl *c, bool dry_run, void (*tell)(void *arg, const char *line), void *arg, struct error *e)
{
	struct gc g = { .c = c, .dry_run = dry_run, .tell = tell, .arg = arg, .e = e };

	e->code = FAIL_NONE;

	for (int kernels = 0; kernels < 2; kernels++) {
		const char *name = kernels ? "kernels" : "images";
		_cleanup_close_ int dir = open_store(&c->config, name, e);
		if (dir < 0)
			return -1;
		g.dir = dir;
		g.kernels = kernels;
		if (images_each(&c->config, kernels, collect, &g) < 0 || (!dry_run && fsync(dir) < 0))
			return storage_fail(name, e);
	}
	return e->code == FAIL_NONE ? g.failed : -1;
}
