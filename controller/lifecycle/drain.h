/* drain.h - the end of all VMs, because the host goes down. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_DRAIN_H
#define BANGER_CONTROLLER_LIFECYCLE_DRAIN_H

#include "controller/ctl.h"

struct drained {
	/* that were not at rest; that were killed; that still hold something */
	unsigned vms, killed, left;
};

/**
 * host_drain() - end all VMs because the host goes down, and start none from now on
 * @timeout_ms:	how long the guests have to power off, all together; then they are killed
 *
 * What is wanted stays so: restart policies begin anew with the next controller.
 * Return: 0, or -1 when the store can not be read.
 */
int host_drain(struct ctl *c, uint64_t timeout_ms, struct drained *out, struct error *e);

#endif
