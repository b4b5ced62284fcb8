/* id.h - ids that no other VM or operation has: 16 random bytes. */
#ifndef BANGER_CONTROLLER_ID_H
#define BANGER_CONTROLLER_ID_H

#include "common/parse.h"

/**
 * id_new() - fill @id with random bytes of the kernel's pool
 *
 * It can not come short: a read of up to 256 bytes is whole once the pool is ready (getrandom(2)),
 * and the pool is ready before any service starts.  A kernel that refuses it all the same ends the
 * process, since an id of zeros could be another's.
 */
void id_new(uint8_t id[ID_LEN]);

#endif
