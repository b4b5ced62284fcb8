/* driver.h - the interface of the drivers that talk to a running monitor: QEMU over QMP,
 * Firecracker over its API socket.
 *
 * The monitor runs in a jail and may be hostile: a driver bounds its answers in size and time. */
#ifndef BANGER_CONTROLLER_VMM_DRIVER_H
#define BANGER_CONTROLLER_VMM_DRIVER_H

#include "common/pidfd.h"
#include "controller/ctl.h"

/* Pause between two presses of the power button.  A guest that still boots ignores the first
 * one. */
#define VMM_SHUTDOWN_AGAIN_MS 5000

/* Time from the end of a monitor's socket to the end of its process. */
#ifndef BANGER_FAILPOINTS
#define VMM_LEAVING_MS 300
#else
#define VMM_LEAVING_MS 10
#endif

/* True if the VMM of @pidfd has exited, or does so soon. */
static inline bool vmm_leaves(int pidfd)
{
	return pidfd >= 0 && pidfd_wait(pidfd, VMM_LEAVING_MS);
}

struct vmm_driver {
	const char *name;
	enum vmm_kind kind;
	/* Configure and start the guest of a VMM that the spawn role has started.  Returns when the
	 * monitor reports the guest as running.
	 * Return: 0, or -1: FAIL_TIMEOUT, FAIL_STATE cancelled, FAIL_GENERAL. */
	int (*boot)(struct ctl *c, const struct vm *vm, const struct operation *o, int pidfd,
		    struct error *e);
	/* Press the guest's power button.  The wait ends when the process of @pidfd exits, so that
	 * a later monitor of the slot can not be asked by mistake.  Return: 0 when the monitor
	 * accepted the request, which the guest may ignore; or -1. */
	int (*shutdown)(struct ctl *c, const struct vm *vm, int pidfd, struct error *e);
	/* Have the monitor write its metrics now.  @pidfd as in shutdown.  NULL: the monitor has no
	 * metrics.  Return: 0, or -1. */
	int (*flush)(struct ctl *c, const struct vm *vm, int pidfd, struct error *e);
};

/* The type of ctl.vmm: vmm_ops of choose.h, or a table of a unit test. */
struct vmm_ops {
	const struct vmm_driver *const *drivers; /* VMM_KINDS elements, indexed by kind */
	int (*choose)(struct ctl *c, const struct vm *vm, const struct operation *o,
		      enum vmm_kind *kind, uint32_t *accel, struct error *e); /* as vmm_choose() */
};

/* Return: the driver for @kind, or NULL if there is none. */
static inline const struct vmm_driver *vmm_driver(const struct ctl *c, enum vmm_kind kind)
{
	return (unsigned)kind < VMM_KINDS ? c->vmm->drivers[kind] : NULL;
}

extern const struct vmm_driver vmm_qemu, vmm_firecracker; /* qemu.c, firecracker.c */

#endif
