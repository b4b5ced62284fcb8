/* log.h - writes one line to standard error for the service manager, without syslog and stdio.
 *
 * A line begins with the program's name.  If standard error is no terminal, the level of
 * sd-daemon(3) comes first ("<3>"). */
#ifndef BANGER_COMMON_LOG_H
#define BANGER_COMMON_LOG_H

#include <stdnoreturn.h>

/* Set the name that begins each line; a static string. */
void log_name(const char *name);

/* Write one line; errno stays.  A line of more than 1,023 bytes is cut, and control characters
 * become '?'. */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* log_error() with ": " and the description of errno behind it. */
void log_errno(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* log_errno() or log_error(), then _exit(@status). */
noreturn void die_errno(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
noreturn void die(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
