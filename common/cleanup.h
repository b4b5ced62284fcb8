/* cleanup.h - releases descriptors, memory and streams at the end of a scope.
 *
 * A variable that is marked _cleanup_close_, _cleanup_free_ or _cleanup_fclose_ is released when it
 * goes out of scope, so a function needs no labels for clean-up.  steal_fd() and steal_ptr() return
 * the value and empty the variable. */
#ifndef BANGER_COMMON_CLEANUP_H
#define BANGER_COMMON_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

/* Close *@fd unless it is negative and set it to -1.  errno stays as it was, so that an error path
 * can close first and report afterwards. */
static inline void close_and_reset(int *fd)
{
	int saved = errno;

	cleanup_close(fd);
	*fd = -1;
	errno = saved;
}

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

#define _cleanup_close_ __attribute__((cleanup(cleanup_close)))
#define _cleanup_free_ __attribute__((cleanup(cleanup_free)))
#define _cleanup_fclose_ __attribute__((cleanup(cleanup_fclose)))

static inline int steal_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

#define steal_ptr(pp)                         \
	({                                    \
		__typeof__(*(pp)) v_ = *(pp); \
		*(pp) = NULL;                 \
		v_;                           \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
