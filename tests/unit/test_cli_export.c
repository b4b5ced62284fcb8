/* test_cli_export.c - the reader of CoW stores; `vm export` and `vm commit` against a fake
 * controller. */
#include "tests/unit/cli_fixture.h"

#include "controller/cli/cow.h"

/* ---- CoW stores, in memory ---- */

#define CHUNKS 600u             /* of the store: room for two areas of 256 exceptions and a third */
#define ORIGIN 520u             /* chunks of the origin */
#define AREA(n) (1u + (n)*257u) /* the chunk of metadata of an area */

static struct {
	uint8_t bytes[CHUNKS * COW_CHUNK];
	size_t size;
	unsigned reads;
	bool fails;
} store;

static void put_le(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static void put_header(uint32_t magic, uint32_t valid, uint32_t version, uint32_t chunk)
{
	put_le(store.bytes, magic, 4);
	put_le(store.bytes + 4, valid, 4);
	put_le(store.bytes + 8, version, 4);
	put_le(store.bytes + 12, chunk, 4);
}

static void put_exception(unsigned i, uint64_t old, uint64_t new)
{
	uint8_t *p = store.bytes + AREA(i / 256) * (size_t)COW_CHUNK + i % 256 * 16;

	put_le(p, old, 8);
	put_le(p + 8, new, 8);
}

static void new_store(void)
{
	memset(&store, 0, sizeof(store));
	store.size = sizeof(store.bytes);
	put_header(0x70416e53, 1, 1, 8);
}

static int read_memory(void *arg, uint64_t at, uint8_t *buf, size_t n, struct error *e)
{
	(void)arg;
	store.reads++;
	if (store.fails)
		return error_set(e, FAIL_UNREACHABLE, "disk", "as the test asked");
	assert_true(at <= store.size && n <= store.size - at);
	memcpy(buf, store.bytes + at, n);
	return 0;
}

/* Read the store for an origin of so many bytes. */
static int read_for(uint64_t origin, struct cow *w, struct error *e)
{
	const struct cow_store s = { .size = store.size, .origin = origin, .read = read_memory };

	memset(e, 0, sizeof(*e));
	return cow_read(w, &s, e);
}

static int read_it(struct cow *w, struct error *e)
{
	return read_for(ORIGIN * COW_CHUNK, w, e);
}

/* Assert that the store is refused, and says why. */
static void refused(const char *why)
{
	struct error e;
	struct cow w;

	assert_int_equal(read_it(&w, &e), -1);
	assert_int_equal(e.code, FAIL_GENERAL);
	assert_string_equal(e.what, "disk");
	if (!strstr(e.why, why))
		fail_msg("\"%s\" is not in \"%s\"", why, e.why);
	cow_free(&w);
}

static void test_store_without_exceptions(void **state)
{
	struct error e;
	struct cow w;

	(void)state;
	new_store();
	assert_int_equal(read_it(&w, &e), 0);
	assert_int_equal(w.n, 0);
	memset(store.bytes, 0, sizeof(store.bytes)); /* no start has used it */
	put_exception(0, 1, 2);                      /* the kernel would clear this */
	assert_int_equal(read_it(&w, &e), 0);
	assert_int_equal(w.n, 0);
	cow_free(&w);
}

/* The kernel takes the chunks of the store in order, and skips those of metadata. */
static void test_store_of_two_areas(void **state)
{
	struct error e;
	struct cow w;

	(void)state;
	new_store();
	for (unsigned i = 0; i < 300; i++)
		put_exception(i, ORIGIN - 1 - i, 2 + i + i / 256);
	assert_int_equal(read_it(&w, &e), 0);
	assert_int_equal(w.n, 300);
	assert_int_equal(store.reads, 3);
	for (unsigned i = 0; i < 300; i++) { /* by the chunk of the disk */
		assert_int_equal(w.v[i].old, ORIGIN - 300 + i);
		unsigned n = 299 - i;
		assert_int_equal(w.v[i].new, 2 + n + n / 256);
	}
	cow_free(&w);
	put_header(0x70416e53, 0, 1, 8); /* the kernel had no room: as the next start uses it */
	assert_int_equal(read_it(&w, &e), 0);
	assert_int_equal(w.n, 300);
	cow_free(&w);
}

/* A full area is followed by one that the kernel has cleared before. */
static void test_store_of_a_full_area(void **state)
{
	struct error e;
	struct cow w;

	(void)state;
	new_store();
	for (unsigned i = 0; i < 256; i++)
		put_exception(i, i, 2 + i);
	assert_int_equal(read_it(&w, &e), 0);
	assert_int_equal(w.n, 256);
	cow_free(&w);
	/* All chunks of the disk have changed, the last of which is a part of one. */
	assert_int_equal(read_for(255 * COW_CHUNK + 512, &w, &e), 0);
	assert_int_equal(w.n, 256);
	cow_free(&w);
	store.size = AREA(1) * COW_CHUNK; /* the next area is cut off */
	refused("its list has no end");
}

static void test_torn_headers(void **state)
{
	(void)state;
	new_store();
	put_header(0x70416e54, 1, 1, 8);
	refused("it does not begin as one");
	put_header(0x70416e53, 1, 2, 8);
	refused("another version or size of chunks");
	static const uint32_t sizes[] = { 0, 1, 16, 0x80000000, 0xffffffff };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		put_header(0x70416e53, 1, 1, sizes[i]);
		refused("another version or size of chunks");
	}
	new_store();
	for (store.size = 0; store.size < 2 * COW_CHUNK; store.size += 512)
		refused("it is too short");
	assert_int_equal(store.reads, 0);
	store.size = sizeof(store.bytes);
	store.fails = true;
	struct error e;
	struct cow w;
	assert_int_equal(read_it(&w, &e), -1);
	assert_int_equal(e.code, FAIL_UNREACHABLE); /* the reader's own error stays */
	cow_free(&w);
}

static void test_hostile_exceptions(void **state)
{
	static const struct {
		uint64_t old, new;
		const char *why;
	} bad[] = {
		{ ORIGIN, 3, "behind the end of the disk" },
		{ UINT64_MAX, 3, "behind the end of the disk" },
		{ UINT64_C(1) << 52, 3, "behind the end of the disk" }, /* times a chunk: 0 */
		{ 0, CHUNKS, "behind its end" },
		{ 0, UINT64_MAX, "behind its end" },
		{ 0, UINT64_C(1) << 52, "behind its end" },
		{ 0, 1, "in its metadata" },
		{ 0, AREA(1), "in its metadata" },
		{ 0, AREA(2), "in its metadata" },
		{ 7, 3, "a chunk twice" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		new_store();
		put_exception(0, 7, 2);
		put_exception(1, bad[i].old, bad[i].new);
		refused(bad[i].why);
	}
	new_store();
	store.size -= 1; /* the last chunk is not whole */
	put_exception(0, 0, CHUNKS - 1);
	refused("behind its end");
}

/* The last chunk of a disk may be a part of one. */
static void test_the_last_chunk_of_the_disk(void **state)
{
	struct error e;
	struct cow w;

	(void)state;
	new_store();
	put_exception(0, 4, 2);
	assert_int_equal(read_for(4 * COW_CHUNK + 512, &w, &e), 0);
	assert_int_equal(w.n, 1);
	cow_free(&w);
	assert_int_equal(read_for(4 * COW_CHUNK, &w, &e), -1);
	cow_free(&w);
	assert_int_equal(read_for(0, &w, &e), -1);
	cow_free(&w);
}

/* A list that goes on and on is refused before it takes more memory than the disk has chunks. */
static void test_a_list_without_an_end(void **state)
{
	struct error e;
	struct cow w;

	(void)state;
	new_store();
	for (unsigned i = 0; i < 512; i++)
		put_exception(i, i % 4, 2 + i + i / 256);
	assert_int_equal(read_for(4 * COW_CHUNK, &w, &e), -1);
	assert_non_null(strstr(e.why, "more chunks than the disk"));
	assert_true(w.room <= 512);
	cow_free(&w);
}

/* ---- the commands ---- */

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
#define DISK (10 * COW_CHUNK + 512) /* the last chunk is a part of one */

static uint8_t base[11 * COW_CHUNK], wanted[DISK];
static char path[200];

static const char *in_dir(const char *name)
{
	(void)snprintf(path, sizeof(path), "%s/%s", fx.dir, name);
	return path;
}

static void put_chunk(uint8_t *p, size_t chunk, int byte)
{
	memset(p + chunk * COW_CHUNK, byte, COW_CHUNK);
}

/* A disk of one file, whose chunks 0, 1, 4 and 9 are not zeros. */
static void have_disk(void)
{
	memset(base, 0, sizeof(base));
	put_chunk(base, 0, 'a');
	put_chunk(base, 1, 'b');
	put_chunk(base, 4, 'c');
	put_chunk(base, 9, 'd');
	memset(&fx.disk, 0, sizeof(fx.disk));
	(void)strcpy(fx.disk.id, VM_ID);
	(void)strcpy(fx.disk.name, "web1");
	(void)strcpy(fx.disk.image, "debian");
	memset(fx.disk.image_digest, 'i', 64);
	memset(fx.disk.kernel_digest, 'k', 64);
	fx.disk.size = DISK;
	fx.parts[0] = base;
	memcpy(wanted, base, DISK);
}

/* A snapshot of it: a run of two chunks, zeros in the place of data, a chunk in the place of zeros,
 * and the last part of one. */
static void have_snapshot(void)
{
	have_disk();
	new_store();
	put_exception(0, 4, 2);
	put_exception(1, 0, 3);
	put_exception(2, 1, 4);
	put_exception(3, 10, 5);
	put_exception(4, 7, 6);
	put_chunk(store.bytes, 3, 'A');
	put_chunk(store.bytes, 4, 'B');
	put_chunk(store.bytes, 5, 'Z');
	put_chunk(store.bytes, 6, 'H');
	fx.parts[1] = store.bytes;
	fx.disk.store = sizeof(store.bytes);
	put_chunk(wanted, 0, 'A');
	put_chunk(wanted, 1, 'B');
	put_chunk(wanted, 4, 0);
	put_chunk(wanted, 7, 'H');
	memset(wanted + 10 * COW_CHUNK, 'Z', 512);
}

static void assert_exported(void)
{
	static uint8_t found[DISK + 1];
	struct stat st;

	int fd = open(in_dir("out"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(read(fd, found, sizeof(found)), DISK);
	assert_memory_equal(found, wanted, DISK);
	(void)close(fd);
}

static void assert_no_file(void)
{
	struct stat st;

	assert_int_equal(stat(in_dir("out"), &st), -1);
}

static void test_a_disk_of_one_file(void **state)
{
	(void)state;
	have_disk();
	assert_int_equal(BANGER("export", "web1", in_dir("out")), 0);
	assert_string_equal(fx.last[CALL_VM_DISK].vm_disk.vm, "web1");
	assert_string_equal(fx.last[CALL_VM_READ].vm_read.vm, VM_ID);
	assert_exported();
	base[0] = wanted[0] = 'x';
	assert_int_equal(BANGER("vm", "export", "web1", in_dir("out")), 0); /* over the old file */
	assert_exported();
}

static void test_a_snapshot_is_laid_over_its_image(void **state)
{
	(void)state;
	have_snapshot();
	assert_int_equal(BANGER("export", "web1", in_dir("out")), 0);
	assert_exported();
}

static void test_a_damaged_store(void **state)
{
	(void)state;
	have_snapshot();
	put_exception(1, 11, 3);
	assert_int_equal(BANGER("export", "web1", in_dir("out")), FAIL_GENERAL);
	assert_has(fx.err, "its CoW store is damaged: a chunk lies behind the end of the disk");
	assert_no_file();
	have_snapshot();
	fx.disk.store = 512;
	assert_int_equal(BANGER("export", "web1", in_dir("out")), FAIL_GENERAL);
	assert_has(fx.err, "it is too short");
	assert_no_file();
}

/* An answer that would make the file larger, or never end, ends the export. */
static void test_a_daemon_that_lies(void **state)
{
	static struct res_vm_read lies[] = {
		{ .size = 0 },
		{ .size = DISK },
		{ .size = DISK, .at = DISK + 1 },
		{ .size = DISK, .at = DISK - 1, .data.n = 2 },
		{ .size = DISK + 1, .data.n = 8 },
		{ .size = DISK, .at = 4096, .data.n = 0 },
	};
	static struct ev_piece before[] = {
		{ .at = DISK + 1 },
		{ .at = DISK - 1, .data.n = 2 },
		{ .at = INT64_MAX, .data.n = 1 },
		{ .at = 8192, .data.n = 8 }, /* and the answer's piece begins before that */
	};
	static struct res_vm_read early = { .size = DISK, .at = 8199, .data.n = 1 };

	(void)state;
	have_disk();
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		fx.piece = &lies[i];
		assert_int_equal(BANGER("export", "web1", in_dir("out")), FAIL_GENERAL);
		assert_has(fx.err, "the daemon's answer makes no sense\n");
		assert_no_file();
	}
	fx.piece = &early;
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		fx.before = &before[i];
		assert_int_equal(BANGER("export", "web1", in_dir("out")), FAIL_GENERAL);
		assert_has(fx.err, "the daemon's answer makes no sense\n");
		assert_no_file();
	}
}

static void test_what_is_no_file(void **state)
{
	(void)state;
	have_disk();
	assert_int_equal(BANGER("export", "web1", fx.dir), FAIL_USAGE);
	assert_string_equal(fx.calls, "");
	fx.fail[CALL_VM_DISK] = FAIL_STATE;
	assert_int_equal(BANGER("export", "web1", in_dir("out")), FAIL_STATE);
	assert_no_file();
	fx.fail[CALL_VM_DISK] = FAIL_NONE;
	fx.fail[CALL_VM_READ] = FAIL_HOST;
	assert_int_equal(BANGER("export", "web1", in_dir("out")), 9);
	assert_no_file();
	fx.fail[CALL_VM_READ] = FAIL_NONE;
	assert_int_equal(BANGER("export", "web1", in_dir("none/out")), FAIL_GENERAL);
}

static void test_commit(void **state)
{
	const struct call_image_import *a = &fx.last[CALL_IMAGE_IMPORT].image_import;
	static char digest[65];

	(void)state;
	have_snapshot();
	memset(digest, 'i', 64);
	fx.digests[0] = digest;
	fx.kernels = 3;
	assert_int_equal(BANGER("commit", "web1", "golden"), 0);
	assert_string_equal(fx.out, "golden\n");
	assert_string_equal(a->name, "golden");
	assert_string_equal(a->kernel, "linux"); /* the caller's own of that content */
	assert_string_equal(a->origin, "vm:web1 0123456789ab of debian iiiiiiiiiiii");
	fx.kernels = 2;
	assert_int_equal(BANGER("commit", "web1", "golden"), 0);
	assert_string_equal(a->kernel, geteuid() ? "0/linux" : "linux");
	fx.kernels = 1; /* root is shown the kernels of all users */
	assert_int_equal(BANGER("commit", "web1", "golden"), 0);
	assert_string_equal(a->kernel, "4000000000/linux");
	fx.kernels = 0;
	assert_int_equal(BANGER("commit", "web1", "golden", "--kernel", "mine"), 0);
	assert_string_equal(a->kernel, "mine");
}

static void test_commits_that_fail(void **state)
{
	(void)state;
	have_disk();
	fx.kernels = 0;
	assert_int_equal(BANGER("commit", "web1", "golden"), FAIL_NOT_FOUND);
	assert_has(fx.err, "none of the kernels that you may use is its own\n"
			   "hint: --kernel NAME");
	fx.kernels = 3;
	fx.calls[0] = '\0';
	assert_int_equal(BANGER("commit", "web1", "debian"), FAIL_STATE); /* told at once */
	assert_has(fx.err, "another name: banger vm commit VM NAME");
	assert_string_equal(fx.calls, "image_list ");
	fx.fail[CALL_IMAGE_IMPORT] = FAIL_LIMIT;
	assert_int_equal(BANGER("commit", "web1", "golden"), FAIL_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_store_without_exceptions),
		cmocka_unit_test(test_store_of_two_areas),
		cmocka_unit_test(test_store_of_a_full_area),
		cmocka_unit_test(test_torn_headers),
		cmocka_unit_test(test_hostile_exceptions),
		cmocka_unit_test(test_the_last_chunk_of_the_disk),
		cmocka_unit_test(test_a_list_without_an_end),
		T(test_a_disk_of_one_file),
		T(test_a_snapshot_is_laid_over_its_image),
		T(test_a_damaged_store),
		T(test_a_daemon_that_lies),
		T(test_what_is_no_file),
		T(test_commit),
		T(test_commits_that_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
