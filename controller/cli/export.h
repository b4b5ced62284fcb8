/* export.h - writes a file system to a file that the user named, or to standard output. */
#ifndef BANGER_CLI_EXPORT_H
#define BANGER_CLI_EXPORT_H

#include "controller/cli/cli.h"

/* The output of an export.  Its bytes come in order. */
struct sink {
	struct cli *c;
	const char *name; /* in errors */
	const char *hint; /* what helps when the disk is full, or NULL */
	int fd;
	bool sparse; /* a new file: what is left out is a hole */
	uint64_t at; /* bytes so far */
};

/* Append zeros up to @at, then @n bytes.  Return: 0, or -1 with @e: @at is behind what was written,
 * a held signal has arrived, or the output can not be written. */
int sink_put(struct sink *s, uint64_t at, const void *data, size_t n, struct error *e);

/* Append zeros up to @size, the end.  Return: as sink_put(). */
int sink_end(struct sink *s, uint64_t size, struct error *e);

/* Where the bytes come from. */
struct export_source {
	/* Write all of it.  Return: 0, or -1 with @e. */
	int (*copy)(void *arg, struct sink *to, struct error *e);
	void *arg;
	mode_t mode; /* of a new file, less the umask */
};

/* Refuse an output that can not be one, before anything is read: a terminal, or a path of something
 * that is no regular file.  @path: "-": standard output.  Return: 0, or -1 with @e: FAIL_USAGE. */
int export_check(const struct cli *c, const char *path, struct error *e);

/**
 * export_to() - write an export to a new file, which then takes the place of @path
 * @path:	"-": standard output
 *
 * The new file has no name until it is complete, where the file system can do that (open(2),
 * O_TMPFILE), so that a killed export leaves nothing.
 * Return: 0, or -1 with @e.
 */
int export_to(struct cli *c, const char *path, const struct export_source *from, struct error *e);

#endif
