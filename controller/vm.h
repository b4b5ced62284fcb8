/* vm.h - struct vm, and all predicates on its state, so that a new state is added in one place. */
#ifndef BANGER_CONTROLLER_VM_H
#define BANGER_CONTROLLER_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/parse.h"
#include "proto/ops.h"

/* States of a VM.  CREATING: its files are incomplete; the state outlives the create only if its
 * end could not be recorded.  DEGRADED: it holds objects that could not be released, or it runs and
 * lacks objects.  FAILED: it can only be deleted. */
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

/* Return: the name of a state, a literal. */
const char *vm_state_name(enum vm_state s);

/* Whether a VM whose VMM exits without a request is started again. */
enum restart_policy { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS, RESTART_POLICIES };

/* Return: the name of a policy, a literal. */
const char *restart_policy_name(enum restart_policy p);

/* What happens to a VM without a holder (lifecycle/hold.h).  The numbers are those of control.def
 * and of the column "hold". */
enum hold {
	HOLD_NONE,   /* the VM is not held */
	HOLD_STOP,   /* it is stopped */
	HOLD_DELETE, /* it is deleted */
	HOLDS
};

/* Return: the name of a hold, a literal; "" if there is none. */
const char *hold_name(enum hold h);

/* A volume of a VM: a disk beside the root disk, which outlives the VM.  The first one is the
 * slot's file vol0. */
struct vm_volume {
	char name[64];     /* of the VM's owner's */
	char digest[65];   /* names its file */
	char path[256];    /* the guest mounts it there */
	uint32_t size_mib; /* rounded up */
	bool read_only;
};

/* A row of vms, with its rows of mounts. */
struct vm {
	uint8_t id[ID_LEN];
	char name[64];
	uint32_t owner;
	char image[64]; /* name of the image, for display; image_digest identifies it */
	char image_digest[65], kernel_digest[65];
	uint32_t slot, generation;
	uint32_t vcpus, mem_mib, disk_mib;
	bool nat;
	enum restart_policy restart;
	uint32_t restart_max; /* maximum of restarts in a row; 0: no maximum */
	uint32_t auto_stop_s; /* seconds of idleness after which it is stopped; 0: never */
	/* The desired state: a start sets it; a stop, a kill or the end of the restart policy
	 * clears it.  A restart policy only starts VMs whose desired state is set. */
	bool wanted;
	/* Goes with @wanted: its guest has rebooted, so it is started again, whatever its policy
	 * says. */
	bool rebooted;
	enum hold hold;
	char ssh_key[4001];
	uint32_t n_volumes;
	struct vm_volume volumes[VOLUMES_MAX];
	enum vm_state state;
	char reason[256]; /* why degraded or failed; "" otherwise */
	uint64_t created_ns, started_ns;
	char op[ID_HEX]; /* id of the operation that changed the row last */
	/* Identities of the VM's kernel objects and of its VMM; empty while it is stopped.  They
	 * allow a release, or an administrator, to find the objects. */
	struct vm_runtime {
		char boot_id[37];
		char tap[16];
		char dm[16];
		int64_t loop_base, loop_cow; /* -1: none */
		int64_t pid, pid_start;
		enum vmm_kind vmm;
		uint32_t accel; /* enum accel: KVM or TCG */
		char storage[16];
		char api_socket[108];
	} runtime;
};

/* True if the VM has a volume that its guest can write. */
bool vm_writes_volumes(const struct vm *vm);

/* Return: the size of the largest file that the VM's guest writes: its root disk, or a volume. */
uint32_t vm_largest_disk_mib(const struct vm *vm);

/* Clear all fields of the runtime but the storage driver, which the VM's files still need. */
void vm_clear_runtime(struct vm *vm);

/* True in the states in which the VM holds no kernel objects: creating, created, stopped,
 * failed. */
bool vm_at_rest(const struct vm *vm);

/* True if files of the VM may be missing, so that it must not be started: creating, failed. */
bool vm_is_incomplete(const struct vm *vm);

/* True if the VM is at rest and is to be started by the service itself: its guest has rebooted, or
 * its restart policy applies. */
bool vm_starts_again(const struct vm *vm);

/* Return: the state of the VM once it holds no objects: stopped, created if it has never run, or
 * its present state if it is incomplete. */
enum vm_state vm_rest_state(const struct vm *vm);

/* True while the VM starts, runs or stops: a client can wait for its end, and it may write
 * output. */
bool vm_is_active(const struct vm *vm);

/* True while the VM starts or stops, also after that operation was interrupted. */
bool vm_is_changing(const struct vm *vm);

/* True in the states in which start-up adopts a VMM that lives: running, degraded. */
bool vm_may_be_adopted(const struct vm *vm);

/* True if the VM has a tap and a VMM: running, or degraded with a VMM that is not released. */
bool vm_is_up(const struct vm *vm);

/* True if the VMM may hold the FIFO of the latest start, so that the console's files are continued:
 * running, stopping, degraded. */
bool vm_keeps_console(const struct vm *vm);

#endif
