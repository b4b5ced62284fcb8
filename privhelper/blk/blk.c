/* blk.c - the blk role: turns files into the disks of VMs.
 *
 * ROLE blk keeps CAP_SYS_ADMIN alone.  The order of a create is: attach the base, attach the CoW
 * store, create the snapshot.  A removal goes backwards.  The snapshot keeps both loops open.  So
 * after snapshot_create this role holds no descriptor of a VM, and a VM's disk outlives the role.
 *
 * blk_scan() adopts the objects of an earlier role: the tag of a CoW loop names slot, generation
 * and owner; the uuid of a snapshot names slot and generation, and its table leads to the CoW loop,
 * whose tag has the owner. */
#include "privhelper/blk/blk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "privhelper/blk/dm.h"
#include "privhelper/blk/loop.h"
#include "privhelper/blk/root.h"
#include "privhelper/policies.h"

static struct blk_state *state(struct role *r)
{
	return r->state;
}

/* ---- as root ---- */

/* Return: the major number of the block driver @name in /proc/devices; 0: this kernel has none. */
static uint32_t block_major(const char *name)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/devices", "re");
	bool block = false;
	char line[128], seen[64];
	unsigned major;

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "Block devices:", 14) == 0)
			block = true;
		else if (block && sscanf(line, "%9u %63s", &major, seen) == 2 &&
			 strcmp(seen, name) == 0)
			return major;
	}
	return 0;
}

/* Return: the bits between the minors of two loops, fls(max_part) (drivers/block/loop.c,
 * loop_init()). */
static unsigned loop_shift(void)
{
	_cleanup_fclose_ FILE *f = fopen("/sys/module/loop/parameters/max_part", "re");
	unsigned parts = 0, shift = 0;

	if (f && fscanf(f, "%9u", &parts) != 1)
		parts = 0;
	while (parts >> shift)
		shift++;
	return shift;
}

/* A kernel without the module has no control node.  The operations that need it then answer
 * ST_KERNEL. */
static int open_control(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		log_warn("%s: %s", path, strerror(errno));
	return fd;
}

/* True if a snapshot of an earlier start exists, or the kernel does not say. */
static bool has_snapshots(const struct blk_state *b)
{
	struct blk_dm d;

	for (uint32_t i = 0; i < b->config->slots; i++)
		if (blk_dm_find(b, i, &d) != 0)
			return true;
	return false;
}

/* A process with the control node can load a table into any device of the host
 * (drivers/md/dm-ioctl.c looks devices up by name alone).  So the node is opened only if the
 * configuration asks for snapshots, or to remove snapshots of an earlier start. */
static void open_dm(struct blk_state *b)
{
	b->dm_control = -1;
	b->dm_major = block_major("device-mapper");
	if (b->dm_major == 0)
		return;
	b->dm_control = open_control("/dev/mapper/control");
	if (b->config->dm != DM_OFF || b->dm_control < 0)
		return;
	if (has_snapshots(b)) {
		log_warn("dm = off: not in effect yet: snapshots of an earlier start exist");
		return;
	}
	(void)close(b->dm_control);
	b->dm_control = -1;
}

static int blk_prepare(struct role *r)
{
	struct blk_state *b = state(r);
	struct stat st;

	b->config = &r->config;
	for (uint32_t i = 0; i < SLOT_MAX; i++)
		for (unsigned p = 0; p < BLK_PARTS; p++)
			b->slots[i].part[p] = (struct blk_loop){ -1, -1, 0, 0 };
	b->loop_control = open_control("/dev/loop-control");
	open_dm(b);
	b->loop_shift = loop_shift();
	b->disks = opendir("/sys/block");
	if (!b->disks || stat(r->config.state_dir, &st) < 0) {
		log_errno("/sys/block or %s", r->config.state_dir);
		return -1;
	}
	b->store_dev = st.st_dev;
	if (b->dm_control >= 0 && blk_make_disk_nodes(b) < 0)
		return -1;
	return blk_enter_root(b);
}

static int blk_bind(struct role *r, struct binding *bound)
{
	const struct blk_state *b = state(r);

	bound[BLK_LOOP_CONTROL] = policy_fd(b->loop_control);
	bound[BLK_DM_CONTROL] = policy_fd(b->dm_control);
	bound[BLK_DISKS] = policy_fd(dirfd(b->disks));
	return 0;
}

/* ---- what the kernel shows ---- */

static void adopt_loop(void *arg, const struct tag *t, const struct blk_loop *l)
{
	struct role *r = arg;

	if (!t->generation || t->slot >= r->config.slots)
		return;
	struct blk_loop *known = &state(r)->slots[t->slot].part[PART_COW];
	if (known->fd < 0)
		*known = *l;
	role_adopt(r, t->slot, t->generation, t->owner);
}

/* Adopt each snapshot, and learn the slot's base from its table, because the tag of a base has no
 * slot. */
static int adopt_snapshots(struct role *r)
{
	struct blk_state *b = state(r);
	struct blk_dm d;

	for (uint32_t i = 0; i < r->config.slots; i++) {
		int there = blk_dm_find(b, i, &d);
		if (there < 0)
			return -1;
		if (!there)
			continue;
		blk_loop_learn_base(b, i, d.base_index);
		/* The tag of the CoW loop has given the owner already, unless the snapshot has no
		 * table. */
		if (r->ledger[i].generation != d.generation)
			role_adopt(r, i, d.generation, OWNER_UNKNOWN);
	}
	return 0;
}

static int blk_scan(struct role *r)
{
	if (blk_loop_each(state(r), adopt_loop, r) == 0 && adopt_snapshots(r) == 0)
		return 0;
	log_errno("loops or snapshots");
	return -1;
}

static bool blk_holds(struct role *r, uint32_t slot)
{
	const struct blk_state *b = state(r);
	struct blk_dm d;

	/* After an error of blk_dm_find() the slot may hold a snapshot, so a newer generation has
	 * to wait. */
	return b->slots[slot].part[PART_BASE].fd >= 0 || blk_loop_bound(b, slot, PART_COW) ||
	       blk_dm_find(b, slot, &d) != 0;
}

/* Append the objects of one slot, at most three. */
static void list_slot(struct role *r, uint32_t slot, struct rep_list *out)
{
	const struct blk_state *b = state(r);
	const struct owner_row *w = &r->ledger[slot];
	struct blk_dm d;

	for (unsigned p = 0; p < BLK_PARTS; p++)
		if (b->slots[slot].part[p].index >= 0 && blk_loop_bound(b, slot, p))
			(void)role_list_add(out, p == PART_BASE ? OBJ_LOOP_BASE : OBJ_LOOP_COW,
					    slot, w->generation, w->owner,
					    (uint64_t)b->slots[slot].part[p].index);
	if (blk_dm_find(b, slot, &d) == 1)
		(void)role_list_add(out, OBJ_DM, slot, d.generation, w->owner,
				    d.invalid ? 0 : SLOT_DM_MINOR + slot);
}

/* The cursor is the next slot.  Cursor 0 begins a round and scans the kernel again, because other
 * processes may have removed or added objects. */
static enum status blk_list(struct role *r, struct call *c)
{
	struct rep_list *out = &c->reply.list;
	uint64_t slot = c->q.list.cursor;

	if (slot == 0 && blk_scan(r) < 0)
		return ST_KERNEL;
	out->objects.n = 0;
	while (slot < r->config.slots && out->objects.n / LIST_FIELDS + 3 <= LIST_MAX)
		list_slot(r, (uint32_t)slot++, out);
	out->next = slot < r->config.slots ? slot : 0;
	return ST_OK;
}

/* ---- operations ---- */

static enum status loop_attach(struct role *r, struct call *c)
{
	struct blk_state *b = state(r);
	enum blk_part part = c->q.loop_attach.part;
	uint64_t size;

	enum status s = blk_loop_descriptor(b, c->fds_in[0], part, &size);
	if (s == ST_OK)
		s = blk_loop_attach(b, &c->q, part, c->fds_in[0], size);
	if (s == ST_OK)
		c->reply.loop_attach.loop = (uint64_t)b->slots[c->q.slot].part[part].index;
	return s;
}

static enum status loop_detach(struct role *r, struct call *c)
{
	struct blk_dm d;

	int there = blk_dm_find(state(r), c->q.slot, &d);
	if (there)
		return there < 0 ? ST_KERNEL : ST_BUSY;
	return blk_loop_detach(state(r), c->q.slot, c->q.loop_detach.part);
}

/* Check the device of the slot's name, and remove an unfinished one of this generation.
 * Return: ST_OK: a finished snapshot of this generation exists; ST_ABSENT: the name is free;
 * ST_BUSY; or ST_KERNEL. */
static enum status settle(const struct blk_state *b, const struct request *q)
{
	struct blk_dm d;
	int there = blk_dm_find(b, q->slot, &d);

	if (there < 0)
		return ST_KERNEL;
	if (!there)
		return ST_ABSENT;
	if (d.generation != q->generation)
		return ST_BUSY;
	if (d.active)
		return ST_OK;
	enum status s = blk_dm_remove(b, q->slot, d.generation);
	return s == ST_OK ? ST_ABSENT : s;
}

static enum status snapshot_create(struct role *r, struct call *c)
{
	struct blk_state *b = state(r);
	const struct blk_slot *slot = &b->slots[c->q.slot];

	if (b->dm_control < 0)
		return ST_KERNEL;
	c->reply.snapshot_create.minor = SLOT_DM_MINOR + c->q.slot;
	enum status s = settle(b, &c->q);
	if (s == ST_ABSENT) {
		if (slot->part[PART_BASE].fd < 0 || slot->part[PART_COW].fd < 0)
			return ST_ABSENT;
		uint64_t sectors = blk_loop_sectors(&slot->part[PART_BASE]);
		s = sectors ? blk_dm_create(b, c->q.slot, c->q.generation, sectors) : ST_KERNEL;
	}
	if (s == ST_OK)
		blk_loop_hand_over(b, c->q.slot);
	return s;
}

static enum status snapshot_remove(struct role *r, struct call *c)
{
	enum status s = blk_dm_remove(state(r), c->q.slot, c->q.generation);
	if (s != ST_OK)
		return s;
	(void)blk_loop_detach(state(r), c->q.slot, PART_COW);
	(void)blk_loop_detach(state(r), c->q.slot, PART_BASE);
	return ST_OK;
}

static const struct handler handlers[] = {
	{ OP_LOOP_ATTACH, loop_attach },
	{ OP_LOOP_DETACH, loop_detach },
	{ OP_SNAPSHOT_CREATE, snapshot_create },
	{ OP_SNAPSHOT_REMOVE, snapshot_remove },
	{ 0, NULL },
};

static struct blk_state blk;

static struct role role = {
	.id = ROLE_BLK,
	.name = "blk",
	.policy = &policy_blk,
	.handlers = handlers,
	.prepare = blk_prepare,
	.bind = blk_bind,
	.scan = blk_scan,
	.holds = blk_holds,
	.list = blk_list,
	.state = &blk,
};

int main(void)
{
	role.account = &role.config.blk;
	role_main(&role);
}
