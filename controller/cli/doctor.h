/* doctor.h - what the files of `banger doctor` share. */
#ifndef BANGER_CONTROLLER_CLI_DOCTOR_H
#define BANGER_CONTROLLER_CLI_DOCTOR_H

#include "controller/cli/cli.h"
#include "controller/cli/out.h"

struct doctor {
	struct cli *c;
	json_t *json;
	struct table table;
	unsigned failed;
	const char *where;
};

/* Add a row to the report.  @verdict: PASS, WARN, FAIL or SKIP; @hint: what to do, "" for nothing. */
void doctor_say(struct doctor *d, const char *name, const char *verdict, const char *text,
		const char *hint);

/* What is between guests and the outside, and not ours: for a service that runs. */
void doctor_network(struct doctor *d);

/* What of this host's accounts, udev rules and disks does not go with root's configuration; nothing
 * where there is none. */
void doctor_host(struct doctor *d);

#endif
