/* ctl.h - the controller's one state struct, with what it includes: what all rooms share. */
#ifndef BANGER_CONTROLLER_CTL_H
#define BANGER_CONTROLLER_CTL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "controller/access.h"
#include "controller/progress.h"
#include "controller/vm.h"
#include "proto/control.h"

struct store;   /* db/db.h: the database */
struct helper;  /* helper.h: the three roles */
struct tap_sweep; /* tap_sweep.h: taps that are being removed */
struct watch;   /* watch.h: pidfds and consoles of running VMs */
struct idle;    /* idle.h: how long running VMs are idle */
struct housekeeping; /* housekeeping.h: what is done without being asked */
struct workers; /* workers.h: the threads that run operations */
struct vm_locks; /* vm_lock.h: one operation a VM at a time */

struct ctl {
	struct config config;
	char boot_id[37];   /* /proc/sys/kernel/random/boot_id: another one means that nothing survived */
	struct store *store;
	struct helper *helper;
	struct tap_sweep *tap_sweep;
	struct watch *watch;
	struct workers *workers;
	struct vm_locks *vm_locks;
	struct idle *idle;     /* NULL: no VM counts as idle */
	struct housekeeping *housekeeping; /* NULL: nothing is done without being asked */
	const struct storage_driver *storage; /* makes the disks of new VMs; chosen at start-up */
	/* Seams: main.c sets the real tables, a unit test may set its own. */
	const struct disk_ops *disks;         /* storage.h */
	const struct seed_ops *seed;          /* seed.h */
	const struct vmm_ops *vmm;            /* vmm.h */
	atomic_bool stopping; /* the service ends: what can be interrupted is */
	atomic_bool draining; /* the host goes down (drain.h): VMs end, none is started */
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

#endif
