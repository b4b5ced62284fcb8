/* configure.h - what a VM may be configured to, and its change. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_CONFIGURE_H
#define BANGER_CONTROLLER_LIFECYCLE_CONFIGURE_H

#include "controller/ctl.h"

/* Change what @args names; the rest stays.  NAT changes at once, sizes at the next start. */
int vm_set(struct ctl *c, struct operation *o, const struct call_vm_set *args, struct error *e);

/* Is this within the limits of the host?  Return: 0, or -1: FAIL_USAGE too little, FAIL_LIMIT
 * too much. */
int vm_check_size(const struct config *k, uint64_t vcpus, uint64_t mem_mib, struct error *e);
int vm_check_disk(const struct config *k, uint64_t disk_mib, uint64_t image_mib, struct error *e);

/**
 * vm_choose_policy() - take over what was asked for; numbers as in call_vm_create, call_vm_set
 * @restart:		0: as it is, else enum restart_policy + 1
 * @restart_max:	goes with @restart
 * @auto_stop_s:	0: as it is, 1: never
 * Return: 0, or -1 (FAIL_USAGE) with @vm as it was.
 */
int vm_choose_policy(struct vm *vm, uint64_t restart, uint64_t restart_max, uint64_t auto_stop_s,
		     struct error *e);

#endif
