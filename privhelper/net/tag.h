/* tag.h - the tag of an object: which VM it belongs to. */
#ifndef BANGER_PRIVHELPER_NET_TAG_H
#define BANGER_PRIVHELPER_NET_TAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/ops.h"

/* Who an object belongs to, as the kernel keeps it for us: the text "banger:<slot>:<generation>:<owner>" is the alias
 * of a tap and the comment of a set element. */
#define NET_TAG_PREFIX "banger:"
#define NET_TAG_MAX 48 /* with the NUL */

struct net_tag {
	uint32_t slot, generation, owner;
};

void net_tag_format(const struct net_tag *t, char out[NET_TAG_MAX]);

/* Return: false when @len bytes at @text (a NUL among them ends it) are anything but what net_tag_format() writes. */
bool net_tag_parse(const char *text, size_t len, struct net_tag *out);

/* The tag of the VM that @q names. */
struct net_tag net_tag_of(const struct request *q);

/* How a failed system call reads in the protocol. */
enum status net_status(int err);

#endif
