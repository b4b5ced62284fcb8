/* repair.h - kernel against database while the service runs. */
#ifndef BANGER_CONTROLLER_REPAIR_H
#define BANGER_CONTROLLER_REPAIR_H

#include "controller/ctl.h"

struct repaired {
	unsigned found, mended, failed;
};

/**
 * repair() - reconcile while everybody works: what is so, against what is written
 * @restore:	make again what running VMs lack, or say that they are degraded; else leave them alone
 * @dry_run:	change nothing
 * @tell:	each finding as one line, or NULL
 *
 * Objects of VMs that rest, and objects of no VM, are removed; without @restore (gc) also files of no VM.  Takes the turn of a VM before it is judged.
 * Return: 0, or -1 when the kernel or the store can not be read.
 */
int repair(struct ctl *c, bool restore, bool dry_run, void (*tell)(void *arg, const char *line), void *arg,
	   struct repaired *out, struct error *e);

#endif
