/* report.h - a report of checks: rows with a verdict, sent one by one. */
#ifndef BANGER_CONTROLLER_OBSERVE_REPORT_H
#define BANGER_CONTROLLER_OBSERVE_REPORT_H

#include "controller/ctl.h"

struct report {
	struct ctl *ctl; /* may be NULL, for checks that do not need it */
	int (*tell)(void *arg, const struct ev_check *row); /* receives each row */
	void *arg;
	unsigned failed; /* rows with the verdict FAIL */
};

enum verdict { PASS, WARN, FAIL, SKIP };

/**
 * report_row() - send one row
 * @name:	the check, a word
 * @hint:	what the administrator can do; left out with PASS
 * @text:	format of the finding, as in printf(3)
 */
__attribute__((format(printf, 5, 6))) void report_row(struct report *r, const char *name,
						      enum verdict v, const char *hint,
						      const char *text, ...);

#endif
