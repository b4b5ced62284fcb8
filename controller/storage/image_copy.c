/* image_copy.c - checks, copies and hashes a file that a caller brings. */
#include "controller/storage/image_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/fdio.h"
#include "controller/storage/slot_folder.h"

#define FUSE_MAGIC 0x65735546    /* fs/fuse/inode.c */
#define OVERLAY_MAGIC 0x794c7630 /* include/uapi/linux/magic.h */

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

static int check_size(const struct config *c, const struct file_demand *want, uint64_t size,
		      struct error *e)
{
	const uint64_t max = want->max ? want->max : (uint64_t)c->max_disk_mib << 20;

	if (size < want->min)
		return error_set(e, FAIL_USAGE, want->name,
				 "%llu bytes are too few, the least is %llu",
				 (unsigned long long)size, (unsigned long long)want->min);
	if (size > max)
		return error_set(e, FAIL_LIMIT, want->name,
				 "%llu bytes are too many, this host allows up to %llu",
				 (unsigned long long)size, (unsigned long long)max);
	if (size % want->unit)
		return error_set(e, FAIL_USAGE, want->name,
				 "its size is not a multiple of %llu bytes",
				 (unsigned long long)want->unit);
	return 0;
}

int file_check(const struct ctl *c, int fd, const struct file_demand *want, uint64_t *size,
	       struct error *e)
{
	struct stat st;
	struct statfs fs;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return error_set(e, FAIL_GENERAL, want->name, "%s", strerrordesc_np(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(e, FAIL_USAGE, want->name, "it is not a regular file");
	if (may_hang(c, &fs)) {
		(void)error_set(e, FAIL_USAGE, want->name,
				"files of a FUSE or overlay file system are not taken");
		error_hint(e, "copy it to a local file system first");
		return -1;
	}
	*size = (uint64_t)st.st_size;
	return check_size(&c->config, want, *size, e);
}

/* Exactly @n bytes at @at: the caller may change or cut its file while it is read. */
static int read_at(const struct copy_file *f, void *buf, size_t n, uint64_t at, struct error *e)
{
	for (size_t have = 0; have < n;) {
		ssize_t r = pread(f->from, (char *)buf + have, n - have, (off_t)(at + have));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return error_set(e, FAIL_GENERAL, f->name, "%s", strerrordesc_np(errno));
		if (r == 0)
			return error_set(e, FAIL_USAGE, f->name,
					 "it became shorter while it was read");
		have += (size_t)r;
	}
	return 0;
}

int file_check_magic(int fd, const struct file_demand *want, struct error *e)
{
	const struct copy_file f = { .name = want->name, .from = fd, .to = -1 };
	char found[8];

	if (read_at(&f, found, want->magic_bytes, want->magic_at, e) < 0)
		return -1;
	if (memcmp(found, want->magic, want->magic_bytes) == 0)
		return 0;
	return error_set(e, FAIL_USAGE, want->name, "it is not %s", want->noun);
}

/* ---- copying ---- */

static void hash_number(SHA2_CTX *h, uint64_t v)
{
	uint8_t le[8];

	for (unsigned i = 0; i < sizeof(le); i++)
		le[i] = (uint8_t)(v >> 8 * i);
	SHA256Update(h, le, sizeof(le));
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

struct copy *copy_begin(const struct operation *o)
{
	struct copy *k = malloc(sizeof(*k));

	if (!k)
		return NULL;
	k->o = o;
	SHA256Init(&k->hash);
	return k;
}

void copy_salt(struct copy *k, const char *text)
{
	SHA256Update(&k->hash, (const uint8_t *)text, strlen(text));
}

void copy_end(struct copy *k, char digest[65])
{
	uint8_t raw[SHA256_DIGEST_LENGTH];

	SHA256Final(raw, &k->hash);
	format_hex(raw, sizeof(raw), digest);
}

/* Read the block at @at.  @n: out: its bytes.  Return: 0, or -1. */
static int read_block(struct copy *k, const struct copy_file *f, uint64_t at, size_t *n,
		      struct error *e)
{
	*n = f->size - at < COPY_BLOCK ? (size_t)(f->size - at) : COPY_BLOCK;
	if (operation_cancelled(k->o))
		return error_set(e, FAIL_STATE, f->name, "the import was interrupted");
	return read_at(f, k->buf, *n, at, e);
}

/* One block: hashed with its index and written, unless it is zeros. */
static int copy_block(struct copy *k, const struct copy_file *f, uint64_t at, struct error *e)
{
	size_t n;

	if (read_block(k, f, at, &n, e) < 0)
		return -1;
	if (is_zero(k->buf, n))
		return 0;
	hash_number(&k->hash, at / COPY_BLOCK);
	SHA256Update(&k->hash, k->buf, n);
	if (lseek(f->to, (off_t)at, SEEK_SET) < 0 || fdio_write_all(f->to, k->buf, n) < 0)
		return storage_fail(f->name, e);
	return 0;
}

int copy_sparse(struct copy *k, const struct copy_file *f, struct error *e)
{
	hash_number(&k->hash, f->size);
	if (ftruncate(f->to, (off_t)f->size) < 0)
		return storage_fail(f->name, e);
	for (uint64_t at = 0; at < f->size; at += COPY_BLOCK) {
		off_t data = lseek(f->from, (off_t)at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		if (data > 0 && (uint64_t)data >= at + COPY_BLOCK)
			at = (uint64_t)data / COPY_BLOCK * COPY_BLOCK;
		if (at < f->size && copy_block(k, f, at, e) < 0)
			return -1;
	}
	return fdatasync(f->to) < 0 ? storage_fail(f->name, e) : 0;
}

int copy_whole(struct copy *k, const struct copy_file *f, struct error *e)
{
	size_t n;

	hash_number(&k->hash, f->size);
	for (uint64_t at = 0; at < f->size; at += COPY_BLOCK) {
		if (read_block(k, f, at, &n, e) < 0)
			return -1;
		SHA256Update(&k->hash, k->buf, n);
		if (fdio_write_all(f->to, k->buf, n) < 0)
			return storage_fail(f->name, e);
	}
	return fdatasync(f->to) < 0 ? storage_fail(f->name, e) : 0;
}
