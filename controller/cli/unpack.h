/* unpack.h - reads whole files into memory and decompresses them (gzip, xz, zstd, lz4). */
#ifndef BANGER_CLI_UNPACK_H
#define BANGER_CLI_UNPACK_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "proto/control.h"

struct blob {
	uint8_t *data; /* malloc */
	size_t len;
};

static inline void blob_free(struct blob *b)
{
	free(b->data);
}

#define _cleanup_blob_ __attribute__((cleanup(blob_free)))

/* Read the whole regular file @path of at most @max bytes.  Return: 0, or -1 with @e. */
int blob_read(const char *path, size_t max, struct blob *out, struct error *e);

/**
 * blob_unpack() - decompress @in; its first bytes tell the kind of compression
 * @what:	for messages
 * @max:	maximum size of the result, in bytes
 *
 * Data without a known compression is copied.  Return: 0, or -1 with @e.
 */
int blob_unpack(const char *what, const uint8_t *in, size_t len, size_t max, struct blob *out,
		struct error *e);

#endif
