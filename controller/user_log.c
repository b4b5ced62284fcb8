/* user_log.c - bounds the lines of the service's log that a user causes. */
#include "controller/user_log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/lock.h"
#include "common/log.h"
#include "controller/rate.h"

/* One for the process, as its log is. */
static struct {
	pthread_mutex_t lock;
	struct rate rate;
	/* lines left out, of all users who share a place of the table */
	unsigned left_out[RATE_USERS];
} lines = { .lock = PTHREAD_MUTEX_INITIALIZER,
	    .rate = { .burst = USER_LOG_BURST, .interval_ns = USER_LOG_NS } };

/* Return: the number of lines that were left out before this one; -1: this one is left out too. */
static int64_t take(uid_t uid)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&lines.lock);
	unsigned *left_out = &lines.left_out[uid % RATE_USERS];

	if (rate_take(&lines.rate, uid, clock_boot_ns())) {
		*left_out += 1;
		return -1;
	}
	const int64_t n = *left_out;
	*left_out = 0;
	return n;
}

void user_log(uid_t uid, const char *fmt, ...)
{
	const int64_t before = take(uid);
	char line[512];
	va_list ap;

	if (before < 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (before)
		log_info("%s (%lld lines about VMs of uid %u were left out before)", line,
			 (long long)before, uid);
	else
		log_info("%s", line);
}
