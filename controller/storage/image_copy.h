/* image_copy.h - checks, copies and hashes a file that a caller brings. */
#ifndef BANGER_CONTROLLER_STORAGE_IMAGE_COPY_H
#define BANGER_CONTROLLER_STORAGE_IMAGE_COPY_H

#include <sha2.h>

#include "controller/ctl.h"

#define COPY_BLOCK 65536u

/* The demands on one file of an image or a kernel. */
struct file_demand {
	const char *name;   /* in errors; of a kernel also the name of the copy */
	uint64_t min, max;  /* bytes; max 0: max_disk_mib of the configuration */
	uint64_t unit;      /* bytes of which the size is a multiple */
	uint64_t magic_at;  /* bytes */
	const char *magic;  /* NULL: none */
	size_t magic_bytes; /* at most 8 */
	const char *noun;   /* of a file with that magic, with its article */
};

/**
 * file_check() - is @fd a regular file of a size that @want allows, on a file system that can not
 * hang?
 * @size:	out: bytes
 *
 * Return: 0, or -1: FAIL_USAGE, FAIL_LIMIT when it is too large.
 */
int file_check(const struct ctl *c, int fd, const struct file_demand *want, uint64_t *size,
	       struct error *e);

/* Has @fd, which is long enough, the magic of @want?  Return: 0, or -1: FAIL_USAGE. */
int file_check_magic(int fd, const struct file_demand *want, struct error *e);

/* A copy under way: one digest over one file or several. */
struct copy {
	const struct operation *o; /* may be cancelled */
	SHA2_CTX hash;
	uint8_t buf[COPY_BLOCK];
};

/* One file of it. */
struct copy_file {
	const char *name; /* in errors */
	int from, to;     /* @to: empty, open for writing */
	uint64_t size;    /* bytes; a source that has fewer by now fails the copy */
};

/* Return: a copy that has no bytes yet, to be freed by free(); or NULL with errno. */
struct copy *copy_begin(const struct operation *o);

/* Add a text to the digest, so that it is not that of the bytes alone.  "" adds nothing. */
void copy_salt(struct copy *k, const char *text);

/* The digest of all that was copied, 64 hexadecimal digits. */
void copy_end(struct copy *k, char digest[65]);

/**
 * copy_sparse() - copy a file and leave holes where it has zeros
 *
 * Adds to the digest the size, and each nonzero block of 64 KiB with its index before it (8 bytes,
 * little-endian): the same for the same bytes, wherever the source has holes.  The copy is synced.
 * Return: 0, or -1: FAIL_STATE when the operation was cancelled, FAIL_HOST when there is no room.
 */
int copy_sparse(struct copy *k, const struct copy_file *f, struct error *e);

/* Copy a file byte for byte; adds the size and all bytes to the digest.  Synced; return: as
 * copy_sparse(). */
int copy_whole(struct copy *k, const struct copy_file *f, struct error *e);

#endif
