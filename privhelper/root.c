/* root.c - gives a process a root of its own, with parts of the host in it. */
#include "privhelper/root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"

static int failed(const struct part *p)
{
	log_errno("a root of its own: %s", p->path);
	return -1;
}

int root_unshare(int flags)
{
	return SETUP_FAILS("unshare") || unshare(CLONE_NEWNS | flags) < 0
		       ? -1
		       : mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* Check the owner after the clone: the owner of the folder above may have put another file or a
 * link there at any time before. */
static int check_owner(const struct part *p, int tree)
{
	struct stat st;

	if (fstat(tree, &st) < 0)
		return failed(p);
	if (st.st_uid == 0 && (st.st_mode & S_IFMT) == (p->how & PART_FILE ? S_IFREG : S_IFDIR))
		return 0;
	log_error("%s: must be a %s of root's, and no link", p->path,
		  p->how & PART_FILE ? "file" : "folder");
	return -1;
}

static int clone_part(struct part *p)
{
	const unsigned deep = p->how & PART_DEEP ? AT_RECURSIVE : 0,
		       link = p->how & PART_ROOTS ? AT_SYMLINK_NOFOLLOW : 0;
	struct mount_attr attr = { .attr_set = p->attr };

	_cleanup_close_ int tree = open_tree(AT_FDCWD, p->path,
					     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | deep | link);
	if (tree < 0)
		return p->how & PART_MAY_LACK && errno == ENOENT ? 0 : failed(p);
	if (p->how & PART_ROOTS && check_owner(p, tree) < 0)
		return -1;
	if (mount_setattr(tree, "", AT_EMPTY_PATH | deep, &attr, sizeof(attr)) < 0)
		return failed(p);
	p->tree = steal_fd(&tree);
	return 0;
}

int parts_clone(struct part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (*parts[i].path && clone_part(&parts[i]) < 0)
			return -1;
	return 0;
}

int root_make(const char *over, unsigned long flags, const char *options)
{
	return mount("tmpfs", over, "tmpfs", MS_NOSUID | MS_NOEXEC | flags, options) < 0
		       ? -1
		       : chdir(over);
}

/* Make the mount point @at, and the folders above it. */
static int make_point(const char *at, unsigned how)
{
	char part[PATH_MAX];

	for (const char *slash = strchr(at, '/'); slash; slash = strchr(slash + 1, '/')) {
		(void)snprintf(part, sizeof(part), "%.*s", (int)(slash - at), at);
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -1;
	}
	int r = how & PART_FILE ? mknod(at, S_IFREG | 0444, 0) : mkdir(at, 0755);
	return r < 0 && errno != EEXIST ? -1 : 0;
}

int parts_attach(struct part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct part *p = &parts[i];
		const char *at = p->at ? p->at : p->path + 1;
		if (p->tree &&
		    (make_point(at, p->how) < 0 ||
		     move_mount(p->tree, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
		     close(p->tree) < 0))
			return failed(p);
	}
	return 0;
}

/* pivot_root(2) mounts the old root at the working folder: "." on "." needs no second folder. */
int root_pivot(void)
{
	return SETUP_FAILS("pivot") || syscall(SYS_pivot_root, ".", ".") < 0 ||
			       umount2(".", MNT_DETACH) < 0
		       ? -1
		       : chdir("/");
}

int root_enter(void)
{
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
					     MOUNT_ATTR_NOEXEC };

	return root_pivot() < 0 ? -1 : mount_setattr(AT_FDCWD, "/", 0, &ro, sizeof(ro));
}
