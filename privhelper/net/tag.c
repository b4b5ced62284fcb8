/* tag.c - writes and reads the tags of objects, and turns errors of the kernel into statuses. */
#include "privhelper/net/tag.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/parse.h"

void net_tag_format(const struct net_tag *t, char out[NET_TAG_MAX])
{
	(void)snprintf(out, NET_TAG_MAX, NET_TAG_PREFIX "%u:%u:%u", t->slot, t->generation,
		       t->owner);
}

/* Read the number at the front of *@text, up to ':' or the end, and move *@text behind it; NULL:
 * that was the end. */
static bool take_number(char **text, uint64_t min, uint64_t max, uint32_t *out)
{
	char *end = *text ? strchr(*text, ':') : NULL, *at = *text;
	uint64_t v;

	if (end)
		*end++ = '\0';
	*text = end;
	if (!at || parse_uint(at, min, max, &v) < 0)
		return false;
	*out = (uint32_t)v;
	return true;
}

bool net_tag_parse(const char *text, size_t len, struct net_tag *out)
{
	size_t prefix = strlen(NET_TAG_PREFIX), n = strnlen(text, len);
	char copy[NET_TAG_MAX], *at = copy + prefix;
	struct net_tag t;

	if (n < prefix || n >= sizeof(copy) || memcmp(text, NET_TAG_PREFIX, prefix) != 0)
		return false;
	memcpy(copy, text, n);
	copy[n] = '\0';
	if (!take_number(&at, 0, SLOT_MAX - 1, &t.slot) ||
	    !take_number(&at, 1, UINT32_MAX, &t.generation) ||
	    !take_number(&at, 0, UINT32_MAX - 1, &t.owner) || at)
		return false;
	*out = t;
	return true;
}

struct net_tag net_tag_of(const struct request *q)
{
	return (struct net_tag){ q->slot, q->generation, q->owner };
}

/* EXFULL: the bridge has its 1,023 ports (net/bridge/br_if.c, find_portno()).  ENFILE: the set is
 * full. */
enum status net_status(int err)
{
	switch (err) {
	case ENOSPC:
	case EXFULL:
	case ENFILE:
		return ST_LIMIT;
	case EBUSY:
		return ST_BUSY;
	default:
		log_warn("the kernel refused: %s", strerror(err));
		return ST_KERNEL;
	}
}
