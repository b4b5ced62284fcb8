/* Tests the root file system that is taken out of a whole disk: partition tables and qcow2 files
 * made here, whole and damaged. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "controller/unpack/disk.h"

#define MIB (1u << 20)
#define DISK (8u * MIB)
#define SECTOR 512u
#define CLUSTER 65536u
#define TABLE (128u * 128u) /* bytes of the entries of a GPT */

static const uint8_t linux_fs[16] = { 0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47,
				      0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4 };
static const uint8_t root_type[16] = { 0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d,
				       0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09 };

static struct {
	uint8_t disk[DISK];
	uint8_t file[DISK + 64 * CLUSTER]; /* a qcow2 */
	size_t len;
	uint8_t out[DISK];
	int64_t got; /* bytes of the result */
	struct error e;
} t;

/* ---- what is made ---- */

static void le(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void be(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	return 0;
}

/* Fill a part of the disk with bytes that differ, and a magic of a file system. */
static void fill(uint64_t mib, uint64_t n, uint32_t magic_at, const char *magic)
{
	uint8_t *p = t.disk + mib * MIB;

	for (uint64_t i = 0; i < n * MIB; i++)
		p[i] = (uint8_t)(i * 2654435761u >> 13);
	memset(p, 0, 66 * 1024);
	memset(p + MIB / 2, 0, 4 * CLUSTER); /* holes */
	memcpy(p + magic_at, magic, strlen(magic));
}

static void ext4(uint64_t mib, uint64_t n)
{
	fill(mib, n, 1080, "\x53\xef");
}

/* Write the checksums of a GPT, whose sectors have @sector bytes. */
static void gpt_sign(uint32_t sector)
{
	uint8_t *h = t.disk + sector;
	const size_t n = (size_t)le32(h + 80) * le32(h + 84);
	const uint64_t at = le64(h + 72) * sector;

	if (at < DISK && n <= DISK - at)
		le(h + 88, crc32(0, t.disk + at, (unsigned)n), 4);
	le(h + 16, 0, 4);
	le(h + 16, crc32(0, h, 92), 4);
}

static void gpt(uint32_t sector)
{
	uint8_t *h = t.disk + sector;

	memcpy(h, "EFI PART", 8);
	le(h + 8, 0x10000, 4);
	le(h + 12, 92, 4);
	le(h + 24, 1, 8);
	le(h + 72, 2, 8);
	le(h + 80, 128, 4);
	le(h + 84, 128, 4);
	t.disk[510] = 0x55;
	t.disk[511] = 0xaa;
	t.disk[450] = 0xee;
}

static uint8_t *entry(unsigned i, const uint8_t type[16], uint64_t mib, uint64_t n)
{
	uint32_t sector = memcmp(t.disk + SECTOR, "EFI PART", 8) == 0 ? 512 : 4096;
	uint8_t *p = t.disk + 2 * (size_t)sector + 128 * (size_t)i;

	memcpy(p, type, 16);
	le(p + 32, mib * MIB / sector, 8);
	le(p + 40, (mib + n) * MIB / sector - 1, 8);
	gpt_sign(sector);
	return p;
}

static uint8_t *mbr(unsigned i, uint8_t type, uint64_t mib, uint64_t n)
{
	uint8_t *p = t.disk + 446 + 16 * (size_t)i;

	t.disk[510] = 0x55;
	t.disk[511] = 0xaa;
	p[4] = type;
	le(p + 8, mib * MIB / SECTOR, 4);
	le(p + 12, n * MIB / SECTOR, 4);
	return p;
}

/* ---- taking it ---- */

static int file_of(const void *data, size_t n)
{
	const int fd = memfd_create("input", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), (ssize_t)n);
	return fd;
}

static int take(const void *data, size_t n, uint64_t most)
{
	const int in = file_of(data, n), out = memfd_create("output", MFD_CLOEXEC);
	struct stat st;

	assert_true(out >= 0);
	int r = disk_copy_root(in, out, most, &t.e);
	assert_int_equal(fstat(out, &st), 0);
	t.got = st.st_size;
	if (r == 0)
		assert_int_equal(pread(out, t.out, sizeof(t.out), 0), t.got);
	(void)close(in);
	(void)close(out);
	return r;
}

static void gives(const void *data, size_t n, uint64_t mib, uint64_t len)
{
	if (take(data, n, DISK) < 0)
		fail_msg("%s: %s", t.e.what, t.e.why);
	assert_int_equal(t.got, len * MIB);
	assert_memory_equal(t.out, t.disk + mib * MIB, len * MIB);
}

static void refuses(const void *data, size_t n, const char *why)
{
	assert_int_equal(take(data, n, DISK), -1);
	if (!strstr(t.e.why, why))
		fail_msg("not \"%s\": %s", why, t.e.why);
}

static void disk_gives(uint64_t mib, uint64_t len)
{
	gives(t.disk, DISK, mib, len);
}

static void disk_refuses(const char *why)
{
	refuses(t.disk, DISK, why);
}

/* ---- tables ---- */

static void test_a_disk_that_is_an_ext4(void **state)
{
	(void)state;
	ext4(0, 8);
	disk_gives(0, 8);
	refuses(t.disk, 1000, "neither an ext4 file system nor a partition table");
	refuses(t.disk, 0, "a part of the disk is missing");
	assert_int_equal(take(t.disk, DISK, 8 * MIB - 1), -1);
	assert_int_equal(t.e.code, FAIL_LIMIT);
	assert_string_equal(t.e.hint, "--size 8M");
}

static void test_the_type_root_comes_first(void **state)
{
	(void)state;
	gpt(512);
	ext4(1, 3);
	ext4(4, 2);
	(void)entry(0, linux_fs, 1, 3);
	(void)entry(5, linux_fs, 4, 2);
	disk_gives(1, 3);
	(void)entry(5, root_type, 4, 2);
	disk_gives(4, 2);
	(void)entry(0, root_type, 1, 3);
	disk_gives(1, 3);
}

static void test_sectors_of_4096_bytes(void **state)
{
	(void)state;
	gpt(4096);
	ext4(2, 3);
	(void)entry(0, linux_fs, 2, 3);
	disk_gives(2, 3);
}

static void test_an_mbr(void **state)
{
	(void)state;
	disk_refuses("neither an ext4 file system nor a partition table");
	(void)mbr(0, 0xef, 1, 1);
	disk_refuses("no partition has a file system of Linux");
	ext4(2, 2);
	ext4(4, 4);
	(void)mbr(1, 0x83, 2, 2);
	(void)mbr(3, 0x83, 4, 4);
	disk_gives(4, 4);
	le(mbr(2, 0x83, 1, 1) + 12, UINT32_MAX, 4);
	disk_refuses("a partition lies behind the end of the disk");
}

/* A primary root counts if no logical partition can be larger. */
static void test_logical_partitions(void **state)
{
	static const uint8_t types[] = { 0x05, 0x0f, 0x85 };

	(void)state;
	for (size_t i = 0; i < sizeof(types); i++) {
		(void)setup(NULL);
		ext4(5, 3); /* of a logical partition, behind its own table at 4 MiB */
		(void)mbr(1, types[i], 4, 4);
		disk_refuses("its root may be a logical partition");
		ext4(1, 1); /* /boot */
		(void)mbr(0, 0x83, 1, 1);
		disk_refuses("its root may be a logical partition");
		assert_non_null(strstr(t.e.hint, "tar"));
		ext4(1, 3);
		(void)mbr(0, 0x83, 1, 3);
		(void)mbr(1, types[i], 6, 2); /* swap */
		disk_gives(1, 3);
		(void)mbr(1, types[i], 6, 3);
		disk_refuses("a partition lies behind the end of the disk");
	}
}

/* /boot is an ext4 then, and no root. */
static void test_a_root_that_is_no_ext4(void **state)
{
	(void)state;
	gpt(512);
	ext4(1, 1);
	fill(2, 4, 0x10040, "_BHRfS_M");
	(void)entry(0, linux_fs, 1, 1);
	(void)entry(1, linux_fs, 2, 4);
	disk_refuses("its root file system is btrfs, not ext4");
	memset(t.disk + 2u * MIB + 0x10040, 0, 8);
	memcpy(t.disk + 2u * MIB, "XFSB", 4);
	disk_refuses("its root file system is XFS, not ext4");
	memcpy(t.disk + 2u * MIB, "LUKS\xba\xbe", 6);
	disk_refuses("its root file system is LUKS, not ext4");
	memcpy(t.disk + 2u * MIB, "hsqs\0", 6);
	disk_refuses("its root file system is squashfs, not ext4");
	memset(t.disk + 2u * MIB, 0, 6);
	memcpy(t.disk + 2u * MIB + 1024, "\xe2\xe1\xf5\xe0", 4);
	disk_refuses("its root file system is EROFS, not ext4");
	memcpy(t.disk + 2u * MIB + 1024, "\x10\x20\xf5\xf2", 4);
	disk_refuses("its root file system is F2FS, not ext4");
	memset(t.disk + 2u * MIB + 1024, 0, 4);
	disk_gives(1, 1); /* swap, or FAT */
}

static void change(uint8_t *p, uint64_t v, size_t n, const char *why)
{
	uint8_t was[8];

	memcpy(was, p, n);
	le(p, v, n);
	gpt_sign(512);
	disk_refuses(why);
	memcpy(p, was, n);
	gpt_sign(512);
}

static void test_a_damaged_gpt(void **state)
{
	uint8_t *h = t.disk + 512, *p;

	(void)state;
	gpt(512);
	ext4(2, 3);
	p = entry(0, linux_fs, 2, 3);
	disk_gives(2, 3);
	change(h + 12, 91, 4, "the size of its header");
	change(h + 12, 513, 4, "the size of its header");
	change(h + 80, UINT32_MAX, 4, "the number or size of its entries");
	change(h + 84, 127, 4, "the number or size of its entries");
	change(h + 84, 192, 4, "the number or size of its entries");
	change(h + 84, 8192, 4, "the number or size of its entries");
	change(h + 84, 0, 4, "the number or size of its entries");
	change(h + 72, UINT64_MAX, 8, "its entries lie behind the end of the disk");
	change(h + 72, DISK / SECTOR - 1, 8, "a part of the disk is missing");
	change(p + 32, UINT64_MAX, 8, "a partition lies behind the end of the disk");
	change(p + 40, UINT64_MAX, 8, "a partition lies behind the end of the disk");
	change(p + 40, 0, 8, "a partition lies behind the end of the disk");
	p[60] ^= 1;
	disk_refuses("the checksum of its entries");
	h[56] ^= 1;
	disk_refuses("the checksum of its header");
}

/* ---- qcow2 ---- */

enum { L1_AT = CLUSTER, L2_AT = 2 * CLUSTER, DATA_AT = 3 * CLUSTER };

static void qcow2_header(uint32_t version)
{
	uint8_t *h = t.file;

	memcpy(h, QCOW2_MAGIC, 4);
	be(h + 4, version, 4);
	be(h + 20, 16, 4);
	be(h + 24, DISK, 8);
	be(h + 36, 1, 4);
	be(h + 40, L1_AT, 8);
	be(h + 100, 112, 4);
	be(t.file + L1_AT, L2_AT | 1ull << 63, 8);
}

static uint8_t *l2(size_t i)
{
	return t.file + L2_AT + 8 * i;
}

static bool is_zero(const uint8_t *p)
{
	static const uint8_t zeros[CLUSTER];

	return memcmp(p, zeros, CLUSTER) == 0;
}

/* Put the disk into a qcow2, each cluster as it is.  The last one is cut where the file ends. */
static void qcow2_plain(void)
{
	qcow2_header(3);
	t.len = DATA_AT;
	for (size_t i = 0; i < DISK / CLUSTER; i++) {
		const uint8_t *p = t.disk + i * CLUSTER;
		if (is_zero(p))
			continue;
		memcpy(t.file + t.len, p, CLUSTER);
		be(l2(i), t.len | 1ull << 63, 8);
		t.len += CLUSTER;
	}
}

/* Put the disk into a qcow2 with clusters that are deflated, one right behind the other. */
static void qcow2_deflated(void)
{
	static uint8_t packed[2 * CLUSTER];

	qcow2_header(2);
	t.len = DATA_AT + 7;
	for (size_t i = 0; i < DISK / CLUSTER; i++) {
		z_stream z = { 0 };
		assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY), Z_OK);
		z.next_in = t.disk + i * CLUSTER;
		z.avail_in = CLUSTER;
		z.next_out = packed;
		z.avail_out = sizeof(packed);
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		size_t n = sizeof(packed) - z.avail_out;
		(void)deflateEnd(&z);
		assert_true(t.len + n <= sizeof(t.file));
		memcpy(t.file + t.len, packed, n);
		uint64_t sectors = (t.len + n - 1) / SECTOR - t.len / SECTOR;
		be(l2(i), 1ull << 62 | sectors << (62 - 8) | t.len, 8);
		t.len += n;
	}
}

/* Return: the bytes of a zstd frame of @n bytes at @p, in @to. */
static size_t zstd(const void *p, size_t n, void *to, size_t room)
{
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	size_t used = 0;

	assert_non_null(a);
	archive_entry_set_filetype(entry, AE_IFREG);
	assert_int_equal(archive_write_add_filter_zstd(a), ARCHIVE_OK);
	assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_memory(a, to, room, &used), ARCHIVE_OK);
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, p, n), (la_ssize_t)n);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_entry_free(entry);
	archive_write_free(a);
	return used;
}

/* Put the disk into a qcow2 with clusters that are zstd frames, each in sectors of its own. */
static void qcow2_zstd(void)
{
	qcow2_header(3);
	be(t.file + 72, 8, 8);
	t.file[104] = 1;
	t.len = DATA_AT;
	for (size_t i = 0; i < DISK / CLUSTER; i++) {
		size_t n = zstd(t.disk + i * CLUSTER, CLUSTER, t.file + t.len,
				sizeof(t.file) - t.len);
		be(l2(i), 1ull << 62 | (uint64_t)((n - 1) / SECTOR) << (62 - 8) | t.len, 8);
		t.len += (n + SECTOR - 1) / SECTOR * SECTOR;
	}
}

static void qcow2_refuses(const char *why)
{
	refuses(t.file, t.len, why);
}

static void test_a_qcow2(void **state)
{
	(void)state;
	ext4(0, 8);
	qcow2_plain();
	gives(t.file, t.len, 0, 8);
	be(l2(1), be64(l2(1)) | 1, 8); /* a cluster that is kept, and reads as zeros */
	assert_int_equal(take(t.file, t.len, DISK), 0);
	assert_true(is_zero(t.out + CLUSTER));
	memset(t.file + L1_AT, 0, 8);
	qcow2_refuses("neither an ext4 file system nor a partition table");
}

static void test_a_qcow2_with_partitions(void **state)
{
	(void)state;
	gpt(512);
	ext4(3, 4);
	(void)entry(0, root_type, 3, 4);
	qcow2_deflated();
	gives(t.file, t.len, 3, 4);
}

/* Files of a guest may be compressed themselves, as those of journald and initramfs-tools are. */
static void test_a_cluster_that_holds_a_zstd_frame(void **state)
{
	static uint8_t inner[2 * CLUSTER];

	(void)state;
	ext4(0, 8);
	memset(inner, 'i', sizeof(inner));
	(void)zstd(inner, sizeof(inner), t.disk + MIB, MIB);
	qcow2_zstd();
	gives(t.file, t.len, 0, 8);
}

/* Clusters may be shared, and the last one be cut where its zeros begin. */
static void test_clusters_that_are_cut_or_shared(void **state)
{
	(void)state;
	ext4(0, 8);
	memcpy(t.disk + DISK - CLUSTER, t.disk + DISK - 2 * CLUSTER, CLUSTER);
	qcow2_plain();
	memcpy(l2(DISK / CLUSTER - 1), l2(DISK / CLUSTER - 2), 8);
	t.len -= CLUSTER;
	gives(t.file, t.len, 0, 8);
	t.len -= 100;
	memset(t.disk + DISK - 100, 0, 100);
	memset(t.disk + DISK - CLUSTER - 100, 0, 100);
	gives(t.file, t.len, 0, 8);
}

static void test_what_is_no_plain_qcow2(void **state)
{
	static const struct {
		size_t at, n;
		uint64_t v;
		const char *why;
	} rows[] = {
		{ 4, 4, 1, "version 1 of qcow2 is not known" },
		{ 4, 4, 4, "version 4 of qcow2 is not known" },
		{ 8, 8, 1, "has a backing file" },
		{ 20, 4, 8, "a size that is not allowed" },
		{ 20, 4, 22, "a size that is not allowed" },
		{ 20, 4, UINT32_MAX, "a size that is not allowed" },
		{ 24, 8, 0, "is empty" },
		{ 24, 8, UINT64_MAX, "its disk is larger than its tables" },
		{ 24, 8, (uint64_t)CLUSTER * CLUSTER / 8 + 1,
		  "its disk is larger than its tables" },
		{ 32, 4, 1, "is encrypted" },
		{ 32, 4, 2, "is encrypted" },
		{ 36, 4, UINT32_MAX, "its table is not in the file" },
		{ 36, 4, 0, "its disk is larger than its tables" },
		{ 40, 8, 512, "its table is not in the file" },
		{ 40, 8, UINT64_MAX - CLUSTER + 1, "its table is not in the file" },
		{ 72, 8, 2, "it is marked so" },
		{ 72, 8, 4, "has its data in another file" },
		{ 72, 8, 16, "has extended L2 entries" },
		{ 72, 8, 1ull << 40, "features that are not known (0x10000000000)" },
	};

	(void)state;
	ext4(0, 8);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(t.file, 0, sizeof(t.file));
		qcow2_plain();
		be(t.file + rows[i].at, rows[i].v, rows[i].n);
		qcow2_refuses(rows[i].why);
	}
	qcow2_plain();
	be(t.file + 72, 8, 8); /* compressed otherwise */
	t.file[104] = 2;
	qcow2_refuses("compressed in a way that is not known");
	refuses(t.file, 71, "its header is not whole");
	refuses(t.file, 100, "version 3 of qcow2 is not known");
}

static void test_tables_that_lead_elsewhere(void **state)
{
	(void)state;
	ext4(0, 8);
	qcow2_plain();
	be(t.file + L1_AT, t.len, 8);
	qcow2_refuses("a table lies behind the end of the file");
	be(t.file + L1_AT, t.len - 512, 8);
	qcow2_refuses("a table lies behind the end of the file");
	be(t.file + L1_AT, L2_AT + 512, 8);
	qcow2_refuses("a table lies behind the end of the file");
	be(t.file + L1_AT, L2_AT, 8);
	be(l2(0), 1ull << 55, 8);
	qcow2_refuses("a cluster lies behind the end of the file");
	be(l2(0), DATA_AT + 512, 8);
	qcow2_refuses("a cluster lies behind the end of the file");
	be(l2(0), 1ull << 62 | 1ull << 53, 8);
	qcow2_refuses("a cluster lies behind the end of the file");
	be(l2(0), 1ull << 62 | DATA_AT, 8);
	qcow2_refuses("a cluster can not be decompressed");
	/* A table that is its own cluster, and L1 that is its own L2: no loop. */
	be(l2(0), DATA_AT, 8);
	be(l2(1), L2_AT, 8);
	assert_int_equal(take(t.file, t.len, DISK), 0);
	be(t.file + L1_AT, L1_AT, 8);
	qcow2_refuses("neither an ext4 file system nor a partition table");
}

static void test_a_cluster_that_is_not_whole(void **state)
{
	(void)state;
	ext4(0, 8);
	qcow2_deflated();
	gives(t.file, t.len, 0, 8);
	t.len -= 10;
	qcow2_refuses("a cluster can not be decompressed");
	be(t.file + 4, 3, 4);
	be(t.file + 72, 8, 8);
	t.file[104] = 1; /* zstd, it says */
	qcow2_refuses("a cluster can not be decompressed");
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_disk_that_is_an_ext4),
		T(test_the_type_root_comes_first),
		T(test_sectors_of_4096_bytes),
		T(test_an_mbr),
		T(test_logical_partitions),
		T(test_a_root_that_is_no_ext4),
		T(test_a_damaged_gpt),
		T(test_a_qcow2),
		T(test_a_qcow2_with_partitions),
		T(test_a_cluster_that_holds_a_zstd_frame),
		T(test_clusters_that_are_cut_or_shared),
		T(test_what_is_no_plain_qcow2),
		T(test_tables_that_lead_elsewhere),
		T(test_a_cluster_that_is_not_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
