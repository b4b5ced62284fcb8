/* paths.h - where the files of slots, images and kernels are, below config.state_dir and run_dir. */
#ifndef BANGER_CONTROLLER_PATHS_H
#define BANGER_CONTROLLER_PATHS_H

#include "common/config.h"

void path_slot_state(const struct config *c, uint32_t slot, const char *file, char out[200]);
void path_slot_run(const struct config *c, uint32_t slot, const char *file, char out[200]);
void path_image(const struct config *c, const char *digest, char out[256]);               /* images/<digest>.ext4 */
void path_kernel(const struct config *c, const char *digest, const char *file, char out[256]); /* kernels/<digest>/<file> */

#endif
