/* doctor.h - shared by the files of `banger doctor`. */
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
	const struct config *config; /* of the host; NULL: there is none that can be read */
};

/* Add a row to the report.  @verdict: PASS, WARN, FAIL or SKIP; @hint: what to do, or "". */
void doctor_say(struct doctor *d, const char *name, const char *verdict, const char *text,
		const char *hint);

/* Check the host's own network settings and firewalls, which guests' traffic passes.  The service
 * must run. */
void doctor_network(struct doctor *d);

/* Read the configuration, and check that the host's accounts, udev rules and disks fit it, and that
 * the request logs have keys.  Adds no row without a configuration. */
void doctor_host(struct doctor *d);

/* Compare the running processes of the service, and the unit, with their policies. */
void doctor_policy(struct doctor *d);

#endif
