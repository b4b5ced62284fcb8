/* dm.c - creates, reads and removes device-mapper snapshots, by the ioctls of /dev/mapper/control.
 *
 * Theory of operation.  A VM's disk is `snapshot <base> <cow> P 8`
 * (admin-guide/device-mapper/snapshot.rst; include/uapi/linux/dm-ioctl.h).  A chunk of 8 sectors is
 * read from the shared base until the guest writes it; it then lies in the CoW store,
 * persistently.  The device needs no record, because name, uuid and minor are derived from the
 * slot.  The name finds the device.  The uuid proves that it is ours, and names its generation.
 * The minor is fixed because the VMM's node with that number was made before lock-down.
 *
 * Three ioctls make a device: create, load a table, resume.  A role that is killed in between
 * leaves a device without a live table.  The next create of the same generation removes it first,
 * and a remove works at each point.
 *
 * The CoW store is the controller's file.  Its header may name a chunk size of up to 1 GiB, and the
 * kernel would allocate three buffers of that size (dm-snap-persistent.c, read_header()).  The
 * table that is read back has the size in use: a device with a size other than ours is removed
 * again. */
#include "privhelper/blk/dm.h"

#include <errno.h>
#include <linux/dm-ioctl.h>
#include <linux/major.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "privhelper/blk/loop.h"

#define TARGET "snapshot"
#define CHUNK 8 /* sectors */

/* The argument of an ioctl: the header, then space for one target and its text. */
struct dm_call {
	struct dm_ioctl h;
	union {
		struct dm_target_spec spec;
		char room[sizeof(struct dm_target_spec) + 128];
	};
};

_Static_assert(sizeof(struct dm_ioctl) % 8 == 0,
	       "the kernel wants a target at a multiple of its alignment");
_Static_assert(offsetof(struct dm_call, spec) == sizeof(struct dm_ioctl),
	       "no hole behind the header");

static struct dm_call new_call(uint32_t flags)
{
	return (struct dm_call){ .h = {
					 /* Minor version 0 has all that we use; the kernel
					  * refuses only versions above its own. */
					 .version = { DM_VERSION_MAJOR, 0, 0 },
					 .data_size = sizeof(struct dm_call),
					 .data_start = offsetof(struct dm_call, spec),
					 .flags = flags,
				 } };
}

/* A call about the slot's device of one generation.  It names the uuid alone: only create takes a
 * name beside it. */
static struct dm_call call_by_uuid(uint32_t slot, uint32_t generation, uint32_t flags)
{
	struct dm_call c = new_call(flags);
	char uuid[40];

	slot_dm_uuid(slot, generation, uuid);
	(void)snprintf(c.h.uuid, sizeof(c.h.uuid), "%s", uuid);
	return c;
}

bool blk_dm_uuid_parse(const char *uuid, uint32_t *slot, uint32_t *generation)
{
	char again[40];

	if (sscanf(uuid, SLOT_UUID_PREFIX "%9u-%10u", slot, generation) != 2)
		return false;
	if (*slot >= SLOT_MAX || *generation == 0)
		return false;
	slot_dm_uuid(*slot, *generation, again);
	return strcmp(uuid, again) == 0;
}

static void table_format(unsigned base_minor, unsigned cow_minor, char out[64])
{
	(void)snprintf(out, 64, "%d:%u %d:%u P %d", LOOP_MAJOR, base_minor, LOOP_MAJOR, cow_minor,
		       CHUNK);
}

bool blk_dm_table_parse(const struct blk_state *b, const char *text, struct blk_dm *out)
{
	unsigned major[2], minor[2];
	char again[64];

	if (sscanf(text, "%9u:%9u %9u:%9u P", &major[0], &minor[0], &major[1], &minor[1]) != 4)
		return false;
	int32_t base = blk_loop_of(b, major[0], minor[0]), cow = blk_loop_of(b, major[1], minor[1]);
	table_format(minor[0], minor[1], again);
	if (base < 0 || cow < 0 || strcmp(text, again) != 0)
		return false;
	out->base_index = base;
	out->cow_index = cow;
	return true;
}

/* Read the loops of the live table, if there is one.  Return: 0, or -1 with errno. */
static int read_table(const struct blk_state *b, struct blk_dm *d)
{
	struct dm_call c = call_by_uuid(d->slot, d->generation, DM_STATUS_TABLE_FLAG);

	if (ioctl(b->dm_control, DM_TABLE_STATUS, &c) < 0)
		return -1;
	c.room[sizeof(c.room) - 1] = 0;
	if (c.h.target_count != 1 || (c.h.flags & DM_BUFFER_FULL_FLAG))
		return 0;
	if (strncmp(c.spec.target_type, TARGET, sizeof(c.spec.target_type)) == 0)
		(void)blk_dm_table_parse(b, c.room + sizeof(c.spec), d);
	return 0;
}

/* Read whether the snapshot is valid.  The status of a valid one is its fill level, "16/8192 16";
 * any other status is a word, such as "Invalid" (dm-snap.c, snapshot_status()). */
static int read_health(const struct blk_state *b, struct blk_dm *d)
{
	struct dm_call c = call_by_uuid(d->slot, d->generation, DM_NOFLUSH_FLAG);

	if (ioctl(b->dm_control, DM_TABLE_STATUS, &c) < 0)
		return -1;
	char first = c.room[sizeof(c.spec)];
	d->invalid = c.h.target_count == 1 && (first < '0' || first > '9');
	return 0;
}

int blk_dm_find(const struct blk_state *b, uint32_t slot, struct blk_dm *out)
{
	struct dm_call c = new_call(0);
	struct blk_dm d = { .base_index = -1, .cow_index = -1 };
	char name[16];

	if (b->dm_control < 0)
		return 0;
	slot_dm_name(slot, name);
	(void)snprintf(c.h.name, sizeof(c.h.name), "%s", name);
	if (ioctl(b->dm_control, DM_DEV_STATUS, &c) < 0)
		return errno == ENXIO ? 0 : -1;
	c.h.uuid[sizeof(c.h.uuid) - 1] = 0;
	if (!blk_dm_uuid_parse(c.h.uuid, &d.slot, &d.generation) || d.slot != slot)
		return 0;
	d.active = (c.h.flags & DM_ACTIVE_PRESENT_FLAG) && !(c.h.flags & DM_SUSPEND_FLAG) &&
		   c.h.dev == makedev(b->dm_major, SLOT_DM_MINOR + slot);
	if (d.active && (read_table(b, &d) < 0 || read_health(b, &d) < 0))
		return -1;
	d.active = d.active && d.cow_index >= 0;
	*out = d;
	return 1;
}

static int create(const struct blk_state *b, uint32_t slot, uint32_t generation)
{
	struct dm_call c = call_by_uuid(slot, generation, DM_PERSISTENT_DEV_FLAG);
	char name[16];

	slot_dm_name(slot, name);
	(void)snprintf(c.h.name, sizeof(c.h.name), "%s", name);
	c.h.dev = makedev(b->dm_major, SLOT_DM_MINOR + slot);
	if (FAILPOINT_FAILS("dm.create"))
		return -1;
	return ioctl(b->dm_control, DM_DEV_CREATE, &c);
}

static int load(const struct blk_state *b, uint32_t slot, uint32_t generation, uint64_t sectors)
{
	struct dm_call c = call_by_uuid(slot, generation, 0);
	const struct blk_slot *s = &b->slots[slot];
	char table[64];

	table_format(blk_loop_minor(b, s->part[PART_BASE].index),
		     blk_loop_minor(b, s->part[PART_COW].index), table);
	c.h.target_count = 1;
	c.spec.length = sectors;
	c.spec.next = sizeof(c.room);
	memcpy(c.spec.target_type, TARGET, sizeof(TARGET));
	memcpy(c.room + sizeof(c.spec), table, sizeof(table));
	if (FAILPOINT_FAILS("dm.load"))
		return -1;
	return ioctl(b->dm_control, DM_TABLE_LOAD, &c);
}

/* DM_DEV_SUSPEND without DM_SUSPEND_FLAG resumes the device.  event_nr is 0, so udev gets no cookie
 * and does not scan the disk. */
static int resume(const struct blk_state *b, uint32_t slot, uint32_t generation)
{
	struct dm_call c = call_by_uuid(slot, generation, 0);

	if (FAILPOINT_FAILS("dm.resume"))
		return -1;
	return ioctl(b->dm_control, DM_DEV_SUSPEND, &c);
}

enum status blk_dm_create(const struct blk_state *b, uint32_t slot, uint32_t generation,
			  uint64_t sectors)
{
	struct blk_dm d;

	if (create(b, slot, generation) < 0) {
		log_errno("slot %u: dm create", slot);
		return errno == EBUSY ? ST_BUSY : ST_KERNEL;
	}
	if (load(b, slot, generation, sectors) < 0)
		log_errno("slot %u: dm load", slot);
	else if (resume(b, slot, generation) < 0)
		log_errno("slot %u: dm resume", slot);
	else if (FAILPOINT_FAILS("dm.resumed") || blk_dm_find(b, slot, &d) != 1 || !d.active)
		log_error("slot %u: dm read back: the snapshot has another table", slot);
	else
		return ST_OK;
	(void)blk_dm_remove(b, slot, generation);
	return ST_KERNEL;
}

enum status blk_dm_remove(const struct blk_state *b, uint32_t slot, uint32_t generation)
{
	struct dm_call c = call_by_uuid(slot, generation, 0);

	if (FAILPOINT_FAILS("dm.remove"))
		return ST_KERNEL;
	if (b->dm_control < 0 || ioctl(b->dm_control, DM_DEV_REMOVE, &c) == 0 || errno == ENXIO)
		return ST_OK;
	if (errno == EBUSY)
		return ST_BUSY;
	log_errno("slot %u: dm remove", slot);
	return ST_KERNEL;
}
