/* vm.c - names of states and policies, and the predicates on states. */
#include "controller/vm.h"

#include <string.h>

const char *restart_policy_name(enum restart_policy p)
{
	static const char *const names[RESTART_POLICIES] = {
		[RESTART_NO] = "no",
		[RESTART_ON_FAILURE] = "on-failure",
		[RESTART_ALWAYS] = "always",
	};

	return p < RESTART_POLICIES ? names[p] : "no";
}

const char *hold_name(enum hold h)
{
	static const char *const names[HOLDS] = {
		[HOLD_NONE] = "",
		[HOLD_STOP] = "stop",
		[HOLD_DELETE] = "delete",
	};

	return (unsigned)h < HOLDS ? names[h] : "";
}

const char *vm_state_name(enum vm_state s)
{
	static const char *const names[VM_STATES] = {
		[VM_CREATING] = "creating", [VM_CREATED] = "created",   [VM_STARTING] = "starting",
		[VM_RUNNING] = "running",   [VM_STOPPING] = "stopping", [VM_STOPPED] = "stopped",
		[VM_DEGRADED] = "degraded", [VM_FAILED] = "failed",
	};

	return (unsigned)s < VM_STATES ? names[s] : "unknown";
}

void vm_clear_runtime(struct vm *vm)
{
	struct vm_runtime r = { .loop_base = -1, .loop_cow = -1 };

	memcpy(r.storage, vm->runtime.storage, sizeof(r.storage));
	vm->runtime = r;
}

bool vm_at_rest(const struct vm *vm)
{
	return vm->state == VM_CREATING || vm->state == VM_CREATED || vm->state == VM_STOPPED ||
	       vm->state == VM_FAILED;
}

bool vm_is_incomplete(const struct vm *vm)
{
	return vm->state == VM_CREATING || vm->state == VM_FAILED;
}

bool vm_starts_again(const struct vm *vm)
{
	return vm_at_rest(vm) && !vm_is_incomplete(vm) && vm->wanted &&
	       (vm->restart != RESTART_NO || vm->rebooted);
}

enum vm_state vm_rest_state(const struct vm *vm)
{
	if (vm_is_incomplete(vm))
		return vm->state;
	return vm->started_ns ? VM_STOPPED : VM_CREATED;
}

bool vm_is_active(const struct vm *vm)
{
	return vm->state == VM_STARTING || vm->state == VM_RUNNING || vm->state == VM_STOPPING;
}

bool vm_is_changing(const struct vm *vm)
{
	return vm->state == VM_STARTING || vm->state == VM_STOPPING;
}

bool vm_may_be_adopted(const struct vm *vm)
{
	return vm->state == VM_RUNNING || vm->state == VM_DEGRADED;
}

bool vm_is_up(const struct vm *vm)
{
	return vm->state == VM_RUNNING || (vm->state == VM_DEGRADED && vm->runtime.pid > 0);
}

bool vm_keeps_console(const struct vm *vm)
{
	return vm->state == VM_RUNNING || vm->state == VM_STOPPING || vm->state == VM_DEGRADED;
}

uint32_t vm_largest_disk_mib(const struct vm *vm)
{
	uint32_t most = vm->disk_mib;

	for (uint32_t i = 0; i < vm->n_volumes; i++)
		if (!vm->volumes[i].read_only && vm->volumes[i].size_mib > most)
			most = vm->volumes[i].size_mib;
	return most;
}

bool vm_writes_volumes(const struct vm *vm)
{
	for (uint32_t i = 0; i < vm->n_volumes; i++)
		if (!vm->volumes[i].read_only)
			return true;
	return false;
}
