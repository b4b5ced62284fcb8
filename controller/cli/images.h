/* images.h - shared by the commands for images and kernels: opens files and passes them to the
 * daemon. */
#ifndef BANGER_CLI_IMAGES_H
#define BANGER_CLI_IMAGES_H

#include <jansson.h>

#include "controller/cli/cli.h"

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
/**
 * image_default() - find the image of a VM for which the user named none
 * @name:	the only image that the caller may use
 *
 * Return: 0, or -1 with @e: FAIL_USAGE lists the images when there are several, FAIL_NOT_FOUND says
 * how to get one.
 */
int image_default(struct cli *c, char name[64], struct error *e);
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
/**
 * image_reference_name() - make a name of a reference to an image of a registry
 * @name:	out: the last part of the reference, then, each behind a "-", a tag that is not
 *		"latest" and the first 24 digits of a digest
 *
 * Return: 0, or -1 with @e: it is too long.  A part of a name could be that of another image.
 */
int image_reference_name(const char *reference, char name[64], struct error *e);
/* Refuse an ext4 that a guest could not mount: shorter than its superblock says, or with features
 * that Linux 6.1 lacks.  The daemon checks other files.  Return: 0, or -1 with @e. */
int image_check(int fd, const char *path, struct error *e);
/* Pass a complete ext4 to the daemon.  @result: out: what it answered, the caller's.  Return: 0, or
 * -1 with @e. */
int image_send(struct cli *c, const char *name, int fd, json_t **result, struct error *e);
/* Return: 1: the caller may use an image of that name; 0; or -1 with @e. */
int image_exists(struct cli *c, const char *name, struct error *e);
/**
 * image_named() - find the image that a user names for a VM, and pull it if there is none
 * @ref:	the name of an image here, or a reference to one of a registry
 * @name:	out: the name of the image
 *
 * Return: 0, or -1 with @e.
 */
int image_named(struct cli *c, const char *ref, char name[64], struct error *e);
/* Print the result of an import (and drop the reference).  Return: 0, or FAIL_GENERAL when stdout
 * failed. */
int print_import(struct cli *c, const char *name, json_t *result);

#endif
