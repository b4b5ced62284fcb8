/* report.h - the report of a check of the host: rows with a verdict, sent one by one. */
#ifndef BANGER_CONTROLLER_HOST_REPORT_H
#define BANGER_CONTROLLER_HOST_REPORT_H

#include "controller/ctl.h"

struct report {
	struct ctl *ctl;
	int (*tell)(void *arg, const struct ev_check *row);
	void *arg;
	unsigned failed;
};

enum verdict { PASS, WARN, FAIL, SKIP };

/* One row.  @hint: what to do about it; not told with PASS. */
__attribute__((format(printf, 5, 6))) void report_row(struct report *r, const char *name, enum verdict v, const char *hint,
						      const char *text, ...);

#endif
