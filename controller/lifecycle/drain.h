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
 * The desired state of the VMs stays: the next controller applies the restart policies.  Threads
 * that a monitor holds up may be left behind, see host_drain_wait().
 * Return: 0, or -1 when the database can not be read, or without memory.
 */
int host_drain(struct ctl *c, uint64_t timeout_ms, struct drained *out, struct error *e);

/* Wait for the threads of drains that have returned, before what they use is freed.  A monitor that
 * was taken over decides how long that takes: the caller needs a time-out of its own. */
void host_drain_wait(struct ctl *c);

#endif
