/* rate.h - how often a user may begin what the roles write to their request logs: a token bucket for each uid. */
#ifndef BANGER_CONTROLLER_API_RATE_H
#define BANGER_CONTROLLER_API_RATE_H

#include <stdint.h>
#include <sys/types.h>

#define RATE_USERS 256 /* buckets that are not full, at a time */

/* Every bucket is full at first: zero but for the first two members. */
struct rate {
	unsigned burst;       /* tokens of a full bucket, at least 1 */
	uint64_t interval_ns; /* until one more token is there, at least 1 */
	struct rate_bucket {
		uid_t uid;
		uint64_t full_ns; /* the time when the bucket is full again */
	} buckets[RATE_USERS];
};

/**
 * rate_take() - take one token out of the bucket of @uid
 * @now_ns:	CLOCK_BOOTTIME; never less than in an earlier call
 *
 * Not for several threads at once.  Where more than RATE_USERS users have buckets that are not full, the one that is
 * nearest to full is forgotten, that is, full.
 * Return: 0; else the seconds until there is a token, at least 1, and none was taken.
 */
unsigned rate_take(struct rate *r, uid_t uid, uint64_t now_ns);

#endif
