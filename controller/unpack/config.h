/* config.h - puts a container image's configuration into its file system, for the agent. */
#ifndef BANGER_UNPACK_CONFIG_H
#define BANGER_UNPACK_CONFIG_H

#include <jansson.h>

#include "controller/unpack/layer.h"

/* Write proto/image.h's files from the configuration of an image (config.md of the OCI image
 * specification).  Return: 0, or -1 with @e. */
int config_write(struct image *im, const json_t *config, struct error *e);

#endif
