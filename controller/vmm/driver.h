/* driver.h - how we talk to a running virtual machine monitor: QEMU over QMP, Firecracker over
 * its API socket.
 *
 * The monitor is in a jail and may be hostile: every answer is bounded in size and time, and
 * none is believed beyond its meaning. */
#ifndef BANGER_CONTROLLER_VMM_DRIVER_H
#define BANGER_CONTROLLER_VMM_DRIVER_H

#include "controller/ctl.h"

struct vmm_driver {
	const char *name;
	enum vmm_kind kind;
	/* After vmm_spawn: configure and start the guest; returns when the monitor says that it
	 * runs.  FAIL_TIMEOUT, FAIL_GENERAL. */
	int (*boot)(struct ctl *c, const struct vm *vm, const struct operation *o, int pidfd,
		    struct error *e);
	/* Ask the guest to power off; the end of @pidfd ends the wait, so that no later monitor
	 * of the slot is asked.
	 * Return: 0 when the monitor took it; the guest may still ignore it. */
	int (*shutdown)(struct ctl *c, const struct vm *vm, int pidfd, struct error *e);
	/* Is the monitor itself answering?  Return: 1 running, 0 not, -1 no answer. */
	int (*alive)(struct ctl *c, const struct vm *vm, struct error *e);
	/* Write the metrics now, not only now and then; @pidfd as above; NULL: it has none. */
	int (*flush)(struct ctl *c, const struct vm *vm, int pidfd, struct error *e);
};

/* As ctl.vmm: vmm_ops of choose.h, or a unit test's own. */
struct vmm_ops {
	const struct vmm_driver *const *drivers; /* VMM_KINDS of them, by kind */
	int (*choose)(struct ctl *c, const struct vm *vm, const struct operation *o,
		      enum vmm_kind *kind, uint32_t *accel, struct error *e); /* as vmm_choose() */
};

/* The driver of @c for that kind of monitor.  Return: NULL when there is none. */
static inline const struct vmm_driver *vmm_driver(const struct ctl *c, enum vmm_kind kind)
{
	return (unsigned)kind < VMM_KINDS ? c->vmm->drivers[kind] : NULL;
}

extern const struct vmm_driver vmm_qemu, vmm_firecracker; /* qemu.c, firecracker.c */

#endif
