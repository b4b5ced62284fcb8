/* qcow2.c - reads a disk image of QEMU's format qcow2, versions 2 and 3.
 *
 * A table of the first level (L1) names tables of the second (L2), and these name clusters.  There
 * are two levels whatever the tables say, so no loop can be in them; several entries can name one
 * cluster, which costs time within the bound of the output.  Only one L2 table and one unpacked
 * cluster are in memory; an entry of L1 is read when it is needed. */
#include "controller/unpack/qcow2.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/bytes.h"
#include "common/cleanup.h"

#define WHAT "image"
#define HEADER_2 72 /* bytes of the header of version 2 */
#define HEADER_3 104
#define OFFSET_MASK 0x00fffffffffffe00ull /* bits 9 to 55 of an entry */
#define COMPRESSED (1ull << 62)
#define ZEROS 1u /* of an entry that names no compressed cluster */
#define SECTOR 512u

/* Bits of incompatible features. */
enum { DIRTY = 1, CORRUPT = 2, EXTERNAL = 4, COMPRESSION = 8, EXTENDED = 16 };

static uint64_t cluster_size(const struct qcow2 *q)
{
	return UINT64_C(1) << q->cluster_bits;
}

static int damaged(struct error *e, const char *what)
{
	return error_set(e, FAIL_USAGE, WHAT, "the qcow2 is damaged: %s", what);
}

/* ---- the header ---- */

static int check_features(const uint8_t *h, struct error *e)
{
	uint64_t bits = be32(h + 4) >= 3 ? be64(h + 72) : 0;

	if (be64(h + 8))
		(void)error_set(e, FAIL_USAGE, WHAT, "the qcow2 has a backing file");
	else if (be32(h + 32))
		(void)error_set(e, FAIL_USAGE, WHAT, "the qcow2 is encrypted");
	else if (bits & EXTERNAL)
		(void)error_set(e, FAIL_USAGE, WHAT, "the qcow2 has its data in another file");
	else if (bits & EXTENDED)
		(void)error_set(e, FAIL_USAGE, WHAT, "the qcow2 has extended L2 entries");
	else if (bits & CORRUPT)
		return damaged(e, "it is marked so; qemu-img check says more");
	else if (bits & ~(uint64_t)(DIRTY | COMPRESSION))
		(void)error_set(e, FAIL_USAGE, WHAT,
				"the qcow2 has features that are not known (0x%llx)",
				(unsigned long long)bits);
	else
		return 0;
	error_hint(e, "make a plain one: qemu-img convert -O qcow2 FILE NEW");
	return -1;
}

static int read_compression(struct qcow2 *q, const uint8_t *h, struct error *e)
{
	if (be32(h + 4) < 3 || !(be64(h + 72) & COMPRESSION))
		return 0;
	if (be32(h + 100) <= HEADER_3 || h[HEADER_3] > 1)
		return error_set(e, FAIL_USAGE, WHAT,
				 "the qcow2 is compressed in a way that is not known");
	q->zstd = h[HEADER_3] == 1;
	return 0;
}

/* The disk must have its entries in L1, and L1 must be in the file. */
static int check_tables(const struct qcow2 *q, const uint8_t *h, struct error *e)
{
	uint64_t l1_size = be32(h + 36);

	if (q->size == 0)
		return error_set(e, FAIL_USAGE, WHAT, "the disk in the qcow2 is empty");
	if ((q->size - 1) >> (2 * q->cluster_bits - 3) >= l1_size)
		return damaged(e, "its disk is larger than its tables");
	if (q->l1_offset % cluster_size(q) || q->l1_offset > q->file_size ||
	    l1_size * 8 > q->file_size - q->l1_offset)
		return damaged(e, "its table is not in the file");
	return 0;
}

static int read_header(struct qcow2 *q, struct error *e)
{
	uint8_t h[HEADER_3 + 8] = { 0 };
	ssize_t n = read_some(q->fd, 0, h, sizeof(h));
	uint32_t version = be32(h + 4);

	if (n < HEADER_2 || memcmp(h, QCOW2_MAGIC, 4) != 0)
		return damaged(e, "its header is not whole");
	if ((version != 2 && version != 3) || (version == 3 && n < HEADER_3))
		return error_set(e, FAIL_USAGE, WHAT, "version %u of qcow2 is not known", version);
	q->cluster_bits = be32(h + 20);
	if (q->cluster_bits < 9 || q->cluster_bits > 21)
		return damaged(e, "its clusters have a size that is not allowed");
	q->size = be64(h + 24);
	q->l1_offset = be64(h + 40);
	if (check_features(h, e) < 0 || read_compression(q, h, e) < 0)
		return -1;
	return check_tables(q, h, e);
}

int qcow2_open(struct qcow2 *q, int fd, struct error *e)
{
	struct stat st;

	*q = (struct qcow2){ .fd = fd };
	if (fstat(fd, &st) < 0)
		return error_set(e, FAIL_GENERAL, WHAT, "%s", strerror(errno));
	q->file_size = (uint64_t)st.st_size;
	if (read_header(q, e) < 0)
		return -1;
	q->l2 = malloc(cluster_size(q));
	q->cluster = malloc(cluster_size(q));
	q->packed = malloc(2 * cluster_size(q));
	return q->l2 && q->cluster && q->packed ? 0
						: error_set(e, FAIL_LIMIT, WHAT, "out of memory");
}

void qcow2_close(struct qcow2 *q)
{
	if (q->inflating)
		(void)inflateEnd(&q->inflate);
	free(q->l2);
	free(q->cluster);
	free(q->packed);
	*q = (struct qcow2){ .fd = -1 };
}

/* ---- compressed clusters ---- */

/* Deflate without a header.  What stands behind the stream, up to the sector's end, is another
 * cluster's. */
static int unpack_deflate(struct qcow2 *q, size_t n)
{
	z_stream *z = &q->inflate;

	if ((q->inflating ? inflateReset(z) : inflateInit2(z, -12)) != Z_OK)
		return -1;
	q->inflating = true;
	z->next_in = q->packed;
	z->avail_in = (unsigned)n;
	z->next_out = q->cluster;
	z->avail_out = (unsigned)cluster_size(q);
	int r = inflate(z, Z_FINISH);
	return (r == Z_STREAM_END || r == Z_BUF_ERROR) && z->avail_out == 0 ? 0 : -1;
}

/* Return: the bytes of the zstd frame at @p (RFC 8878, 3.1.1), or 0: it is not whole.  libarchive
 * takes what stands behind a frame for another one. */
static size_t zstd_frame(const uint8_t *p, size_t n)
{
	static const uint8_t ids[] = { 0, 1, 2, 4 }, sizes[] = { 0, 2, 4, 8 };

	if (n < 6 || memcmp(p, "\x28\xb5\x2f\xfd", 4) != 0)
		return 0;
	const bool single = p[4] & 0x20;
	size_t at = 5 + !single + ids[p[4] & 3] + (p[4] >> 6 ? sizes[p[4] >> 6] : single);
	for (bool last = false; !last;) {
		if (at + 3 > n)
			return 0;
		uint32_t head = p[at] | (uint32_t)p[at + 1] << 8 | (uint32_t)p[at + 2] << 16;
		last = head & 1;
		at += 3 + ((head >> 1 & 3) == 1 ? 1 : head >> 3); /* a run is one byte */
	}
	at += p[4] & 4 ? 4 : 0;
	return at <= n ? at : 0;
}

static int read_whole(struct archive *a, uint8_t *to, size_t n)
{
	size_t have = 0;
	la_ssize_t now = 1;

	while (have < n && (now = archive_read_data(a, to + have, n - have)) > 0)
		have += (size_t)now;
	return have == n ? 0 : -1;
}

/* libarchive applies an appended filter once.  A supported one it would apply again if the
 * decompressed bytes begin with another frame. */
static int unpack_zstd(struct qcow2 *q, size_t n)
{
	size_t frame = zstd_frame(q->packed, n);
	struct archive *a = frame ? archive_read_new() : NULL;
	struct archive_entry *entry;

	if (!a)
		return -1;
	(void)archive_read_support_format_raw(a);
	int r = archive_read_append_filter(a, ARCHIVE_FILTER_ZSTD) == ARCHIVE_OK &&
				archive_read_open_memory(a, q->packed, frame) == ARCHIVE_OK &&
				archive_read_next_header(a, &entry) == ARCHIVE_OK
			? read_whole(a, q->cluster, cluster_size(q))
			: -1;
	archive_read_free(a);
	return r;
}

/* Bring the cluster of the compressed @entry into q->cluster. */
static int unpack(struct qcow2 *q, uint64_t entry, struct error *e)
{
	/* The lower bits are the place, the upper the sectors behind the first one. */
	unsigned bits = 62 - (q->cluster_bits - 8);
	uint64_t place = entry & ((UINT64_C(1) << bits) - 1);
	uint64_t sectors = ((entry & (COMPRESSED - 1)) >> bits) + 1;
	size_t most = sectors * SECTOR - place % SECTOR;

	if (q->cluster_of == entry)
		return 0;
	q->cluster_of = 0;
	if (place >= q->file_size)
		return damaged(e, "a cluster lies behind the end of the file");
	ssize_t n = read_some(q->fd, place, q->packed, most);
	if (n < 0)
		return error_set(e, FAIL_GENERAL, WHAT, "%s", strerror(errno));
	if ((q->zstd ? unpack_zstd(q, (size_t)n) : unpack_deflate(q, (size_t)n)) < 0)
		return damaged(e, "a cluster can not be decompressed");
	q->cluster_of = entry;
	return 0;
}

/* ---- tables ---- */

static int load_l2(struct qcow2 *q, uint64_t place, struct error *e)
{
	if (q->l2_at == place)
		return 0;
	q->l2_at = 0;
	if (place % cluster_size(q) || place > q->file_size ||
	    q->file_size - place < cluster_size(q))
		return damaged(e, "a table lies behind the end of the file");
	if (read_some(q->fd, place, q->l2, cluster_size(q)) != (ssize_t)cluster_size(q))
		return damaged(e, "a table can not be read");
	q->l2_at = place;
	return 0;
}

/* Find the L2 entry for the cluster with the number @index; 0: there is none. */
static int find(struct qcow2 *q, uint64_t index, uint64_t *entry, struct error *e)
{
	unsigned per_table = q->cluster_bits - 3;
	uint8_t raw[8];

	*entry = 0;
	if (read_some(q->fd, q->l1_offset + (index >> per_table) * 8, raw, 8) != 8)
		return damaged(e, "its table can not be read");
	uint64_t place = be64(raw) & OFFSET_MASK;
	if (!place)
		return 0;
	if (load_l2(q, place, e) < 0)
		return -1;
	*entry = be64(q->l2 + (index & ((UINT64_C(1) << per_table) - 1)) * 8);
	return 0;
}

/* ---- clusters ---- */

/* Bytes of a cluster that stands in the file as it is.  The last one of a file may be cut. */
static int read_plain(const struct qcow2 *q, uint64_t place, uint64_t within, uint8_t *buf,
		      size_t n)
{
	ssize_t have = read_some(q->fd, place + within, buf, n);

	if (have < 0)
		return -1;
	memset(buf + have, 0, n - (size_t)have);
	return 0;
}

/* Read bytes of one cluster. */
static int read_cluster(struct qcow2 *q, uint64_t offset, uint8_t *buf, size_t n, struct error *e)
{
	uint64_t within = offset & (cluster_size(q) - 1), entry;

	if (find(q, offset >> q->cluster_bits, &entry, e) < 0)
		return -1;
	if (entry & COMPRESSED) {
		if (unpack(q, entry, e) < 0)
			return -1;
		memcpy(buf, q->cluster + within, n);
		return 0;
	}
	uint64_t place = entry & OFFSET_MASK;
	if (!place || entry & ZEROS) {
		memset(buf, 0, n);
		return 0;
	}
	if (place % cluster_size(q) || place >= q->file_size)
		return damaged(e, "a cluster lies behind the end of the file");
	return read_plain(q, place, within, buf, n) < 0
		       ? error_set(e, FAIL_GENERAL, WHAT, "%s", strerror(errno))
		       : 0;
}

int qcow2_read(struct qcow2 *q, uint64_t offset, uint8_t *buf, size_t n, struct error *e)
{
	while (n > 0) {
		uint64_t left = cluster_size(q) - (offset & (cluster_size(q) - 1));
		size_t now = n < left ? n : (size_t)left;
		if (read_cluster(q, offset, buf, now, e) < 0)
			return -1;
		offset += now;
		buf += now;
		n -= now;
	}
	return 0;
}
