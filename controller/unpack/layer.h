/* layer.h - applies the tar of one layer to an image. */
#ifndef BANGER_UNPACK_LAYER_H
#define BANGER_UNPACK_LAYER_H

#include "controller/unpack/ext4.h"
#include "controller/unpack/stream.h"
#include "controller/unpack/tree.h"

#define ENTRIES_MOST 4000000 /* entries of all layers */

/* An image while it is made. */
struct image {
	struct ext4 ext4;
	struct tree tree;
	uint32_t layer;   /* the number of the layer that is applied, from 1 */
	uint64_t entries; /* of all layers so far */
	uint64_t left;    /* bytes that the layers may still unpack to */
	/* What `banger image show` tells: the SHA-256 of a container image's configuration, and the
	 * first LAYER_DIGITS of each layer's, separated by blanks. */
	char config[65], layers[2048];
};

#define LAYER_DIGITS 12

/**
 * image_begin() - begin an image in the empty file system @fd
 * @most:	bytes that all layers may unpack to
 *
 * Return: 0, or -1 with @e.
 */
int image_begin(struct image *im, int fd, uint64_t most, struct error *e);

/**
 * layer_apply() - apply one more layer
 * @tar:	its decompressed bytes, which are read as far as the tar goes
 *
 * As the OCI image specification says (layer.md): entries replace those of the layers before, and
 * a whiteout removes what is of layers before.  Attributes that a guest could not have made itself
 * are kept only if a kernel takes them from an image: security.capability, user.*, ACLs.
 * Return: 0, or -1 with @e.
 */
int layer_apply(struct image *im, struct stream *tar, struct error *e);

/* Make or replace a file of the image that banger itself adds.  Return: 0, or -1 with @e. */
int image_file(struct image *im, const char *path, const void *data, size_t n, struct error *e);

/* Write what is in memory alone and release @im.  Return: 0, or -1 with @e. */
int image_finish(struct image *im, struct error *e);
/* Release @im. */
void image_abandon(struct image *im);

#endif
