/* paths.h - names that several rooms use: of files in state_dir and run_dir, and of a fact. */
#ifndef BANGER_CONTROLLER_PATHS_H
#define BANGER_CONTROLLER_PATHS_H

#include "common/config.h"

/* Make the path of @file in the slot's folder of state_dir or run_dir.  @file may be "": the
 * folder. */
void path_slot_state(const struct config *c, uint32_t slot, const char *file, char out[200]);
void path_slot_run(const struct config *c, uint32_t slot, const char *file, char out[200]);
/* images/<digest>.ext4 */
void path_image(const struct config *c, const char *digest, char out[256]);
/* volumes/<digest>.ext4; digest "": the folder */
void path_volume(const struct config *c, const char *digest, char out[256]);
/* kernels/<digest>/<file> */
void path_kernel(const struct config *c, const char *digest, const char *file, char out[256]);

/* banger.db */
void path_database(const struct config *c, char out[200]);
/* consoles */
void path_consoles(const struct config *c, char out[200]);
/* consoles/<slot>.<suffix> */
void path_console(const struct config *c, uint32_t slot, const char *suffix, char out[200]);

/* Make the key of the fact that tells whether KVM works, for this kernel and boot @boot_id. */
void key_kvm(const char *boot_id, char out[160]);

#endif
