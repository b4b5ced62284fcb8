/* vm.h - a VM as the controller knows it, and what can be told from its state alone.
 *
 * Every rule about sets of states is here, so that a new state is added in one place. */
#ifndef BANGER_CONTROLLER_VM_H
#define BANGER_CONTROLLER_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/parse.h"
#include "proto/ops.h"

/* VM_CREATING: its files are not all there; such a row outlives its operation only where that
 * could not be recorded. */
enum vm_state {
	VM_CREATING,
	VM_CREATED,
	VM_STARTING,
	VM_RUNNING,
	VM_STOPPING,
	VM_STOPPED,
	VM_DEGRADED,
	VM_FAILED,
	VM_STATES
};

const char *vm_state_name(enum vm_state s);

/* What follows when a VM ends without having been asked to. */
enum restart_policy { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS, RESTART_POLICIES };

const char *restart_policy_name(enum restart_policy p);

/* A row of vms. */
struct vm {
	uint8_t id[ID_LEN];
	char name[64];
	uint32_t owner;
	char image[64]; /* the image's name, for people; image_digest is the reference */
	char image_digest[65], kernel_digest[65];
	uint32_t slot, generation;
	uint32_t vcpus, mem_mib, disk_mib;
	bool nat;
	enum restart_policy restart;
	uint32_t restart_max; /* in a row; 0: without an end */
	uint32_t auto_stop_s; /* idle for so long: stopped; 0: never */
	/* started, and not stopped by anybody since: what the policy goes by */
	bool wanted;
	char ssh_key[4001];
	enum vm_state state;
	char reason[256]; /* why degraded or failed; "" otherwise */
	uint64_t created_ns, started_ns;
	char op[ID_HEX];  /* the operation that last changed it */
	/* runtime: the identities, kept so that a person, or a newer schema, can clean up; empty
	 * while stopped. */
	struct vm_runtime {
		char boot_id[37];
		char tap[16];
		char dm[16];
		int64_t loop_base, loop_cow; /* -1: none */
		int64_t pid, pid_start;
		enum vmm_kind vmm;
		uint32_t accel;              /* enum accel: KVM or TCG */
		char storage[16];
		char api_socket[108];
	} runtime;
};

/* The runtime names no object any more; the storage driver stays, since the VM's files are still
 * of its kind. */
void vm_clear_runtime(struct vm *vm);

/* No object of it exists, as far as its state tells. */
bool vm_at_rest(const struct vm *vm);

/* It has not all of its files yet, or any more: not to be started. */
bool vm_is_incomplete(const struct vm *vm);

/* The state of one that holds nothing: created until it has run for the first time; incomplete,
 * as it is, if it is. */
enum vm_state vm_rest_state(const struct vm *vm);

/* On its way up, up, or on its way down: its end can be waited for, and it may still say
 * something. */
bool vm_is_active(const struct vm *vm);

/* An operation is on its way up or down with it, or was when it was cut short. */
bool vm_is_changing(const struct vm *vm);

/* Its VMM may live, and is to be adopted if it does. */
bool vm_may_be_adopted(const struct vm *vm);

/* It has a tap and a VMM that uses it.  Unlike vm_may_be_adopted(), not a degraded VM whose VMM
 * is released. */
bool vm_is_up(const struct vm *vm);

/* Its console goes on where it was, since its VMM may hold the FIFO of the latest start.  Unlike
 * vm_may_be_adopted(), also while it stops. */
bool vm_keeps_console(const struct vm *vm);

#endif
