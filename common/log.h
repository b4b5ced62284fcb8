/* log.h - one line on standard error for the service manager; no syslog, no stdio state.
 *
 * Lines carry the sd-daemon(3) level prefix ("<3>") when standard error is
 * not a terminal, and the program's name. */
#ifndef BANGER_COMMON_LOG_H
#define BANGER_COMMON_LOG_H

#include <stdnoreturn.h>

/* Set the name that starts each line; a static string. */
void log_name(const char *name);

/* One line; errno is not touched.  The line is cut at 1,000 bytes, control bytes become '?'. */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* log_error() with ": <strerror(errno)>" behind it. */
void log_errno(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* log_errno() or log_error(), then _exit(@status). */
noreturn void die_errno(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
noreturn void die(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
