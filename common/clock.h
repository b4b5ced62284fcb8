/* clock.h - reads two clocks as nanoseconds. */
#ifndef BANGER_COMMON_CLOCK_H
#define BANGER_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

#ifdef BANGER_FAILPOINTS
#include <stdbool.h>
/* Return: nanoseconds by which the test shifts a clock.  Weak, because a program may be built
 * without failpoint.c. */
int64_t failpoint_clock_shift(bool wall) __attribute__((weak));
#define CLOCK_SHIFT(wall) (failpoint_clock_shift ? (uint64_t)failpoint_clock_shift(wall) : 0)
#else
#define CLOCK_SHIFT(wall) 0
#endif

/* Return: nanoseconds of CLOCK_MONOTONIC since boot, for durations and time limits.  The clock
 * never goes back, and does not count suspend (clock_gettime(2)).  So a guest that is shutting down
 * when the host suspends has the rest of its time after the resume. */
static inline uint64_t clock_boot_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec + CLOCK_SHIFT(false);
}

/* Return: nanoseconds of CLOCK_REALTIME since 1970, for records that users read.  It may jump, so
 * it is never compared. */
static inline uint64_t clock_wall_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec + CLOCK_SHIFT(true);
}

#endif
