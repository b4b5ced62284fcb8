/* layout.h - finds the layers of an input: a tar of a root file system, an OCI layout as a folder
 * or a tar, or the archive of `docker save`. */
#ifndef BANGER_UNPACK_LAYOUT_H
#define BANGER_UNPACK_LAYOUT_H

#include "controller/unpack/layer.h"

/**
 * layout_apply() - apply all layers of the input
 * @input:	a regular file, or a folder
 * @pick:	the tag of the image that is meant; empty: there must be one alone
 *
 * What the input is, its content says.  Each digest in it is verified.
 * Return: 0, or -1 with @e.
 */
int layout_apply(struct image *im, int input, const char *pick, struct error *e);

#endif
