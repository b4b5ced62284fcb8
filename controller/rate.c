/* rate.c - token buckets of one number each: the time at which the bucket is full again.
 *
 * This is the generic cell rate algorithm of ITU-T I.371. */
#include "controller/rate.h"

#include <stddef.h>

#define NS 1000000000u

/* Return: the bucket of @uid.  If @uid has none, the fullest bucket is reset and becomes the bucket
 * of @uid. */
static struct rate_bucket *find_bucket(struct rate *r, uid_t uid)
{
	struct rate_bucket *fullest = &r->buckets[0];

	for (size_t i = 0; i < RATE_USERS; i++) {
		struct rate_bucket *b = &r->buckets[i];
		if (b->full_ns && b->uid == uid)
			return b;
		if (b->full_ns < fullest->full_ns)
			fullest = b;
	}
	*fullest = (struct rate_bucket){ .uid = uid };
	return fullest;
}

unsigned rate_take(struct rate *r, uid_t uid, uint64_t now_ns)
{
	struct rate_bucket *b = find_bucket(r, uid);
	uint64_t full = (b->full_ns > now_ns ? b->full_ns : now_ns) + r->interval_ns;
	uint64_t most = now_ns + r->burst * r->interval_ns;

	if (full > most)
		return (unsigned)((full - most + NS - 1) / NS);
	b->full_ns = full;
	return 0;
}
