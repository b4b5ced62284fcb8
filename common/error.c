/* error.c - fills the error type of the controller and the command line. */
#include "common/error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(struct error *e, enum fail code, const char *what, const char *why, ...)
{
	va_list ap;

	e->code = code;
	(void)snprintf(e->what, sizeof(e->what), "%s", what);
	e->hint[0] = '\0';
	va_start(ap, why);
	(void)vsnprintf(e->why, sizeof(e->why), why, ap);
	va_end(ap);
	return -1;
}

void error_hint(struct error *e, const char *hint, ...)
{
	va_list ap;

	va_start(ap, hint);
	(void)vsnprintf(e->hint, sizeof(e->hint), hint, ap);
	va_end(ap);
}
