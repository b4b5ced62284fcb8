/* pidfd.h - tests whether a process has exited, by its pidfd, which becomes readable then
 * (pidfd_open(2)). */
#ifndef BANGER_COMMON_PIDFD_H
#define BANGER_COMMON_PIDFD_H

#include <poll.h>
#include <stdbool.h>

/* Wait until the process of @pidfd has exited, at most @ms milliseconds; @pidfd -1: sleep for @ms.
 * Return: true if it has exited; false after @ms, or earlier after a signal. */
static inline bool pidfd_wait(int pidfd, int ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

/* True if the process of @pidfd has not exited.  False for -1, and after an error. */
static inline bool pidfd_alive(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return pidfd >= 0 && poll(&p, 1, 0) == 0;
}

#endif
