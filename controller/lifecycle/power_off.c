/* power_off.c - asks a guest to power off: by the agent in it, and by its power button. */
#include "controller/lifecycle/power_off.h"

#include "common/log.h"
#include "controller/vmm/driver.h"
#include "controller/vmm/port.h"

#define AGENT_ENDS_MS 2500 /* in which an agent ends a guest that its init does not end */

/* Return: the part of @ms that the guest's init has. */
static uint32_t grace_of(uint64_t ms)
{
	return (uint32_t)(ms > 2 * AGENT_ENDS_MS ? ms - AGENT_ENDS_MS : ms / 2);
}

int power_off_ask(struct ctl *c, const struct vm *vm, int pidfd, uint64_t left_ms, int *agent)
{
	const struct vmm_driver *d = vmm_driver(c, vm->runtime.vmm);
	struct error e = { 0 };

	if (*agent < 0)
		*agent = vmm_port_end(c, vm, grace_of(left_ms));
	/* A monitor closes its socket before it exits. */
	if ((d && d->shutdown(c, vm, pidfd, &e) == 0) || vmm_leaves(pidfd))
		return 0;
	log_warn("%s: the monitor does not take a shutdown: %s", vm->name, e.why);
	return *agent < 0 ? -1 : 0; /* an agent that was told has its time */
}
