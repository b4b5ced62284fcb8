/* kvm_probe.h - tells whether KVM can run a guest on this host. */
#ifndef BANGER_CONTROLLER_VMM_KVM_PROBE_H
#define BANGER_CONTROLLER_VMM_KVM_PROBE_H

#include "controller/ctl.h"

/**
 * kvm_works() - tell whether KVM can run a guest on this host
 * @vm:	a VM without a VMM; a probe runs in its slot
 *
 * The answer comes from the database, which caches it for this boot and kernel.  If there is none,
 * the spawn role runs a probe.
 * Return: 1 yes, 0 no, -1 with the error.
 */
int kvm_works(struct ctl *c, const struct vm *vm, const struct operation *o, struct error *e);

#endif
