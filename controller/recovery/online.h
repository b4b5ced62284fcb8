/* online.h - reconciliation of kernel and database while the service runs. */
#ifndef BANGER_CONTROLLER_RECOVERY_ONLINE_H
#define BANGER_CONTROLLER_RECOVERY_ONLINE_H

#include "controller/ctl.h"

struct repair_options {
	/* true: make missing objects of running VMs again, or mark the VM as degraded.
	 * false (gc): leave running VMs alone, and remove stray files too. */
	bool restore;
	bool dry_run; /* only report */
	/* called with each finding as one line of text; may be NULL */
	void (*report)(void *arg, const char *line);
	void *arg;
};

/* Numbers of findings: all, those mended, those that could not be mended. */
struct repaired {
	unsigned found, mended, failed;
};

/**
 * online_repair() - compare kernel and database while operations go on, and mend the differences
 * @out:	counts of the findings
 *
 * Removes orphans, and objects of VMs at rest.  Takes the operation lock of each VM that it
 * changes.  A single remedy that fails is counted in @out and does not end the scan.
 * Return: 0, or -1 when a role can not list its objects, the database can not be read, or there is
 * no memory.
 */
int online_repair(struct ctl *c, const struct repair_options *options, struct repaired *out,
		  struct error *e);

#endif
