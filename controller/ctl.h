/* ctl.h - struct ctl, the state of the controller that all rooms share. */
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

struct db;           /* db/db.h: the state database */
struct helper;       /* helper/client.h: the connections to the roles */
struct tap_sweep;    /* helper/tap_sweep.h: removals of taps that are under way */
struct watch;        /* vmm/watch.h: pidfds and output streams of running VMs */
struct holds;        /* lifecycle/hold.h: the connections that hold VMs */
struct readers;      /* lifecycle/reader.h: the connections that read disks */
struct idle;         /* policy/idle.h: idle times of running VMs */
struct housekeeping; /* policy/housekeeping.h: the schedule of actions without a request */
struct workers;      /* workers.h: the threads that run operations */
struct vm_locks;     /* lifecycle/vm_lock.h: the operation locks */

struct ctl {
	struct config config;
	/* /proc/sys/kernel/random/boot_id.  A row with another one is of an earlier boot: its
	 * kernel objects and processes are gone. */
	char boot_id[37];
	struct db *db;
	struct helper *helper;
	struct tap_sweep *tap_sweep;
	struct watch *watch;
	struct workers *workers;
	struct vm_locks *vm_locks;
	struct holds *holds;                  /* NULL: no VM has a holder */
	struct readers *readers;              /* NULL: no disk has a reader */
	struct idle *idle;                    /* NULL: no VM counts as idle */
	struct housekeeping *housekeeping;    /* NULL: no schedule (unit tests) */
	const struct storage_driver *storage; /* makes the disks of new VMs; chosen at start-up */
	/* Interfaces: main.c sets the real tables, a unit test may set its own. */
	const struct disk_ops *disks; /* storage/disk.h */
	const struct seed_ops *seed;  /* storage/seed.h */
	const struct vmm_ops *vmm;    /* vmm/driver.h */
	atomic_uint next_port;        /* vmm/port.h: where the search for a free port begins */
	atomic_bool stopping; /* the service stops: operations that can be interrupted end early */
	atomic_bool draining; /* the host shuts down (drain.h): VMs end, no VM is started */
	atomic_uint asking;   /* threads of a drain, which nothing joins: host_drain_wait() */
	/* While start-up reconciles, object_release() waits for no busy object after this time
	 * (clock_boot_ns()); 0: no limit. */
	uint64_t release_by;
	/* Facts that only an unconfined process can read; doctor reports them. */
	struct host {
		char cgroup_controllers[128]; /* "cpu memory pids"; "": none */
		int landlock_abi;             /* 0: Landlock is not in use */
		int net_dev;                  /* descriptor of the host's /proc/net/dev, or -1 */
		bool seccomp;                 /* the filter of system calls is in force */
		bool enforcing;               /* SELinux is in enforcing mode */
		char domain[64];              /* SELinux type of this process; "": no SELinux */
	} host;
};

#endif
