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

#define TUN_MAJOR 10 /* Documentation/admin-guide/devices.txt: misc */
#define TUN_MINOR 200

/* Mount a tmpfs on /tmp, without nodev, make the node and pivot to it.  pivot_root(2): "." on "."
 * needs no second folder. */
static int change_root(const struct account *a)
{
	const char *node = NET_TUN_NODE + 1;

	FAILPOINT("root.before");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=4k,nr_inodes=4") <
		    0 ||
	    chdir("/tmp") < 0)
		return -1;
	if (mknod(node, S_IFCHR | 0600, makedev(TUN_MAJOR, TUN_MINOR)) < 0 ||
	    lchown(node, a->uid, a->gid) < 0)
		return -1;
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -1;
	return mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL);
}

int net_root_enter(const struct account *a)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) < 0 || change_root(a) < 0) {
		log_errno("namespaces and root of the net role");
		return -1;
	}
	return 0;
}
