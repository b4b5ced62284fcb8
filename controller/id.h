/* id.h - makes unique ids of VMs and operations: 16 random bytes. */
#ifndef BANGER_CONTROLLER_ID_H
#define BANGER_CONTROLLER_ID_H

#include "common/parse.h"

/**
 * id_new() - fill @id with random bytes of the kernel's pool
 *
 * The call can not fail in practice: getrandom(2) fills up to 256 bytes completely once the pool is
 * initialized, and the kernel initializes it before services start.  If it fails all the same, the
 * process ends, since an id of zeros might not be unique.
 */
void id_new(uint8_t id[ID_LEN]);

#endif
