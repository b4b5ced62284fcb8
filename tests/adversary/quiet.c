/* quiet.c - takes the place of common/log.c in fuzz targets: a line is built and dropped.
 *
 * die() is a finding: a program must not end itself whatever its peer sends, but by the statuses
 * that its protocol names. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"

__attribute__((format(printf, 1, 0))) static void drop(const char *fmt, va_list ap)
{
	char line[1024];

	(void)vsnprintf(line, sizeof(line), fmt, ap);
}

#define DROP                       \
	do {                       \
		va_list ap;        \
		va_start(ap, fmt); \
		drop(fmt, ap);     \
		va_end(ap);        \
	} while (0)

void log_name(const char *name)
{
	(void)name;
}

void log_error(const char *fmt, ...)
{
	DROP;
}

void log_warn(const char *fmt, ...)
{
	DROP;
}

void log_info(const char *fmt, ...)
{
	DROP;
}

void log_errno(const char *fmt, ...)
{
	DROP;
}

void die_errno(int status, const char *fmt, ...)
{
	DROP;
	fprintf(stderr, "die_errno(%d): %s\n", status, fmt);
	abort();
}

void die(int status, const char *fmt, ...)
{
	DROP;
	fprintf(stderr, "die(%d): %s\n", status, fmt);
	abort();
}
