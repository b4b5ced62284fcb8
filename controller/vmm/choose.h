/* choose.h - which monitor and accelerator a VM gets. */
#ifndef BANGER_CONTROLLER_VMM_CHOOSE_H
#define BANGER_CONTROLLER_VMM_CHOOSE_H

#include "controller/vmm/driver.h"

/**
 * vmm_choose() - which monitor and accelerator this host can really run
 *
 * Firecracker where KVM runs a guest and the binary is configured, else QEMU
 * with KVM or TCG.  KVM is probed by running a guest (VMM_PROBE of the
 * spawn role, in @vm's slot) and the answer is kept for this boot and kernel.
 * Errors: FAIL_HOST with a hint when there is neither.
 */
int vmm_choose(struct ctl *c, const struct vm *vm, const struct operation *o, enum vmm_kind *kind,
	       uint32_t *accel, struct error *e);

/* As ctl.vmm: all drivers, and vmm_choose(). */
extern const struct vmm_ops vmm_ops;

#endif
