/* stream.h - bytes of the input on their way to a reader: parts of files, members of archives,
 * decompressed data, each with its SHA-256 and its bound. */
#ifndef BANGER_UNPACK_STREAM_H
#define BANGER_UNPACK_STREAM_H

#include <archive.h>
#include <archive_entry.h>
#include <sha2.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

#define DIGEST_HEX 65

/* A source of bytes.  Zero it, then call one of the functions that make it. */
struct stream {
	/* The next bytes: *data is valid until the next call.  Return: their number, 0 at the end,
	   -1 with @why. */
	ssize_t (*read)(struct stream *s, const void **data);
	char why[200];
	uint64_t passed, most; /* bytes so far, and their bound */
	SHA2_CTX sha;
	/* of stream_file() and stream_buffer() */
	int fd;
	void *buffer;
	/* of stream_member() and stream_plain(): */
	struct stream *from;
	struct archive *archive;
};

/* Read the regular file @fd from its begin.  The descriptor stays the caller's. */
int stream_file(struct stream *s, int fd, struct error *e);

/* Read the data of the entry that @a has come to.  The archive stays the caller's. */
void stream_member(struct stream *s, struct archive *a);

/* Decompress @from (gzip, zstd, xz, bzip2), or take it as it is. */
int stream_plain(struct stream *s, struct stream *from, uint64_t most, struct error *e);

/* Read the next bytes, count and hash them.  Return: as struct stream's read. */
ssize_t stream_next(struct stream *s, const void **data);

/* Read @s to its end and write the hex digits of its SHA-256.  Return: 0, or -1 with @e. */
int stream_digest(struct stream *s, char hex[DIGEST_HEX], struct error *e);

/* Read @s to its end into a buffer with a NUL behind its bytes.  Return: the buffer, which the
 * caller frees, or NULL with @e: it has more than @most bytes, or an error. */
char *stream_text(struct stream *s, size_t most, struct error *e);

/* Open @s as a tar archive.  Return: 0, or -1 with @e. */
int stream_tar(struct stream *s, struct archive **a, struct error *e);

void stream_end(struct stream *s);

#endif
