/* view.c - moves the controller into its view of the host: an empty network namespace, and a root
 * of its own.
 *
 * A taken-over controller could connect to any socket that it can name, and the daemon behind a
 * socket may run a program for it: the system bus starts a service manager for an account that
 * asks.  Landlock has no rule for sockets in a file system.  So CHILD enters this view before it
 * executes the controller:
 *
 *   state_dir, run_dir    as on the host, writable; no device nodes, no execution
 *   log_dir, cgroup_dir   read-only
 *   /usr, /lib, /lib64    read-only, with execution: libraries
 *   libexec_dir           likewise: the program
 *   /proc                 for the boot id and the SELinux context; its links are not followed
 *   /sys/class, /sys/devices, /sys/fs/selinux
 *                         for `banger doctor`, which checks features of the kernel
 *
 * A user can hand the controller a descriptor of any folder of the host.  By /proc/self/fd that
 * descriptor would lead to each socket below the folder: Landlock governs open(2), but not
 * connect(2).  So /proc is mounted with nosymfollow.
 *
 * There is no /dev, no file of /etc except the linker's cache, and no other folder of /run.
 * Abstract sockets belong to a network namespace (unix(7)), and the new one has none.  The host's
 * network statistics are read from a descriptor that was opened before (CTL_NET_DEV_FD). */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/root.h"
#include "privhelper/supervisor/view.h"

#define ROOT_OPTIONS "mode=755,size=64k,nr_inodes=128"

/* Sort by length, so that a folder is mounted before the folders below it, which it would cover. */
static int by_length(const void *a, const void *b)
{
	size_t x = strlen(((const struct part *)a)->path),
	       y = strlen(((const struct part *)b)->path);

	return (x > y) - (x < y);
}

/* The tmpfs of the root is mounted on run_dir, a folder that surely exists and is ours. */
int view_enter(const struct config *c)
{
	bool inside = strncmp(c->libexec_dir, "/usr/", 5) == 0;
	struct part parts[] = {
		{ "/usr", NULL, PART_PROGRAMS, PART_DEEP, 0 },
		{ "/lib", NULL, PART_PROGRAMS, PART_MAY_LACK, 0 },
		{ "/lib64", NULL, PART_PROGRAMS, PART_MAY_LACK, 0 },
		{ inside ? "" : c->libexec_dir, NULL, PART_PROGRAMS, 0, 0 },
		{ "/etc/ld.so.cache", NULL, PART_TO_READ, PART_FILE | PART_MAY_LACK, 0 },
		{ "/proc", NULL, PART_TO_READ | MOUNT_ATTR_NOSYMFOLLOW, 0, 0 },
		{ "/sys/class", NULL, PART_TO_READ, PART_MAY_LACK, 0 },
		{ "/sys/devices", NULL, PART_TO_READ, PART_MAY_LACK, 0 },
		{ "/sys/fs/selinux", NULL, PART_TO_READ, PART_MAY_LACK, 0 },
		{ c->cgroup_dir, NULL, PART_TO_READ, 0, 0 },
		{ c->state_dir, NULL, PART_TO_WRITE, PART_DEEP, 0 },
		{ c->run_dir, NULL, PART_TO_WRITE, PART_DEEP, 0 },
		{ c->log_dir, NULL, PART_TO_READ, 0, 0 },
#ifdef BANGER_FAILPOINTS
		{ failpoint_file(), NULL, PART_TO_WRITE, PART_FILE | PART_MAY_LACK, 0 },
#endif
	};

	qsort(parts, ARRAY_SIZE(parts), sizeof(parts[0]), by_length);
	if (root_unshare(CLONE_NEWNET) < 0 || parts_clone(parts, ARRAY_SIZE(parts)) < 0 ||
	    root_make(c->run_dir, MS_NODEV, ROOT_OPTIONS) < 0)
		return -1;
	return parts_attach(parts, ARRAY_SIZE(parts)) < 0 ? -1 : root_enter();
}
