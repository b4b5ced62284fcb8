/* user_log.h - lines of the service's log that a user can cause as often as they like.
 *
 * The journal drops lines of a service that writes too many (RateLimitBurst= of journald.conf(5):
 * 10,000 in 30 s), the roles' checkpoints among them.  So each user has a bucket of lines. */
#ifndef BANGER_CONTROLLER_USER_LOG_H
#define BANGER_CONTROLLER_USER_LOG_H

#include <sys/types.h>

#define USER_LOG_BURST 100
#define USER_LOG_NS UINT64_C(1000000000) /* for one more line */

/* log_info(), unless the bucket of @uid is empty: then the line is left out, and the next line of
 * this user tells how many were.  Thread-safe. */
void user_log(uid_t uid, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
