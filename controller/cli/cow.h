/* cow.h - reads the exceptions of a CoW store: which chunks of a snapshot differ from its origin,
 * and where the store has them.
 *
 * The kernel writes the store (drivers/md/dm-snap-persistent.c): a chunk of header, then areas.  An
 * area is one chunk of metadata, 256 exceptions of 16 bytes, and the chunks that it describes.  The
 * first exception whose place in the store is 0 ends the list.  All numbers are little-endian.
 * The store is read as a stranger's: no number of it is used unchecked. */
#ifndef BANGER_CLI_COW_H
#define BANGER_CLI_COW_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define COW_CHUNK 4096u /* bytes; what the blk role makes snapshots with */

/* Chunk @old of the origin is replaced by chunk @new of the store. */
struct cow_exception {
	uint64_t old, new;
};

struct cow {
	struct cow_exception *v; /* by @old, each once */
	size_t n, room;
};

struct cow_store {
	uint64_t size;   /* bytes */
	uint64_t origin; /* bytes of the origin */
	/* Read exactly @n bytes at @at, which are below @size.  Return: 0, or -1 with @e. */
	int (*read)(void *arg, uint64_t at, uint8_t *buf, size_t n, struct error *e);
	void *arg;
};

/**
 * cow_read() - read all exceptions of a store
 * @w:	out: to be freed by cow_free(), after a failure too.  Each chunk @old begins below the size
 *	of the origin, and each chunk @new is whole in the store.
 *
 * The memory of @w is bounded by the number of chunks of the origin, whatever the store says.
 * A store that no start has used is all zeros, and has no exceptions.  One that the kernel has
 * marked as invalid, for want of disk space, is read as the next start would use it: it has the
 * state of a power cut (controller/storage/disk_dm.c).
 * Return: 0, or -1 with @e: FAIL_GENERAL for a store that the kernel can not have written.
 */
int cow_read(struct cow *w, const struct cow_store *s, struct error *e);

void cow_free(struct cow *w);

#endif
