/* log.c - writes one line to standard error. */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *program = "banger";

void log_name(const char *name)
{
	program = name;
}

static void emit(int level, const char *suffix, const char *fmt, va_list ap)
{
	int saved = errno;
	char line[1024];
	size_t room = sizeof(line) - 1, n = 0;
	int w = isatty(STDERR_FILENO) ? 0 : snprintf(line, room, "<%d>", level);

	n += w > 0 ? (size_t)w : 0;
	w = snprintf(line + n, room - n, "%s: ", program);
	n += w > 0 ? (size_t)w : 0;
	size_t text = n;
	w = vsnprintf(line + n, room - n, fmt, ap);
	n += w > 0 ? (size_t)w : 0;
	if (n < room && suffix) {
		w = snprintf(line + n, room - n, ": %s", suffix);
		n += w > 0 ? (size_t)w : 0;
	}
	if (n > room - 1)
		n = room - 1;
	for (size_t i = text; i < n; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 127)
			line[i] = '?';
	line[n++] = '\n';
	(void)!write(STDERR_FILENO, line, n);
	errno = saved;
}

#define EMIT(level, suffix)                   \
	do {                                  \
		va_list ap;                   \
		va_start(ap, fmt);            \
		emit(level, suffix, fmt, ap); \
		va_end(ap);                   \
	} while (0)

void log_error(const char *fmt, ...)
{
	EMIT(3, NULL);
}

void log_warn(const char *fmt, ...)
{
	EMIT(4, NULL);
}

void log_info(const char *fmt, ...)
{
	EMIT(6, NULL);
}

void log_errno(const char *fmt, ...)
{
	EMIT(3, strerrordesc_np(errno));
}

void die_errno(int status, const char *fmt, ...)
{
	EMIT(3, strerrordesc_np(errno));
	_exit(status);
}

void die(int status, const char *fmt, ...)
{
	EMIT(3, NULL);
	_exit(status);
}
