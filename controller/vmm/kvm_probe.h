/* kvm_probe.h - can KVM run a guest on this host? */
#ifndef BANGER_CONTROLLER_VMM_KVM_PROBE_H
#define BANGER_CONTROLLER_VMM_KVM_PROBE_H

#include "controller/ctl.h"

/* Asked of the database, which keeps a sure answer for this boot and kernel; else by running a
 * probe through the spawn role, in the slot of @vm, which has no VMM.  Return: 1 yes, 0 no, -1
 * with the error. */
int kvm_works(struct ctl *c, const struct vm *vm, const struct operation *o, struct error *e);

#endif
