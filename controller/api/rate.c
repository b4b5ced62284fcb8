/* rate.c - token buckets that need one number each: a bucket's level is the time until it is full (the generic cell rate
 * algorithm, ITU-T I.371). */
#include "controller/api/rate.h"

#include <stddef.h>

#define NS 1000000000u

/* The bucket of @uid, or else the one that is full, or nearest to it. */
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
