/* root.c - moves the net role into a root that holds one tun node, which its uid alone can open. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/net/root.h"
#include "privhelper/root.h"

#define TUN_MAJOR 10 /* Documentation/admin-guide/devices.txt: misc */
#define TUN_MINOR 200

/* The root is a tmpfs, mounted on /tmp, with one inode for the node. */
static int change_root(const struct account *a)
{
	const char *node = NET_TUN_NODE + 1;

	FAILPOINT("root.before");
	if (root_make("/tmp", 0, "mode=755,size=4k,nr_inodes=4") < 0 ||
	    mknod(node, S_IFCHR | 0600, makedev(TUN_MAJOR, TUN_MINOR)) < 0 ||
	    lchown(node, a->uid, a->gid) < 0)
		return -1;
	return root_enter();
}

int net_root_enter(const struct account *a)
{
	if (root_unshare(CLONE_NEWIPC | CLONE_NEWUTS) < 0 || change_root(a) < 0) {
		log_errno("namespaces and root of the net role");
		return -1;
	}
	return 0;
}
