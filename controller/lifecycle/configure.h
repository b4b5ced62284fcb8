/* configure.h - changes the configuration of a VM, and checks sizes and policies against limits. */
#ifndef BANGER_CONTROLLER_LIFECYCLE_CONFIGURE_H
#define BANGER_CONTROLLER_LIFECYCLE_CONFIGURE_H

#include "controller/ctl.h"

/**
 * vm_set() - change the settings of a VM that @args names; others keep their values
 * @args:	a row of control.def, with its bounds checked
 *
 * NAT changes at once, sizes at the next start.
 * Return: 0, or -1: FAIL_NOT_FOUND, FAIL_USAGE, FAIL_LIMIT, FAIL_STATE, FAIL_HOST, FAIL_GENERAL.
 */
int vm_set(struct ctl *c, struct operation *o, const struct call_vm_set *args, struct error *e);

/* Check sizes against the limits of the host (banger.conf).  A disk is at least as large as its
 * image.  Return: 0, or -1: FAIL_USAGE too small, FAIL_LIMIT too large. */
int vm_check_size(const struct config *k, uint64_t vcpus, uint64_t mem_mib, struct error *e);
int vm_check_disk(const struct config *k, uint64_t disk_mib, uint64_t image_mib, struct error *e);

/**
 * vm_choose_policy() - write requested policies to @vm; numbers as in call_vm_create, call_vm_set
 * @restart:		0: keep both, else enum restart_policy + 1
 * @restart_max:	restarts in a row, 0: no maximum; goes with @restart
 * @auto_stop_s:	seconds of idleness; 0: keep, 1: never
 *
 * Return: 0, or -1 (FAIL_USAGE) with @vm unchanged.
 */
int vm_choose_policy(struct vm *vm, uint64_t restart, uint64_t restart_max, uint64_t auto_stop_s,
		     struct error *e);

#endif
