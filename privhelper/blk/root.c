/* root.c - makes the disk nodes of the VMs and the blk role's own root, as root before
 * lock-down. */
#include "privhelper/blk/root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/blk/loop.h"
#include "privhelper/label.h"
#include "privhelper/root.h"

#define NODE_NEW ".vda"

/* True if the slot's node exists with the right number, owner and mode.  It is then kept, as a
 * running VMM may have it open. */
static bool node_is_right(int slots, const char *name, dev_t dev, uint32_t gid)
{
	struct stat st;

	return fstatat(slots, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISBLK(st.st_mode) &&
	       st.st_rdev == dev && st.st_uid == 0 && st.st_gid == gid &&
	       (st.st_mode & 07777) == 0660;
}

static int label_node(int slots, const char *name, uint32_t slot)
{
	_cleanup_close_ int node = openat(slots, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return node < 0 ? -1 : label_slot(node, slot);
}

/* Make the slot's node.  It lies beside the slot's folder: a VMM owns its folder, and could leave
 * another file under the node's name for the slot's next VM.  It belongs to root: an owner could
 * open it to others for good. */
static int make_node(const struct blk_state *b, int slots, uint32_t slot)
{
	const dev_t dev = makedev(b->dm_major, SLOT_DM_MINOR + slot);
	const uint32_t gid = slot_uid(b->config, slot);
	char name[16];

	(void)snprintf(name, sizeof(name), "vda%u", slot);
	if (node_is_right(slots, name, dev, gid))
		return label_node(slots, name, slot);
	FAILPOINT("disknode.before");
	if (unlinkat(slots, NODE_NEW, 0) < 0 && errno != ENOENT)
		return -1;
	/* The mode is set last: mknod(2) would apply the umask.  By name is safe: only root can
	 * write in slots/. */
	if (mknodat(slots, NODE_NEW, S_IFBLK | 0600, dev) < 0 ||
	    fchownat(slots, NODE_NEW, 0, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    label_node(slots, NODE_NEW, slot) < 0 || fchmodat(slots, NODE_NEW, 0660, 0) < 0)
		return -1;
	FAILPOINT("disknode.made");
	return renameat(slots, NODE_NEW, slots, name);
}

int blk_make_disk_nodes(const struct blk_state *b)
{
	char path[sizeof(b->config->run_dir) + 8];

	(void)snprintf(path, sizeof(path), "%s/slots", b->config->run_dir);
	_cleanup_close_ int slots = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (slots < 0) {
		log_errno("%s", path);
		return -1;
	}
	for (uint32_t i = 0; i < b->config->slots; i++)
		if (make_node(b, slots, i) < 0) {
			log_errno("%s/vda%u", path, i);
			return -1;
		}
	return 0;
}

/* Make the loop nodes in the working folder, which the role's uid alone can open. */
static int make_loop_nodes(const struct blk_state *b)
{
	const struct account *a = &b->config->blk;
	char name[16];

	for (int32_t i = 0; i < BLK_LOOPS; i++) {
		(void)snprintf(name, sizeof(name), "loop%d", i);
		if (mknod(name, S_IFBLK | 0600, makedev(LOOP_MAJOR, blk_loop_minor(b, i))) < 0)
			return -1;
		if (lchown(name, a->uid, a->gid) < 0)
			return -1;
	}
	return 0;
}

/* The root is a tmpfs with inodes for the nodes alone.  Under SELinux each node has a label, which
 * counts as a part of an inode since Linux 6.6 (mm/shmem.c, shmem_initxattrs()); a whole inode is
 * reserved for it. */
static int change_root(const struct blk_state *b)
{
	char options[64];

	FAILPOINT("root.before");
	(void)snprintf(options, sizeof(options), "mode=755,size=64k,nr_inodes=%d",
		       2 * (BLK_LOOPS + 8));
	if (root_make("/tmp", 0, options) < 0 || make_loop_nodes(b) < 0)
		return -1;
	return root_enter();
}

int blk_enter_root(const struct blk_state *b)
{
	if (root_unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0 || change_root(b) < 0) {
		log_errno("namespaces and root of the blk role");
		return -1;
	}
	return 0;
}
