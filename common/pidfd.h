/* pidfd.h - has a process exited?  Asked of its pidfd, which becomes readable then
 * (pidfd_open(2)). */
#ifndef BANGER_COMMON_PIDFD_H
#define BANGER_COMMON_PIDFD_H

#include <poll.h>
#include <stdbool.h>

/* Wait until the process of @pidfd has exited, but not longer than @ms; -1 as @pidfd: just sleep
 * for so long.
 * Return: true once it has exited; false after @ms, or early when a signal came. */
static inline bool pidfd_wait(int pidfd, int ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

/* Is the process of @pidfd still there?  False for -1, and when the kernel does not say. */
static inline bool pidfd_alive(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return pidfd >= 0 && poll(&p, 1, 0) == 0;
}

#endif
