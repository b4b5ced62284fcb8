/* images.h - what the commands for images and kernels share: finished files, opened here and handed to the daemon. */
#ifndef BANGER_CLI_IMAGES_H
#define BANGER_CLI_IMAGES_H

#include <jansson.h>

#include "controller/cli/cli.h"

/* A regular file for reading, opened with the caller's rights.  Return: a descriptor, or -1 with @e. */
int open_input(const char *path, struct error *e);
/**
 * image_default() - the image of a VM for which none was named
 * @name:	the only image that the caller may use
 *
 * Return: 0, or -1 with @e: FAIL_USAGE lists the images when there are several, FAIL_NOT_FOUND says how to get one.
 */
int image_default(struct cli *c, char name[64], struct error *e);
/* Refuse an image without --kernel.  Return: 0, or -1 with @e. */
int need_kernel(struct cli *c, struct error *e);
/* Hand a finished ext4 to the daemon and print what became of it.  Return: 0, or -1 with @e. */
int image_import_fd(struct cli *c, const char *name, int fd, struct error *e);
/* Print the result of an import (and drop the reference).  Return: 0, or FAIL_GENERAL when stdout failed. */
int print_import(struct cli *c, const char *name, json_t *result);

#endif
