/* slot.c - derives a slot's ids, names and addresses from its number. */
#include "proto/slot.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "common/parse.h"

_Static_assert(sizeof(SLOT_TAP_PREFIX "999") <= IFNAMSIZ, "a tap's name fits ifreq");
_Static_assert(SLOT_DM_MINOR + SLOT_MAX < 1 << 20, "a dm minor has 20 bits");

uint32_t slot_uid(const struct config *c, uint32_t slot)
{
	return c->uid_base + slot;
}

void slot_tap(uint32_t slot, char out[16])
{
	(void)snprintf(out, 16, SLOT_TAP_PREFIX "%u", slot % SLOT_MAX);
}

int slot_of_tap(const char *name)
{
	size_t n = strlen(SLOT_TAP_PREFIX);
	uint64_t slot;

	if (strncmp(name, SLOT_TAP_PREFIX, n) != 0 ||
	    parse_uint(name + n, 0, SLOT_MAX - 1, &slot) < 0) {
		errno = EINVAL;
		return -1;
	}
	return (int)slot;
}

uint32_t slot_ip(const struct config *c, uint32_t slot)
{
	return c->subnet + 2 + slot;
}

uint32_t slot_gateway(const struct config *c)
{
	return c->subnet + 1;
}

void slot_mac(uint32_t slot, uint8_t mac[6])
{
	const uint8_t m[6] = { 0x02, 0xfc, 0, 0, (uint8_t)(slot >> 8), (uint8_t)slot };

	memcpy(mac, m, sizeof(m));
}

void slot_dm_name(uint32_t slot, char out[16])
{
	(void)snprintf(out, 16, SLOT_DM_PREFIX "%u", slot % SLOT_MAX);
}

void slot_dm_uuid(uint32_t slot, uint32_t generation, char out[40])
{
	(void)snprintf(out, 40, SLOT_UUID_PREFIX "%u-%u", slot, generation);
}
