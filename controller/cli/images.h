/* images.h - shared by the commands for images and kernels: opens files and passes them to the
 * daemon. */
#ifndef BANGER_CLI_IMAGES_H
#define BANGER_CLI_IMAGES_H

#include <jansson.h>

#include "controller/cli/cli.h"
#include "controller/cli/reference.h"

/**
 * open_input() - open a file that the user named, with the user's rights
 *
 * @path:	a path, or "-": standard input
 *
 * Takes a regular file or an unnamed pipe, as `<(zcat x.gz)` makes one.  The data of a pipe is
 * copied to an unnamed file in the folder of tempdir_make().  Other types, such as named FIFOs, are
 * refused at once.  Return: a descriptor for reading a regular file, or -1 with @e.
 */
int open_input(struct cli *c, const char *path, struct error *e);
/* Make an unnamed file for reading and writing, in a folder as of tempdir_make().  Nothing of it is
 * left, however the program ends.  Return: a descriptor, or -1 with @e. */
int unnamed_file(struct error *e);
/* Open the unnamed file @fd once more, for reading alone: what the daemon is given.  Return: a
 * descriptor, or -1 with errno. */
int reopen_input(int fd);
/**
 * need_kernel() - choose the kernel of an image for which the user named none
 *
 * Sets c->opt.kernel to the only kernel that there is.  Without any, Debian's is fetched and
 * imported.
 * Return: 0, or -1 with @e: FAIL_USAGE lists the kernels when there are several.
 */
int need_kernel(struct cli *c, struct error *e);
/* Fetch Debian's kernel by apt and import it as @name.  Return: 0, or -1 with @e. */
int kernel_fetch(struct cli *c, const char *name, struct error *e);
/* Refuse an ext4 that a guest could not mount: shorter than its superblock says, or with features
 * that Linux 6.1 lacks.  The daemon checks other files.  Return: 0, or -1 with @e. */
int image_check(int fd, const char *path, struct error *e);
/* What the daemon is told of an image: the fields of CALL_IMAGE_IMPORT. */
struct image_made {
	const char *name;
	char origin[ORIGIN_SIZE], config[65], layers[2048];
};

/* Pass a complete ext4 to the daemon.  @result: out: what it answered, the caller's.  Return: 0, or
 * -1 with @e. */
int image_send(struct cli *c, const struct image_made *m, int fd, json_t **result, struct error *e);

/**
 * image_pull() - fetch an image of a registry by skopeo and import it
 * @origin:	of reference_origin()
 * @result:	out: what the daemon answered, the caller's
 *
 * Return: 0, or -1 with @e.
 */
int image_pull(struct cli *c, const char *name, const char *origin, json_t **result,
	       struct error *e);

/**
 * image_build() - build a Debian of the release c->opt.suite, or of the host's, and import it
 * @origin:	what its record says; "": the release
 * @result:	out: what the daemon answered, the caller's
 *
 * Return: 0, or -1 with @e.
 */
int image_build(struct cli *c, const char *name, const char *origin, json_t **result,
		struct error *e);

/* ---- the image that a user means ---- */

/* Names for a message: their number, the first one, and as many as there is room for. */
struct names {
	size_t n;
	char first[64], last[64], list[160];
};
/* Add a name of a sorted list.  A name that two owners use is added once. */
void names_add(struct names *l, const char *name);

/* Return: true if the name of an image or kernel without its owner means this one.  Root is shown
 * those of all users, but means its own. */
bool goes_by_name(uint64_t owner);

/**
 * image_for_vm() - choose the image of a new VM, and make it if it is not here
 * @ref:	what the user named: an image here, a name of root's catalogue, or a reference to an
 *		image of a registry; NULL: nothing but perhaps --image
 * @name:	room for the value of c->opt.image, a name or UID/NAME as image_reference() has it
 *
 * A name means the image that has it.  A reference means an image of that origin alone: another
 * image that has the name which the reference would get is refused.  Without a word the only image
 * is chosen, of several the default of root's catalogue.  On a host without images the default is
 * made: the catalogue's, else a Debian of the host's release.
 * Return: 0, or -1 with @e.
 */
int image_for_vm(struct cli *c, const char *ref, char name[80], struct error *e);

/* Write the reference that means this image and no other one of its name: the name of the caller's
 * own, UID/NAME of another user's, root included. */
void image_reference_of(const struct ev_image *i, char ref[80]);

/**
 * image_reference() - write the reference that the daemon understands
 * @ref:	a name of an image, or its digest: sha256:DIGITS or DIGITS, 12 to 64 of them
 * @name:	out: @ref, or image_reference_of() the image that has this digest
 *
 * Return: 0, or -1 with @e: no image, or several, have that digest.
 */
int image_reference(struct cli *c, const char *ref, char name[80], struct error *e);

/* Refuse a name that an image of the caller's has, before the work of making one.  @instead: the
 * command with another name, for the hint.  Return: 0, or -1 with @e: FAIL_STATE. */
int image_check_free(struct cli *c, const char *name, const char *instead, struct error *e);

/* Print the result of an import (and drop the reference).  Return: 0, or FAIL_GENERAL when stdout
 * failed. */
int print_import(struct cli *c, const char *name, json_t *result);

#endif
