/* slot.h - derives a slot's ids, names and addresses from its number.
 *
 * The roles and the controller compute these from the configuration, so no request carries a name
 * or an address. */
#ifndef BANGER_PROTO_SLOT_H
#define BANGER_PROTO_SLOT_H

#include <stdint.h>

#include "common/config.h"

#define SLOT_MAX 1000        /* slots are 0 .. config.slots - 1 */
#define SLOT_DM_MINOR 100000 /* minor of slot 0 (DM_PERSISTENT_DEV_FLAG); minors have 20 bits */
#define SLOT_TAP_PREFIX "bgr"
#define SLOT_DM_PREFIX "bgr-"
#define SLOT_UUID_PREFIX "BANGER-"
/* Ports to the guest's agent: one socket each, in the run folder of the slot. */
#define AGENT_PORTS_MAX 30
#define AGENT_PORT "agent%u"
/* The socket through which Firecracker forwards to the guest's vsock, in a slot's run folder. */
#define AGENT_VSOCK "vsock"
#define SLOT_BRIDGE_ALIAS "banger:bridge" /* identifies our bridge, whose name is configured */

/* Return: the uid and gid of the slot's VMM. */
uint32_t slot_uid(const struct config *c, uint32_t slot);

/* Write the name of the slot's tap, "bgr<slot>". */
void slot_tap(uint32_t slot, char out[16]);

/* Return: the slot of a tap's name, or -1 with EINVAL for any name that slot_tap() can not have
 * written. */
int slot_of_tap(const char *name);

/* Return: the IPv4 address of the guest, or of the bridge, in host byte order. */
uint32_t slot_ip(const struct config *c, uint32_t slot);
uint32_t slot_gateway(const struct config *c);

/* Write the guest's MAC, 02:fc:00:00:<slot, two bytes>: locally administered (IEEE 802, bit 1 of
 * the first byte). */
void slot_mac(uint32_t slot, uint8_t mac[6]);

/* Write the device-mapper name or uuid of the slot's disk: "bgr-<slot>",
 * "BANGER-<slot>-<generation>". */
void slot_dm_name(uint32_t slot, char out[16]);
void slot_dm_uuid(uint32_t slot, uint32_t generation, char out[40]);

#endif
