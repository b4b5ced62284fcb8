/* image.h - the configuration of the image that the guest runs (proto/image.h). */
#ifndef BANGER_AGENT_IMAGE_H
#define BANGER_AGENT_IMAGE_H

#include <stddef.h>

#include "proto/image.h"

struct image_config {
	size_t n; /* bytes of @text; 0: there is no configuration */
	char text[IMAGE_CONFIG_MAX + 1];
};

/* Read the configuration from the root of this process. */
void image_read(struct image_config *c);

/**
 * image_next() - find the next record of one kind
 * @at:	0 for the first one; moved behind the record
 *
 * Return: its text, or NULL.
 */
const char *image_next(const struct image_config *c, enum image_record kind, size_t *at);

/* Return: the signal that ends the image's programs; SIGTERM if the image names none. */
int image_signal(const struct image_config *c);

#endif
