/* image.h - what the role and generate/encode.c, which encodes its rules when banger is built, agree on. */
#ifndef BANGER_PRIVHELPER_NET_IMAGE_H
#define BANGER_PRIVHELPER_NET_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define NET_TABLE "banger" /* of family bridge and of family inet */
#define NET_SET_GUEST "guest"
#define NET_SET_NAT4 "nat4"

/* The key of an element of the guest set.  In a concatenation, each part takes whole 32-bit registers. */
struct net_guest_key {
	char tap[16];
	uint8_t mac[6], pad[2];
	uint32_t ip; /* network byte order */
};
_Static_assert(sizeof(struct net_guest_key) == 28, "no hole but the one that is named");

/* What the rules take from root's configuration: fields of a fixed size, whose values in the image mean nothing. */
enum net_place {
	PLACE_BRIDGE,	 /* char[16], with NULs to its end: the whole name, so that "banger0" is not "banger01" */
	PLACE_UPLINK,	 /* char[16]: the uplink's name; without one, the bridge's */
	PLACE_UPLINK_OP, /* NFT_CMP_EQ; without an uplink NFT_CMP_NEQ.  This and the rest are in network byte order */
	PLACE_RATE,	 /* 64 bits: new flows of a guest in a second */
	PLACE_BURST,	 /* 32 bits: that may come at once */
	PLACE_COUNT,	 /* 32 bits: open flows of a guest */
	PLACES,
};

#define NET_PLACE_MAX 16 /* bytes of the largest */

/* @len bytes at offset @at of the image are a value of @place.  The encoder has checked that they are within the image,
 * that they do not overlap, and that each @place has its one size. */
struct net_patch {
	uint16_t at;
	uint8_t place, len;
};

/* Netlink messages one after another, each with the padding that the next one needs, without the marks of a batch. */
struct net_image {
	const uint8_t *bytes; /* aligned to 8 */
	size_t size;
	const struct net_patch *patches;
	size_t patch_count;
	unsigned rules; /* NFT_MSG_NEWRULE among the messages */
};

extern const struct net_image net_image;

#endif
