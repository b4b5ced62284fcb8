/* choose.h - chooses monitor and accelerator of a VM. */
#ifndef BANGER_CONTROLLER_VMM_CHOOSE_H
#define BANGER_CONTROLLER_VMM_CHOOSE_H

#include "controller/vmm/driver.h"

/**
 * vmm_choose() - choose a monitor and an accelerator that work on this host
 * @vm:		a VM without a VMM; its slot is used for the KVM probe
 * @kind:	out: Firecracker if KVM works and its binary is configured, else QEMU
 * @accel:	out: enum accel, KVM if it works, else TCG
 *
 * The answer of the KVM probe is cached for this boot and kernel (kvm_probe.h).
 * Return: 0, or -1 with the error: FAIL_HOST with a hint if no monitor can be used.
 */
int vmm_choose(struct ctl *c, const struct vm *vm, const struct operation *o, enum vmm_kind *kind,
	       uint32_t *accel, struct error *e);

/* The value of ctl.vmm: all drivers, and vmm_choose(). */
extern const struct vmm_ops vmm_ops;

#endif
