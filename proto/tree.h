/* tree.h - the codec of a stream of files and folders, made from tree.def.
 *
 * The receiver treats the stream as hostile.  The codec allocates nothing, bounds each length, and
 * refuses what is out of order, so that a receiver sees only names of one component, in folders
 * that it has open, and files of the size that was announced. */
#ifndef BANGER_PROTO_TREE_H
#define BANGER_PROTO_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_HEAD 4      /* bytes of a record's header */
#define TREE_META 30     /* bytes of an entry before its name */
#define TREE_NAME 255    /* bytes of a name, as NAME_MAX */
#define TREE_TARGET 4095 /* bytes of a link's target */
#define TREE_CHUNK 32768 /* bytes of one DATA record */
#define TREE_DEPTH 200   /* folders in one another; each is an open descriptor */

enum tree_type {
#define RECORD(NAME, name, type, ...) TREE_##NAME = (type),
#include "proto/tree.def"
};

/* An entry.  mtime_ns is below 10^9, no id is (uint32_t)-1, and size is at most INT64_MAX. */
struct tree_entry {
	enum tree_type type;
	unsigned mode; /* 0 to 07777 */
	uint32_t uid, gid;
	int64_t mtime;
	uint32_t mtime_ns;
	uint64_t size;
	char name[TREE_NAME + 1];
	char target[TREE_TARGET + 1]; /* of SYMLINK and LINK; else "" */
};

/* A decoded record. */
struct tree_record {
	enum tree_type type;
	struct tree_entry entry;
	const uint8_t *data; /* DATA: @n bytes, valid until the next call for the same reader */
	uint64_t n;          /* DATA, HOLE: bytes */
};

/* The bytes that were received and not yet decoded, and the place in the stream.  Begins zeroed. */
struct tree_reader {
	size_t have, used;
	unsigned depth; /* folders that are open */
	bool in_file;   /* content is missing yet */
	uint64_t left;  /* bytes of it */
	bool ended;
	uint8_t buf[2 * (TREE_HEAD + TREE_CHUNK)];
};

/* Return: the name of a type of record, or NULL. */
const char *tree_record_name(unsigned type);

/**
 * tree_room() - make room for received bytes
 * @size:	out: bytes at the returned place, more than 0
 *
 * Invalidates the last record.  The caller adds the bytes that it has received to r->have.
 */
uint8_t *tree_room(struct tree_reader *r, size_t *size);

/**
 * tree_next() - decode one record
 * Return: 1, 0 if it is not complete yet, or -1: it is not of tree.def, or not in its place.
 */
int tree_next(struct tree_reader *r, struct tree_record *out);

/**
 * tree_put() - encode a record that is no entry
 * @out:	TREE_HEAD + @n bytes
 * @n:		as tree.def says
 *
 * Return: the length of the record.
 */
size_t tree_put(uint8_t *out, enum tree_type type, const void *data, size_t n);

/* Encode a HOLE of @n bytes into TREE_HEAD + 8 bytes.  Return: the length of the record. */
size_t tree_put_hole(uint8_t *out, uint64_t n);

/* The most bytes of an encoded entry. */
#define TREE_ENTRY_MAX (TREE_HEAD + TREE_META + TREE_NAME + 1 + TREE_TARGET)

/* Encode @e into at most TREE_ENTRY_MAX bytes.  Return: the length of the record. */
size_t tree_put_entry(uint8_t *out, const struct tree_entry *e);

/* Return: true if @name is one component of a path, and neither "." nor "..". */
bool tree_is_name(const char *name);

/* Return: true if @path is relative and each component is a name, as in LINK. */
bool tree_is_path(const char *path);

#endif
