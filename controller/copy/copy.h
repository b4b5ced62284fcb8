/* copy.h - sends and receives files and folders as a stream of records (proto/tree.def).
 *
 * The command line and the agent in a guest share it; each copies in a process of its own, with the
 * rights of the user of its side.  A copy is the only one of its process. */
#ifndef BANGER_COPY_COPY_H
#define BANGER_COPY_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/tree.h"

/* How a copy ended; the number is an exit status. */
enum copy_end {
	COPY_DONE = 0,
	COPY_FAILED = 1,  /* nothing was copied, or the receiver stopped */
	COPY_CUT = 2,     /* the other side has closed the stream; nothing was reported */
	COPY_PARTLY = 10, /* the sender could not read some of it, or sent less than was asked */
};

struct copy {
	int fd;      /* the stream of records, blocking */
	bool owners; /* receiver: keep owners, and the set-user-id, set-group-id and sticky bits */
	bool follow; /* sender: follow a named path that is a symbolic link */
	bool into;   /* receiver: the destination must be a folder */
	/* receiver: the names that the outermost entries may have, in their order; NULL ends them.
	 * NULL: any */
	const char *const *names;
	/* Reports what was not copied, and why.  Texts of the peer are as they came. */
	void (*problem)(const char *path, const char *why);
	/* Reports progress: bytes of @path that were moved, 0 at its begin.  NULL: not wanted */
	void (*moved)(const char *path, uint64_t bytes);
};

/**
 * copy_send() - send files and folders
 * @paths:	NULL-terminated; a folder is sent with all that is in it
 *
 * What can not be read is reported and left out, and the copy goes on.  Devices, sockets and FIFOs
 * in a folder are reported and left out, which is no failure.
 */
enum copy_end copy_send(const struct copy *c, char *const *paths);

/**
 * copy_receive() - make the files and folders of a stream
 * @to:		a folder, which gets the entries; else the name that the only entry gets.  With
 *		a '/' at its end it is a folder.
 *
 * Follows no symbolic link but those of @to.  With @c->names @to itself must not be one: a sender
 * that is not trusted may have made it in an earlier copy.  A file is made beside its place under
 * another name, and renamed when it is complete.  The first thing that can not be made ends the
 * copy.
 */
enum copy_end copy_receive(const struct copy *c, const char *to);

/**
 * copy_expected() - check the name of an outermost entry
 * @names:	as struct copy's
 * @seen:	in, out: names before the next one that may come; begins with 0
 *
 * Return: true if the name is one of those from @seen on.
 */
bool copy_expected(const char *const *names, size_t *seen, const char *name);

/* Remove the file that copy_receive() has not completed, and end the process.  A signal handler. */
void copy_abandon(int sig);

/**
 * copy_name() - the name under which copy_send() sends @path
 *
 * It is the last component; "" if that is "." or "..", or for "/": then the folder itself is not
 * named, and its entries go into the destination.
 * Return: @name, or NULL if it is longer than TREE_NAME.
 */
const char *copy_name(const char *path, char name[TREE_NAME + 1]);

/* ---- streams; for copies that have no files on one side ---- */

/* A stream that is written. */
struct copy_out {
	int fd;
	size_t have;
	uint8_t buf[2 * TREE_CHUNK];
};

/* Each returns 0, or -1 with errno. */
int copy_put(struct copy_out *o, enum tree_type type);
int copy_put_entry(struct copy_out *o, const struct tree_entry *e);
int copy_put_data(struct copy_out *o, const uint8_t *data, size_t n);
int copy_put_hole(struct copy_out *o, uint64_t n);
int copy_flush(struct copy_out *o);

/* Wait for the next record.  Return: 1, 0 at the end of file, or -1: it is not one, or errno. */
int copy_next(int fd, struct tree_reader *r, struct tree_record *out);

/* A path that grows and shrinks by components.  What does not fit is left out. */
struct copy_path {
	char v[8192];
	size_t n;
};

/* Add a component; "" adds none.  Return: the length before, for copy_path_cut(). */
size_t copy_path_add(struct copy_path *p, const char *name);
void copy_path_cut(struct copy_path *p, size_t n);

#endif
