/* clock.h - the two clocks we use, as integers. */
#ifndef BANGER_COMMON_CLOCK_H
#define BANGER_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

#ifdef BANGER_FAILPOINTS
#include <stdbool.h>
/* Clocks that the test makes jump; weak: a program may be built without. */
int64_t failpoint_clock_shift(bool wall) __attribute__((weak));
#define CLOCK_SHIFT(wall) (failpoint_clock_shift ? (uint64_t)failpoint_clock_shift(wall) : 0)
#else
#define CLOCK_SHIFT(wall) 0
#endif

/*
 * Nanoseconds of CLOCK_MONOTONIC since boot (never back, and not during suspend): durations and bounds.  A guest that was
 * asked to power off slept as long as we did, and has the rest of its time behind.
 */
static inline uint64_t clock_boot_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec + CLOCK_SHIFT(false);
}

/* Nanoseconds of CLOCK_REALTIME since 1970: records for people, never compared. */
static inline uint64_t clock_wall_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec + CLOCK_SHIFT(true);
}

#endif
