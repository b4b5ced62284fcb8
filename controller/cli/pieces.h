/* pieces.h - reads a file that the daemon gives in pieces: an image, or a part of a disk. */
#ifndef BANGER_CLI_PIECES_H
#define BANGER_CLI_PIECES_H

#include "controller/cli/cli.h"

/* Called with each piece of data, in order and without holes.  Return: 0, or -1 with @e. */
typedef int (*piece_fn)(void *arg, uint64_t at, const uint8_t *data, size_t n, struct error *e);

struct pieces {
	struct cli *c;
	int *conn;                /* kept open between requests; -1 after a failure */
	const char *name;         /* in errors */
	uint64_t size;            /* of the file, as the daemon said before */
	uint64_t offset;          /* what was read so far */
	uint64_t end;             /* where to end, at most @size */
	enum call_id call;        /* CALL_IMAGE_READ or CALL_VM_READ */
	union control_body *args; /* of it; pieces_read() fills in the offset */
	piece_fn take;
	void *arg;
};

/* Read the data from @p->offset to @p->end.  An answer that makes no sense ends it.  Return: 0, or
 * -1 with @e. */
int pieces_read(struct pieces *p, struct error *e);

#endif
