/* report.c - makes the rows of a report; a row has printable text only. */
#include "controller/observe/report.h"

#include <stdarg.h>
#include <stdio.h>

void report_row(struct report *r, const char *name, enum verdict v, const char *hint,
		const char *text, ...)
{
	static const char *const verdicts[] = { "PASS", "WARN", "FAIL", "SKIP" };
	struct ev_check ev = { 0 };
	va_list ap;

	(void)snprintf(ev.name, sizeof(ev.name), "%s", name);
	(void)snprintf(ev.verdict, sizeof(ev.verdict), "%s", verdicts[v]);
	(void)snprintf(ev.hint, sizeof(ev.hint), "%s", v == PASS ? "" : hint);
	va_start(ap, text);
	(void)vsnprintf(ev.text, sizeof(ev.text), text, ap);
	va_end(ap);
	/* The text may quote a damaged database: replace bytes that are not printable. */
	for (char *at = ev.text; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	r->failed += v == FAIL;
	(void)r->tell(r->arg, &ev);
}
