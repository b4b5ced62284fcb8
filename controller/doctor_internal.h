/* doctor_internal.h - a row of the report, for both halves of doctor. */
#ifndef BANGER_CONTROLLER_DOCTOR_INTERNAL_H
#define BANGER_CONTROLLER_DOCTOR_INTERNAL_H

#include "controller/doctor.h"

struct report {
	struct ctl *ctl;
	int (*tell)(void *arg, const struct ev_check *row);
	void *arg;
	unsigned failed;
};

enum verdict { PASS, WARN, FAIL, SKIP };

/* One row.  @hint: what to do about it; not told with PASS. */
__attribute__((format(printf, 5, 6))) void doctor_row(struct report *r, const char *name, enum verdict v, const char *hint,
						      const char *text, ...);

#define row doctor_row /* said often, and by nobody else */

#endif
