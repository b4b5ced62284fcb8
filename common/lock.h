/* lock.h - locks a mutex until the end of a scope. */
#ifndef BANGER_COMMON_LOCK_H
#define BANGER_COMMON_LOCK_H

#include <pthread.h>

struct lock_guard {
	pthread_mutex_t *mutex;
};

/* Lock @mutex, which this thread must not hold.  The caller puts the result into a variable that is
 * marked _cleanup_unlock_. */
static inline struct lock_guard lock_guard(pthread_mutex_t *mutex)
{
	(void)pthread_mutex_lock(mutex);
	return (struct lock_guard){ mutex };
}

static inline void cleanup_unlock(struct lock_guard *g)
{
	(void)pthread_mutex_unlock(g->mutex);
}

#define _cleanup_unlock_ __attribute__((cleanup(cleanup_unlock), unused))

#endif
