/* store.h - the named parts of an image's input: files of a folder, or members of a tar. */
#ifndef BANGER_UNPACK_STORE_H
#define BANGER_UNPACK_STORE_H

#include "controller/unpack/stream.h"

#define TEXT_MOST (4u << 20) /* bytes of an index, a manifest or a configuration */

enum store_kind { STORE_TAR, STORE_OCI, STORE_DOCKER };

struct store {
	int input;     /* borrowed */
	bool folder;   /* the input is one */
	uint64_t most; /* bytes to which a compressed archive may unpack */
};

/* A part that is open. */
struct part {
	struct stream s; /* its bytes */
	/* of a tar */
	struct stream file, plain;
	struct archive *archive;
	int fd; /* of a folder */
};

/* What digest and size a part must have; both are optional. */
struct expected {
	const char *hex; /* 64 digits, or NULL */
	int64_t size;    /* or -1 */
};

/**
 * store_kind() - look what the input is
 *
 * A tar of a root file system is recognised by its first name that no archive of an image has.
 * Return: 0, or -1 with @e.
 */
int store_kind(const struct store *st, enum store_kind *kind, struct error *e);

/* Open the part @name.  Return: 0, or -1 with @e; in both cases the caller calls part_end(). */
int part_open(const struct store *st, const char *name, struct part *p, struct error *e);
/* Read the rest of a part, and compare it with what is expected.  Return: 0, or -1 with @e. */
int part_verify(struct part *p, const char *name, const struct expected *x, struct error *e);
void part_end(struct part *p);

/* Return: the verified text of a part, which the caller frees, or NULL with @e. */
char *store_text(const struct store *st, const char *name, const struct expected *x,
		 struct error *e);

#endif
