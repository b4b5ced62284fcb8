/* rate.h - limits the rate at which a user may begin operations that the roles log: a token bucket
 * for each uid. */
#ifndef BANGER_CONTROLLER_RATE_H
#define BANGER_CONTROLLER_RATE_H

#include <stdint.h>
#include <sys/types.h>

#define RATE_USERS 256 /* buckets that are not full, at a time */

/* Zero-initialize all members but the first two: every bucket is full at first. */
struct rate {
	unsigned burst;       /* tokens of a full bucket, at least 1 */
	uint64_t interval_ns; /* time in which one token is added, at least 1 */
	struct rate_bucket {
		uid_t uid;
		uint64_t full_ns; /* the time when the bucket is full again */
	} buckets[RATE_USERS];
};

/**
 * rate_take() - take one token out of the bucket of @uid
 * @now_ns:	CLOCK_BOOTTIME; never less than in an earlier call
 *
 * The caller serializes calls.  When more than RATE_USERS users have buckets that are not full, the
 * fullest of these buckets is reset to full.
 * Return: 0 when a token was taken; else the seconds until the next token, at least 1.
 */
unsigned rate_take(struct rate *r, uid_t uid, uint64_t now_ns);

#endif
