/* online.h - kernel against database while the service runs. */
#ifndef BANGER_CONTROLLER_RECOVERY_ONLINE_H
#define BANGER_CONTROLLER_RECOVERY_ONLINE_H

#include "controller/ctl.h"

struct repair_options {
	/* make again what running VMs lack, or say that they are degraded; else leave them alone */
	bool restore;
	bool dry_run; /* change nothing */
	/* each finding as one line; NULL: no one listens */
	void (*report)(void *arg, const char *line);
	void *arg;
};

struct repaired {
	unsigned found, mended, failed;
};

/**
 * online_repair() - compare kernel and database while operations go on, and mend what differs
 *
 * Objects of VMs that rest, and objects of no VM, are removed; without restore (gc) also files of no
 * VM.  Takes the lock of a VM before it decides about it.
 * Return: 0, or -1 when the kernel or the store can not be read.
 */
int online_repair(struct ctl *c, const struct repair_options *options, struct repaired *out,
		  struct error *e);

#endif
