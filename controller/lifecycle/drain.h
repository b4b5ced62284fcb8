/* drain.h - ends all VMs because the host shuts down. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_DRAIN_H
#define BANGER_CONTROLLER_LIFECYCLE_DRAIN_H

#include "controller/ctl.h"

/* Numbers of VMs. */
struct drained {
	unsigned vms;    /* that were not at rest */
	unsigned killed; /* whose VMM was killed */
	unsigned left;   /* that still hold objects */
};

/**
 * host_drain() - end all VMs because the host shuts down, and refuse starts from now on
 * @timeout_ms:	time in which all guests together may power off; then they are killed
 *
 * The desired state of the VMs stays: the next controller applies the restart policies.
 * Return: 0, or -1 when the database can not be read.
 */
int host_drain(struct ctl *c, uint64_t timeout_ms, struct drained *out, struct error *e);

#endif
