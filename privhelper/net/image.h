/* image.h - the interface between the role and generate/encode.c, which encodes the role's rules at
 * build time. */
#ifndef BANGER_PRIVHELPER_NET_IMAGE_H
#define BANGER_PRIVHELPER_NET_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define NET_TABLE "banger" /* of family bridge and of family inet */
#define NET_SET_GUEST "guest"
#define NET_SET_NAT4 "nat4"

/* The key of an element of the guest set.  In a concatenation, each part takes whole 32-bit
 * registers. */
struct net_guest_key {
	char tap[16];
	uint8_t mac[6], pad[2];
	uint32_t ip; /* network byte order */
};
_Static_assert(sizeof(struct net_guest_key) == 28, "no hole but the one that is named");

/* Fields of the rules that take a value of the configuration when the rules are loaded.  Each has a
 * fixed size; the image holds a placeholder there. */
enum net_place {
	/* char[16], with NULs to its end: the whole name, so that "banger0" is not "banger01" */
	PLACE_BRIDGE,
	PLACE_UPLINK, /* char[16]: the uplink's name; without one, the bridge's */
	/* NFT_CMP_EQ; without an uplink NFT_CMP_NEQ.  This and the rest are in network byte
	 * order */
	PLACE_UPLINK_OP,
	PLACE_RATE,  /* 64 bits: new flows of a guest in a second */
	PLACE_BURST, /* 32 bits: new flows of a guest that may come at once */
	PLACE_COUNT, /* 32 bits: open flows of a guest */
	PLACES,
};

#define NET_PLACE_MAX 16 /* bytes of the largest field */

/* One field: @len bytes at offset @at of the image take the value of @place.  The encoder has
 * checked that the fields are within the image and do not overlap, and that each @place has one
 * size. */
struct net_patch {
	uint16_t at;
	uint8_t place, len;
};

/* The rules: netlink messages one after another, each padded to NLMSG_ALIGNTO.  net_rules_load()
 * adds the messages that begin and end the batch. */
struct net_image {
	const uint8_t *bytes; /* aligned to 8 */
	size_t size;
	const struct net_patch *patches;
	size_t patch_count;
};

extern const struct net_image net_image;

#endif
