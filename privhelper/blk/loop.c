/* loop.c - binds files to loop devices, shares the loops of bases, and reads loops back.
 *
 * Theory of operation.  A loop is bound with LO_FLAGS_AUTOCLEAR, so it stays bound while a process
 * or a device has it open: first this role, then the snapshot on top of it.  A role that is killed
 * in between leaves nothing behind, and no loop is ever cleared by its index.
 *
 * A loop is identified by its tag (lo_file_name), and by device and inode of the file behind it.  A
 * remembered index is a hint: an administrator or autoclear may have freed the loop, and another
 * program may use it now.  So each use reads the status back first.
 *
 * The role opens nodes of two kinds of indexes: those that the kernel has just returned
 * (LOOP_CTL_GET_FREE), and those that /sys/block shows.  Opening the node of any other index would
 * create the device (drivers/block/loop.c, loop_probe()). */
#include "privhelper/blk/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"

#define TAG_BASE "banger-base"
#define MIN_FILE (1024u * 1024u)
#define BIND_TRIES 16 /* each EBUSY: another program took the free index meanwhile */

_Static_assert(TAG_TEXT <= LO_NAME_SIZE, "a tag fits lo_file_name");

/* A base belongs to no VM: its tag has generation 0. */
static const struct tag base_tag = { 0 };

/* Write lo_file_name, filled up with NULs. */
static void loop_name(const struct tag *t, char out[LO_NAME_SIZE])
{
	memset(out, 0, LO_NAME_SIZE);
	if (t->generation)
		tag_format(TAG_ALIAS, t, out);
	else
		(void)snprintf(out, LO_NAME_SIZE, TAG_BASE);
}

static bool read_name(const char *name, struct tag *out)
{
	*out = base_tag;
	return strcmp(name, TAG_BASE) == 0 || tag_parse(TAG_ALIAS, name, LO_NAME_SIZE, out);
}

uint32_t blk_loop_minor(const struct blk_state *b, int32_t index)
{
	return (uint32_t)index << b->loop_shift;
}

int32_t blk_loop_of(const struct blk_state *b, unsigned major, unsigned minor)
{
	if (major != LOOP_MAJOR || (minor & ((1u << b->loop_shift) - 1)) ||
	    minor >> b->loop_shift >= BLK_LOOPS)
		return -1;
	return (int32_t)(minor >> b->loop_shift);
}

/* Return: the bytes that a file may have.  A CoW store needs one chunk of metadata for each 256
 * chunks of data. */
static uint64_t size_limit(const struct config *c, enum blk_part part)
{
	uint64_t max = (uint64_t)c->max_disk_mib << 20;

	return part == PART_BASE ? max : max + max / 128 + MIN_FILE;
}

enum status blk_loop_descriptor(const struct blk_state *b, int fd, enum blk_part part,
				uint64_t *size)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	/* A write in append mode would land at the end of the file instead of at its sector. */
	if (flags < 0 || (flags & (O_PATH | O_APPEND)))
		return ST_DENIED;
	if ((flags & O_ACCMODE) != (part == PART_BASE ? O_RDONLY : O_RDWR))
		return ST_DENIED;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink < 1)
		return ST_DENIED;
	if (st.st_uid != b->config->controller.uid || st.st_dev != b->store_dev)
		return ST_DENIED;
	*size = (uint64_t)st.st_size;
	if (*size % BLK_SECTOR || *size < MIN_FILE || *size > size_limit(b->config, part))
		return ST_DENIED;
	return ST_OK;
}

/* Open a node of the role's root.  Return: a descriptor, or -1 with errno. */
static int open_node(int32_t index, enum blk_part part)
{
	char path[16];

	if (index < 0 || index >= BLK_LOOPS) {
		errno = ERANGE;
		return -1;
	}
	(void)snprintf(path, sizeof(path), "/loop%d", index);
	return open(path, (part == PART_BASE ? O_RDONLY : O_RDWR) | O_CLOEXEC);
}

/* Read tag, index, device and inode of the loop behind @fd.  Return: true, or false: it is not
 * bound, or not ours. */
static bool read_loop(int fd, struct tag *tag, struct blk_loop *l)
{
	const uint32_t must = LO_FLAGS_AUTOCLEAR,
		       may = must | LO_FLAGS_READ_ONLY | LO_FLAGS_DIRECT_IO;
	struct loop_info64 info;

	if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return false;
	info.lo_file_name[LO_NAME_SIZE - 1] = 0;
	if (!read_name((const char *)info.lo_file_name, tag))
		return false;
	if ((info.lo_flags & ~may) || (info.lo_flags & must) != must || info.lo_offset)
		return false;
	if (!tag->generation != !!(info.lo_flags & LO_FLAGS_READ_ONLY))
		return false;
	*l = (struct blk_loop){ -1, (int32_t)info.lo_number, info.lo_device, info.lo_inode };
	return true;
}

/* True if the loop behind @fd has this tag, and index, device and inode of @want. */
static bool is_loop(int fd, const struct tag *tag, const struct blk_loop *want)
{
	struct tag t;
	struct blk_loop l;

	return read_loop(fd, &t, &l) && l.index == want->index && l.dev == want->dev &&
	       l.ino == want->ino && memcmp(&t, tag, sizeof(t)) == 0;
}

/* Bind @file to the loop behind @node.  Return: 0, or -1 with errno; EBUSY: another program has
 * bound it meanwhile. */
static int configure(int node, int file, uint64_t size, const struct tag *tag)
{
	/* The sector size of a guest's disk must not depend on the host's disk. */
	struct loop_config c = { .fd = (uint32_t)file, .block_size = BLK_SECTOR };
	char name[LO_NAME_SIZE];

	/* It tells udev's rule our loops from others, whatever path the file has. */
	c.info.lo_sizelimit = size;
	loop_name(tag, name);
	memcpy(c.info.lo_file_name, name, sizeof(name));
	/* The kernel drops LO_FLAGS_DIRECT_IO if the file does not support it. */
	c.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO |
			  (tag->generation ? 0 : LO_FLAGS_READ_ONLY);
	if (FAILPOINT_FAILS("loop.configure"))
		return -1;
	return ioctl(node, LOOP_CONFIGURE, &c);
}

/* Log errno, and turn it into a status.  ENOSPC: no index is left.  ENOMEM: no memory for one more
 * loop.  EMFILE: the role holds too many descriptors. */
static enum status refusal(const char *what)
{
	log_errno("%s", what);
	return errno == ENOSPC || errno == ENOMEM || errno == EMFILE ? ST_LIMIT : ST_KERNEL;
}

/* Bind @file to a free loop.  On ST_OK, l->fd and l->index are set. */
static enum status bind_new(struct blk_state *b, int file, uint64_t size, const struct tag *tag,
			    struct blk_loop *l)
{
	for (int i = 0; i < BIND_TRIES; i++) {
		int index = ioctl(b->loop_control, LOOP_CTL_GET_FREE);
		if (index < 0)
			return refusal("loop-control");
		if (index >= BLK_LOOPS)
			return ST_LIMIT;
		_cleanup_close_ int node = open_node(index, tag->generation ? PART_COW : PART_BASE);
		if (node < 0)
			return refusal("loop node");
		l->index = index;
		if (configure(node, file, size, tag) == 0) {
			l->fd = steal_fd(&node);
			return ST_OK;
		}
		if (errno != EBUSY)
			return refusal("loop configure");
	}
	return ST_BUSY;
}

/* Open the loop of a base once more, if a slot has one of the file @l.  Return: true, with l->fd
 * and l->index set, or false. */
static bool share_base(struct blk_state *b, const struct tag *tag, struct blk_loop *l)
{
	for (uint32_t i = 0; i < SLOT_MAX; i++) {
		const struct blk_loop *other = &b->slots[i].part[PART_BASE];
		if (other->index < 0 || other->dev != l->dev || other->ino != l->ino)
			continue;
		_cleanup_close_ int node = open_node(other->index, PART_BASE);
		/* Our descriptor keeps the loop bound, so what is_loop() reads stays true. */
		if (node >= 0 && is_loop(node, tag, other)) {
			l->index = other->index;
			l->fd = steal_fd(&node);
			return true;
		}
	}
	return false;
}

/* Check the loop that the slot has for this part, and hold it open.
 * Return: ST_OK: it has the file @want; ST_BUSY: it has another file; ST_ABSENT: the loop is gone,
 * and is forgotten. */
static enum status attached(struct blk_state *b, uint32_t slot, enum blk_part part,
			    const struct tag *tag, const struct blk_loop *want)
{
	struct blk_loop *l = &b->slots[slot].part[part];
	_cleanup_close_ int node = l->fd >= 0 ? -1 : open_node(l->index, part);
	int fd = l->fd >= 0 ? l->fd : node;

	if (fd < 0 || !is_loop(fd, tag, l)) {
		close_and_reset(&l->fd);
		*l = (struct blk_loop){ -1, -1, 0, 0 };
		return ST_ABSENT;
	}
	if (l->dev != want->dev || l->ino != want->ino)
		return ST_BUSY;
	if (l->fd < 0)
		/* the snapshot that keeps it bound may be going away: hold it again */
		l->fd = steal_fd(&node);
	return ST_OK;
}

enum status blk_loop_attach(struct blk_state *b, const struct request *q, enum blk_part part,
			    int fd, uint64_t size)
{
	const struct tag tag = part == PART_BASE ? base_tag : tag_of(q);
	struct blk_loop *l = &b->slots[q->slot].part[part], made = { -1, -1, 0, 0 };
	enum status s = ST_OK;
	struct stat st;

	if (b->loop_control < 0)
		return ST_KERNEL;
	if (fstat(fd, &st) < 0)
		return ST_DENIED;
	made.dev = st.st_dev;
	made.ino = st.st_ino;
	if (l->index >= 0) {
		s = attached(b, q->slot, part, &tag, &made);
		if (s != ST_ABSENT)
			return s;
	}
	if (part == PART_COW || !share_base(b, &tag, &made))
		s = bind_new(b, fd, size, &tag, &made);
	else
		s = ST_OK;
	if (s != ST_OK)
		return s;
	if (FAILPOINT_FAILS("loop.configured") || !is_loop(made.fd, &tag, &made) ||
	    blk_loop_sectors(&made) != size / BLK_SECTOR) {
		log_error("loop%d: read back: it has another tag, file or size", made.index);
		close_and_reset(&made.fd);
		return ST_KERNEL;
	}
	*l = made;
	return ST_OK;
}

bool blk_loop_bound(const struct blk_state *b, uint32_t slot, enum blk_part part)
{
	const struct blk_loop *l = &b->slots[slot].part[part];
	struct tag t;
	struct blk_loop now;

	if (l->fd >= 0)
		return true;
	_cleanup_close_ int node = open_node(l->index, PART_BASE);
	if (node < 0 || !read_loop(node, &t, &now) || now.dev != l->dev || now.ino != l->ino)
		return false;
	return t.generation ? part == PART_COW && t.slot == slot : part == PART_BASE;
}

void blk_loop_learn_base(struct blk_state *b, uint32_t slot, int32_t index)
{
	struct blk_loop *known = &b->slots[slot].part[PART_BASE], l;
	_cleanup_close_ int node = known->fd < 0 ? open_node(index, PART_BASE) : -1;
	struct tag t;

	if (node >= 0 && read_loop(node, &t, &l) && !t.generation)
		*known = l;
}

enum status blk_loop_detach(struct blk_state *b, uint32_t slot, enum blk_part part)
{
	struct blk_loop *l = &b->slots[slot].part[part];

	FAILPOINT("loop.close");
	close_and_reset(&l->fd);
	if (l->index < 0)
		return ST_OK;
	/* Other slots may keep a base bound.  A CoW loop is kept bound by its snapshot alone. */
	if (part == PART_COW && blk_loop_bound(b, slot, part))
		return ST_BUSY;
	*l = (struct blk_loop){ -1, -1, 0, 0 };
	return ST_OK;
}

void blk_loop_hand_over(struct blk_state *b, uint32_t slot)
{
	for (unsigned p = 0; p < BLK_PARTS; p++)
		close_and_reset(&b->slots[slot].part[p].fd);
}

uint64_t blk_loop_sectors(const struct blk_loop *l)
{
	uint64_t bytes = 0;

	if (l->fd < 0 || ioctl(l->fd, BLKGETSIZE64, &bytes) < 0)
		return 0;
	return bytes / BLK_SECTOR;
}

/* The kernel shows each disk that is there all the while exactly once, whatever comes and goes
 * meanwhile (fs/kernfs/dir.c, kernfs_fop_readdir()).  It does not promise that of
 * /proc/partitions. */
int blk_loop_each(struct blk_state *b,
		  void (*fn)(void *arg, const struct tag *t, const struct blk_loop *l), void *arg)
{
	const struct dirent *e;

	rewinddir(b->disks);
	for (errno = 0; (e = readdir(b->disks)); errno = 0) {
		struct tag t;
		struct blk_loop l;
		int32_t index = -1;
		(void)sscanf(e->d_name, "loop%9d", &index);
		_cleanup_close_ int node = open_node(index, PART_BASE);
		if (node >= 0 && read_loop(node, &t, &l) && l.index == index)
			fn(arg, &t, &l);
	}
	return errno ? -1 : 0;
}
