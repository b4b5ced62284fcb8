/* slot.h - everything that a slot's number decides.
 *
 * Both sides compute these from root's configuration, so no name and no
 * address ever crosses the boundary, and a lost one can be computed again. */
#ifndef BANGER_PROTO_SLOT_H
#define BANGER_PROTO_SLOT_H

#include <stdint.h>

#include "common/config.h"

#define SLOT_MAX 1000           /* slots are 0 .. config.slots - 1 */
#define SLOT_DM_MINOR 100000    /* dm minor of slot 0 (DM_PERSISTENT_DEV_FLAG); minors have 20 bits */
#define SLOT_TAP_PREFIX "bgr"
#define SLOT_DM_PREFIX "bgr-"
#define SLOT_UUID_PREFIX "BANGER-"
#define SLOT_BRIDGE_ALIAS "banger:bridge" /* by which our bridge is known, whatever its name */

/* The uid, and gid, of the slot's VMM. */
uint32_t slot_uid(const struct config *c, uint32_t slot);

/* "bgr<slot>" into @out. */
void slot_tap(uint32_t slot, char out[16]);

/* The slot of a tap's name.  Return: the slot, or -1 with EINVAL when it is not one of ours. */
int slot_of_tap(const char *name);

/* IPv4 address of the guest, and of the bridge, in host byte order. */
uint32_t slot_ip(const struct config *c, uint32_t slot);
uint32_t slot_gateway(const struct config *c);

/* 02:fc:00:00:<slot, two bytes>: locally administered (IEEE 802, bit 1 of the first byte). */
void slot_mac(uint32_t slot, uint8_t mac[6]);

/* Device-mapper name and uuid of the slot's disk: "bgr-<slot>", "BANGER-<slot>-<generation>". */
void slot_dm_name(uint32_t slot, char out[16]);
void slot_dm_uuid(uint32_t slot, uint32_t generation, char out[40]);

#endif
