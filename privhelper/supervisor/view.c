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
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/supervisor/view.h"

#define ROOT_OPTIONS "mode=755,size=64k,nr_inodes=128"
#define PROGRAMS (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define TO_READ (PROGRAMS | MOUNT_ATTR_NOEXEC)
#define TO_WRITE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#ifdef BANGER_FAILPOINTS
#define PARTS 14
#else
#define PARTS 13
#endif

/* One mount of the view, at the path that it has on the host. */
struct part {
	const char *path; /* "": no mount */
	uint64_t attr;    /* MOUNT_ATTR_* */
	unsigned how;     /* DEEP, MAY_LACK, A_FILE */
};

enum {
	DEEP = 1,     /* with the mounts below it */
	MAY_LACK = 2, /* a host may lack it */
	A_FILE = 4,   /* a file; else a folder */
};

static void list_parts(const struct config *c, struct part parts[PARTS])
{
	bool inside = strncmp(c->libexec_dir, "/usr/", 5) == 0;
	const struct part all[PARTS] = {
		{ "/usr", PROGRAMS, DEEP },
		{ "/lib", PROGRAMS, MAY_LACK },
		{ "/lib64", PROGRAMS, MAY_LACK },
		{ inside ? "" : c->libexec_dir, PROGRAMS, 0 },
		{ "/etc/ld.so.cache", TO_READ, A_FILE | MAY_LACK },
		{ "/proc", TO_READ | MOUNT_ATTR_NOSYMFOLLOW, 0 },
		{ "/sys/class", TO_READ, MAY_LACK },
		{ "/sys/devices", TO_READ, MAY_LACK },
		{ "/sys/fs/selinux", TO_READ, MAY_LACK },
		{ c->cgroup_dir, TO_READ, 0 },
		{ c->state_dir, TO_WRITE, DEEP },
		{ c->run_dir, TO_WRITE, DEEP },
		{ c->log_dir, TO_READ, 0 },
#ifdef BANGER_FAILPOINTS
		{ failpoint_file(), TO_WRITE, A_FILE | MAY_LACK },
#endif
	};

	memcpy(parts, all, sizeof(all));
}

/* Sort by length, so that a folder is mounted before the folders below it, which it would cover. */
static int by_length(const void *a, const void *b)
{
	size_t x = strlen(((const struct part *)a)->path),
	       y = strlen(((const struct part *)b)->path);

	return (x > y) - (x < y);
}

/* Clone @p as a detached mount (open_tree(2)).  Return: a descriptor, or -1 with errno; errno 0:
 * the host lacks the part. */
static int clone_part(const struct part *p)
{
	unsigned deep = p->how & DEEP ? AT_RECURSIVE : 0;
	struct mount_attr attr = { .attr_set = p->attr };

	if (!p->path[0])
		return errno = 0, -1;
	_cleanup_close_ int tree = open_tree(AT_FDCWD, p->path,
					     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | deep);
	if (tree < 0) {
		errno = p->how & MAY_LACK && errno == ENOENT ? 0 : errno;
		return -1;
	}
	return mount_setattr(tree, "", AT_EMPTY_PATH | deep, &attr, sizeof(attr)) < 0
		       ? -1
		       : steal_fd(&tree);
}

/* Make the mount point of @p, and the folders above it, in the new root, which is the working
 * folder. */
static int make_point(const struct part *p)
{
	const char *path = p->path + 1;
	char part[PATH_MAX];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		(void)snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -1;
	}
	int r = p->how & A_FILE ? mknod(path, S_IFREG | 0444, 0) : mkdir(path, 0755);
	return r < 0 && errno != EEXIST ? -1 : 0;
}

static int attach(const struct part *p, int tree)
{
	if (make_point(p) < 0 ||
	    move_mount(tree, "", AT_FDCWD, p->path + 1, MOVE_MOUNT_F_EMPTY_PATH) < 0) {
		log_errno("the controller's view: %s", p->path);
		return -1;
	}
	return 0;
}

/* Pivot to the working folder, and unmount the old root, which pivot_root(2) has mounted there. */
static int change_root(void)
{
	struct mount_attr ro = { .attr_set = TO_READ };

	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -1;
	return mount_setattr(AT_FDCWD, "/", 0, &ro, sizeof(ro));
}

/* Build the new root.  All parts are cloned first.  Then a tmpfs is mounted on run_dir, a folder
 * that surely exists and is ours, and becomes the root. */
static int build(const struct config *c, const struct part parts[PARTS], int trees[PARTS])
{
	for (int i = 0; i < PARTS; i++) {
		trees[i] = clone_part(&parts[i]);
		if (trees[i] < 0 && errno) {
			log_errno("the controller's view: %s", parts[i].path);
			return -1;
		}
	}
	if (mount("tmpfs", c->run_dir, "tmpfs", MS_NOSUID | MS_NODEV, ROOT_OPTIONS) < 0 ||
	    chdir(c->run_dir) < 0) {
		log_errno("the controller's view: a root");
		return -1;
	}
	for (int i = 0; i < PARTS; i++)
		if (trees[i] >= 0 && attach(&parts[i], trees[i]) < 0)
			return -1;
	return change_root();
}

int view_enter(const struct config *c)
{
	struct part parts[PARTS];
	int trees[PARTS];

	list_parts(c, parts);
	qsort(parts, PARTS, sizeof(parts[0]), by_length);
	for (int i = 0; i < PARTS; i++)
		trees[i] = -1;
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	int r = build(c, parts, trees);
	for (int i = 0; i < PARTS; i++)
		if (trees[i] >= 0)
			(void)close(trees[i]);
	return r;
}
