/* ctl.h - the controller's one state struct, and the few types that all its rooms share. */
#ifndef BANGER_CONTROLLER_CTL_H
#define BANGER_CONTROLLER_CTL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/parse.h"
#include "controller/access.h"
#include "proto/control.h"
#include "proto/ops.h"

struct store;   /* store.h: the database */
struct helper;  /* helper.h: the three roles */
struct watch;   /* watch.h: pidfds and consoles of running VMs */
struct idle;    /* idle.h: how long running VMs are idle */
struct keeper;  /* keeper.h: what is done without being asked */
struct workers; /* worker.h: the threads that run operations */

struct ctl {
	struct config config;
	char boot_id[37];   /* /proc/sys/kernel/random/boot_id: another one means that nothing survived */
	struct store *store;
	struct helper *helper;
	struct watch *watch;
	struct workers *workers;
	struct idle *idle;     /* NULL: no VM counts as idle */
	struct keeper *keeper; /* NULL: nothing is done without being asked */
	const struct storage_driver *storage; /* makes the disks of new VMs; chosen at start-up */
	/* Seams: main.c sets the real tables, a unit test may set its own. */
	const struct disk_ops *disks;         /* storage.h */
	const struct seed_ops *seed;          /* seed.h */
	const struct vmm_ops *vmm;            /* vmm.h */
	atomic_bool stopping; /* the service ends: what can be interrupted is */
	atomic_bool draining; /* the host goes down (lifecycle.h): VMs end, none is started */
	/* What doctor tells and nobody can read any more once the controller is confined. */
	struct host {
		char cgroup_controllers[128]; /* "cpu memory pids"; "": none */
		int landlock_abi;             /* 0: not in use */
		int net_dev;                  /* /proc/self/net/dev, or -1 */
		bool seccomp;
		bool enforcing;               /* SELinux; what it denies it also prevents */
		char domain[64];              /* our SELinux type; "": there is no SELinux */
	} host;
};

/* VM_CREATING: its files are not all there; such a row outlives its operation only where that could not be recorded. */
enum vm_state {
	VM_CREATING, VM_CREATED, VM_STARTING, VM_RUNNING, VM_STOPPING, VM_STOPPED, VM_DEGRADED, VM_FAILED, VM_STATES
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
	bool wanted;          /* started, and not stopped by anybody since: what the policy goes by */
	char ssh_key[4001];
	enum vm_state state;
	char reason[256]; /* why degraded or failed; "" otherwise */
	uint64_t created_ns, started_ns;
	char op[ID_HEX];  /* the operation that last changed it */
	/* runtime: the identities, kept so that a person, or a newer schema, can clean up; empty while stopped. */
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

/* An operation under way: its id, who hears of its stages, and whether it was told to stop. */
struct operation {
	uint8_t id[ID_LEN];
	char hex[ID_HEX];
	const struct caller *caller;
	/* Tell the caller of a stage; @detail may be "".  NULL: nobody listens. */
	void (*stage)(void *arg, const char *stage, const char *detail);
	void *stage_arg;
	atomic_bool *cancelled; /* NULL: can not be interrupted */
};

void operation_stage(const struct operation *o, const char *stage, const char *detail);

#define ROOM_LEAST_MIB 64u /* below this, nothing new is begun */

/* Free space where the state is, in MiB.  Return: 0, or -1 with errno. */
int room_mib(const struct config *c, uint64_t *mib);

/* Is there room to begin something that writes?  Ends and deletes never ask.  Return: 0, or -1 (FAIL_HOST). */
int room_check(const struct config *c, const char *what, struct error *e);

/* Likewise, and is the state database in its place, so that the next start will know of it? */
int work_check(const struct ctl *c, const char *what, struct error *e);

#endif
