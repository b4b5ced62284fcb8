/* partition.c - finds the root file system on a disk.
 *
 * Every number of a table is a stranger's: it is compared with the size of the disk before it is
 * used, and a table is read entry by entry. */
#include "controller/unpack/partition.h"

#include <string.h>

#include "common/bytes.h"
#include "common/cleanup.h"

#define WHAT "image"
#define UNIT 512u
#define TABLE_MOST (1u << 20) /* bytes of the entries of a GPT */
#define ENTRY_MIN 128u
#define ENTRY_MOST 4096u
#define GPT_MAGIC "EFI PART"

/* Types of a GPT, as they stand there: the first three parts little-endian. */
static const uint8_t type_root[16] = { 0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d,
				       0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09 };

/* What partitions hold, by bytes at a place.  Other contents, such as swap and FAT, are no root. */
static const struct content {
	const char *name, *magic;
	uint32_t at;
	uint8_t len;
} contents[] = {
	{ "ext4", "\x53\xef", 1024 + 0x38, 2 }, /* fs/ext4/ext4.h */
	{ "btrfs", "_BHRfS_M", 0x10040, 8 },    /* fs/btrfs/disk-io.h */
	{ "XFS", "XFSB", 0, 4 },
	{ "LVM", "LABELONE", 512, 8 },
	{ "LUKS", "LUKS\xba\xbe", 0, 6 },
	{ "squashfs", "hsqs", 0, 4 }, /* this one and the next two: linux/magic.h */
	{ "EROFS", "\xe2\xe1\xf5\xe0", 1024, 4 },
	{ "F2FS", "\x10\x20\xf5\xf2", 1024, 4 },
};
#define EXT4 (&contents[0])

struct found {
	const struct content *content; /* NULL: nothing yet */
	struct range range;
	bool typed; /* of the type "root" */
};

static int damaged(struct error *e, const char *what)
{
	return error_set(e, FAIL_USAGE, WHAT, "its partition table is damaged: %s", what);
}

/* ---- contents ---- */

static int look(struct disk *d, const struct range *r, const struct content **out, struct error *e)
{
	uint8_t bytes[8];

	*out = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(contents) && !*out; i++) {
		const struct content *c = &contents[i];
		if (r->len < (uint64_t)c->at + c->len)
			continue;
		if (disk_read(d, r->start + c->at, bytes, c->len, e) < 0)
			return -1;
		if (memcmp(bytes, c->magic, c->len) == 0)
			*out = c;
	}
	return 0;
}

static int check_range(const struct disk *d, const struct range *r, struct error *e)
{
	return r->start > d->size || r->len > d->size - r->start
		       ? damaged(e, "a partition lies behind the end of the disk")
		       : 0;
}

/* Keep a partition if it is a better root than the one before. */
static int consider(struct disk *d, struct range r, bool typed, struct found *f, struct error *e)
{
	const struct content *c;

	if (check_range(d, &r, e) < 0)
		return -1;
	r.len -= r.len % UNIT;
	if (look(d, &r, &c, e) < 0)
		return -1;
	bool better = typed != f->typed ? typed : r.len > f->range.len;
	if (c && (!f->content || better))
		*f = (struct found){ c, r, typed };
	return 0;
}

/* ---- GPT ---- */

struct gpt {
	uint32_t sector, count, entry; /* entry: bytes of each */
	uint64_t at;                   /* the byte of the first one */
	uint32_t crc;                  /* of all of them */
};

static int read_header(struct disk *d, struct gpt *g, struct error *e)
{
	uint8_t h[UNIT];

	if (disk_read(d, g->sector, h, sizeof(h), e) < 0)
		return -1;
	uint32_t size = le32(h + 12), crc = le32(h + 16);
	if (size < 92 || size > sizeof(h))
		return damaged(e, "the size of its header");
	memset(h + 16, 0, 4);
	if (crc32(0, h, size) != crc)
		return damaged(e, "the checksum of its header");
	g->count = le32(h + 80);
	g->entry = le32(h + 84);
	g->crc = le32(h + 88);
	if (g->entry < ENTRY_MIN || g->entry > ENTRY_MOST || g->entry & (g->entry - 1) ||
	    g->count > TABLE_MOST / g->entry)
		return damaged(e, "the number or size of its entries");
	if (le64(h + 72) > d->size / g->sector)
		return damaged(e, "its entries lie behind the end of the disk");
	g->at = le64(h + 72) * g->sector;
	return 0;
}

static int consider_entry(struct disk *d, const struct gpt *g, const uint8_t *p, struct found *f,
			  struct error *e)
{
	static const uint8_t unused[16];
	uint64_t first = le64(p + 32), last = le64(p + 40), most = d->size / g->sector;

	if (memcmp(p, unused, sizeof(unused)) == 0)
		return 0;
	if (first > last || last >= most)
		return damaged(e, "a partition lies behind the end of the disk");
	const struct range r = { first * g->sector, (last - first + 1) * g->sector };
	return consider(d, r, memcmp(p, type_root, sizeof(type_root)) == 0, f, e);
}

static int read_gpt(struct disk *d, uint32_t sector, struct found *f, struct error *e)
{
	struct gpt g = { .sector = sector };
	uint32_t crc = 0;
	uint8_t p[ENTRY_MOST];

	if (read_header(d, &g, e) < 0)
		return -1;
	for (uint32_t i = 0; i < g.count; i++) {
		if (disk_read(d, g.at + (uint64_t)i * g.entry, p, g.entry, e) < 0 ||
		    consider_entry(d, &g, p, f, e) < 0)
			return -1;
		crc = (uint32_t)crc32(crc, p, g.entry);
	}
	return crc == g.crc ? 0 : damaged(e, "the checksum of its entries");
}

/* ---- MBR ---- */

/* The types of a partition that holds logical ones: of DOS, of Windows, and of Linux. */
static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

static int refuse_logical(struct error *e)
{
	(void)error_set(e, FAIL_USAGE, WHAT,
			"its root may be a logical partition of its MBR, which is not read");
	error_hint(e, "import a tar of that system, or its root partition alone");
	return -1;
}

/* No logical partition is larger than the extended one around it. */
static int read_mbr(struct disk *d, const uint8_t *sector, struct found *f, struct error *e)
{
	uint64_t extended = 0;

	for (int i = 0; i < 4; i++) {
		const uint8_t *p = sector + 446 + 16 * i;
		const struct range r = { (uint64_t)le32(p + 8) * UNIT,
					 (uint64_t)le32(p + 12) * UNIT };
		if (is_extended(p[4])) {
			if (check_range(d, &r, e) < 0)
				return -1;
			extended = r.len > extended ? r.len : extended;
		} else if (p[4] && r.len && consider(d, r, false, f, e) < 0) {
			return -1;
		}
	}
	return extended > f->range.len ? refuse_logical(e) : 0;
}

/* ---- which table? ---- */

static int read_table(struct disk *d, struct found *f, struct error *e)
{
	static const uint32_t sectors[] = { 512, 4096 };
	uint8_t first[UNIT], magic[8];

	for (size_t i = 0; i < ARRAY_SIZE(sectors); i++) {
		if (d->size < sectors[i] + UNIT)
			break;
		if (disk_read(d, sectors[i], magic, sizeof(magic), e) < 0)
			return -1;
		if (memcmp(magic, GPT_MAGIC, sizeof(magic)) == 0)
			return read_gpt(d, sectors[i], f, e);
	}
	if (disk_read(d, 0, first, sizeof(first), e) < 0)
		return -1;
	if (first[510] != 0x55 || first[511] != 0xaa)
		return error_set(e, FAIL_USAGE, WHAT,
				 "it has neither an ext4 file system nor a partition table");
	return read_mbr(d, first, f, e);
}

int partition_root(struct disk *d, struct range *out, struct error *e)
{
	const struct range whole = { 0, d->size - d->size % UNIT };
	struct found f = { 0 };

	if (look(d, &whole, &f.content, e) < 0)
		return -1;
	f.range = whole;
	if (!f.content) {
		f.range.len = 0;
		if (read_table(d, &f, e) < 0)
			return -1;
	}
	*out = f.range;
	if (f.content == EXT4)
		return 0;
	if (!f.content)
		return error_set(e, FAIL_USAGE, WHAT, "no partition has a file system of Linux");
	(void)error_set(e, FAIL_USAGE, WHAT, "its root file system is %s, not ext4",
			f.content->name);
	error_hint(e, "import a container image or a tar of that system");
	return -1;
}
