/* tag.h - writes and reads an object's tag, the text that names the VM it belongs to. */
#ifndef BANGER_PRIVHELPER_NET_TAG_H
#define BANGER_PRIVHELPER_NET_TAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/ops.h"

/* The kernel keeps the tag with the object: "banger:<slot>:<generation>:<owner>", all decimal, is
 * the alias of a tap and the comment of a set element. */
#define NET_TAG_PREFIX "banger:"
#define NET_TAG_MAX 48 /* with the NUL */

struct net_tag {
	uint32_t slot, generation, owner;
};

/* Write the tag as text, with a NUL. */
void net_tag_format(const struct net_tag *t, char out[NET_TAG_MAX]);

/* Read a tag of at most @len bytes at @text; a NUL ends it.  Return: true, or false for any text
 * that net_tag_format() can not have written. */
bool net_tag_parse(const char *text, size_t len, struct net_tag *out);

/* The tag of the VM that @q names. */
struct net_tag net_tag_of(const struct request *q);

/* Turn the errno of a failed system call into a status: ST_LIMIT, ST_BUSY, or ST_KERNEL
 * (logged). */
enum status net_status(int err);

#endif
