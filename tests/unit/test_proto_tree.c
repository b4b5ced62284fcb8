/* The codec of a stream of files and folders: round trips, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "proto/tree.h"

static struct tree_reader r;
static struct tree_record m;

static int begin(void **state)
{
	(void)state;
	memset(&r, 0, sizeof(r));
	return 0;
}

static void feed(const void *data, size_t n)
{
	size_t size;
	uint8_t *at = tree_room(&r, &size);

	assert_true(size >= n);
	memcpy(at, data, n);
	r.have += n;
}

static struct tree_entry entry(enum tree_type type, const char *name, const char *target)
{
	struct tree_entry e = { type, 0640, 10, 20, -7, 999999999, 0, "", "" };

	(void)snprintf(e.name, sizeof(e.name), "%s", name);
	(void)snprintf(e.target, sizeof(e.target), "%s", target);
	return e;
}

static int take_entry(const struct tree_entry *e)
{
	uint8_t buf[TREE_ENTRY_MAX];

	feed(buf, tree_put_entry(buf, e));
	return tree_next(&r, &m);
}

static int take(enum tree_type type, const char *name, const char *target)
{
	const struct tree_entry e = entry(type, name, target);

	return take_entry(&e);
}

static int take_file(const char *name, uint64_t size)
{
	struct tree_entry e = entry(TREE_FILE, name, "");

	e.size = size;
	return take_entry(&e);
}

static int take_plain(enum tree_type type, const void *data, size_t n)
{
	uint8_t buf[TREE_HEAD + 100];

	feed(buf, tree_put(buf, type, data, n));
	return tree_next(&r, &m);
}

static int take_hole(uint64_t n)
{
	uint8_t buf[TREE_HEAD + 8];

	feed(buf, tree_put_hole(buf, n));
	return tree_next(&r, &m);
}

static void test_entries_go_round(void **state)
{
	static char longest[TREE_TARGET + 1];
	struct tree_entry e = entry(TREE_FOLDER, "a folder", "");

	(void)state;
	assert_int_equal(take_entry(&e), 1);
	assert_memory_equal(&m.entry, &e, offsetof(struct tree_entry, name));
	assert_string_equal(m.entry.name, "a folder");
	memset(longest, 'x', TREE_TARGET);
	memset(e.name, 'n', TREE_NAME);
	e.type = TREE_SYMLINK;
	e.mode = 07777;
	(void)strcpy(e.target, longest);
	assert_int_equal(take_entry(&e), 1);
	assert_string_equal(m.entry.name, e.name);
	assert_string_equal(m.entry.target, longest);
	assert_int_equal(take(TREE_LINK, "l", "a/b/..."), 1);
	assert_string_equal(m.entry.target, "a/b/...");
	assert_int_equal(take_file("f", 8), 1);
	assert_int_equal(take_plain(TREE_DATA, "abc", 3), 1);
	assert_memory_equal(m.data, "abc", 3);
	assert_int_equal(take_hole(5), 1);
	assert_int_equal(m.n, 5);
	assert_int_equal(take_file("empty", 0), 1);
	assert_int_equal(take_plain(TREE_LEAVE, NULL, 0), 1);
	assert_int_equal(take_plain(TREE_END, NULL, 0), 1);
}

static void test_bytes_one_at_a_time(void **state)
{
	const struct tree_entry e = entry(TREE_SYMLINK, "name", "target");
	uint8_t buf[TREE_ENTRY_MAX];
	size_t n = tree_put_entry(buf, &e);

	(void)state;
	for (size_t i = 0; i < n - 1; i++) {
		feed(buf + i, 1);
		assert_int_equal(tree_next(&r, &m), 0);
	}
	feed(buf + n - 1, 1);
	assert_int_equal(tree_next(&r, &m), 1);
	assert_string_equal(m.entry.target, "target");
}

#define REFUSED(call)                                              \
	do {                                                       \
		(void)begin(NULL);                                 \
		assert_int_equal(take(TREE_FOLDER, "top", ""), 1); \
		assert_int_equal(call, -1);                        \
	} while (0)

static void test_names_that_are_refused(void **state)
{
	(void)state;
	REFUSED(take_file("", 0));
	REFUSED(take_file(".", 0));
	REFUSED(take_file("..", 0));
	REFUSED(take_file("a/b", 0));
	REFUSED(take_file("/", 0));
	REFUSED(take(TREE_FOLDER, "", ""));
	REFUSED(take(TREE_FOLDER, "..", ""));
	REFUSED(take(TREE_SYMLINK, "../a", "b"));
	REFUSED(take(TREE_SYMLINK, "a", ""));
	REFUSED(take(TREE_LINK, "a", ""));
	REFUSED(take(TREE_LINK, "a", "/etc/passwd"));
	REFUSED(take(TREE_LINK, "a", "../b"));
	REFUSED(take(TREE_LINK, "a", "b/../../c"));
	REFUSED(take(TREE_LINK, "a", "b//c"));
	REFUSED(take(TREE_LINK, "a", "b/"));
	(void)begin(NULL);
	assert_int_equal(take(TREE_LINK, "a", "b"), -1); /* outside of all folders */
	(void)begin(NULL);
	assert_int_equal(take(TREE_FOLDER, "", ""), 1); /* the destination */
}

static void test_numbers_that_are_refused(void **state)
{
	struct tree_entry e = entry(TREE_FILE, "a", "");

	(void)state;
	e.mode = 010000;
	REFUSED(take_entry(&e));
	e.mode = 0;
	e.uid = UINT32_MAX;
	REFUSED(take_entry(&e));
	e.uid = 0;
	e.gid = UINT32_MAX;
	REFUSED(take_entry(&e));
	e.gid = 0;
	e.mtime_ns = 1000000000;
	REFUSED(take_entry(&e));
	e.mtime_ns = 0;
	e.size = (uint64_t)INT64_MAX + 1;
	REFUSED(take_entry(&e));
	e.size = 1;
	e.type = TREE_FOLDER;
	REFUSED(take_entry(&e));
	e.type = TREE_FILE;
	(void)strcpy(e.target, "t");
	REFUSED(take_entry(&e));
}

#define IN_A_FILE(call)                                 \
	do {                                            \
		(void)begin(NULL);                      \
		assert_int_equal(take_file("f", 3), 1); \
		assert_int_equal(call, -1);             \
	} while (0)

static void test_a_size_that_lies(void **state)
{
	(void)state;
	IN_A_FILE(take_plain(TREE_DATA, "abcd", 4));
	IN_A_FILE(take_hole(4));
	IN_A_FILE(take_hole(0));
	IN_A_FILE(take_hole(UINT64_MAX));
	IN_A_FILE(take_file("g", 0));
	IN_A_FILE(take_plain(TREE_LEAVE, NULL, 0));
	IN_A_FILE(take_plain(TREE_END, NULL, 0));
	REFUSED(take_plain(TREE_DATA, "a", 1));
	REFUSED(take_plain(TREE_SPOILT, NULL, 0));
	(void)begin(NULL);
	assert_int_equal(take_file("f", 3), 1);
	assert_int_equal(take_plain(TREE_SPOILT, NULL, 0), 1);
	assert_int_equal(take_plain(TREE_DATA, "a", 1), -1);
}

static void test_ends_out_of_place(void **state)
{
	(void)state;
	assert_int_equal(take_plain(TREE_LEAVE, NULL, 0), -1);
	REFUSED(take_plain(TREE_END, NULL, 0));
	(void)begin(NULL);
	assert_int_equal(take_plain(TREE_END, NULL, 0), 1);
	assert_int_equal(take_file("f", 0), -1); /* behind the end */
	(void)begin(NULL);
	for (int i = 0; i < TREE_DEPTH; i++)
		assert_int_equal(take(TREE_FOLDER, "d", ""), 1);
	assert_int_equal(take(TREE_FOLDER, "d", ""), -1);
}

static void refuse_bytes(const char *bytes, size_t n)
{
	(void)begin(NULL);
	feed(bytes, n);
	assert_int_equal(tree_next(&r, &m), -1);
}

static void test_bytes_that_are_no_record(void **state)
{
	uint8_t buf[TREE_ENTRY_MAX];
	struct tree_entry e = entry(TREE_SYMLINK, "name", "target");
	size_t n = tree_put_entry(buf, &e);

	(void)state;
	refuse_bytes("\0\0\0\0", 4);
	refuse_bytes("\xff\0\0\0", 4);
	refuse_bytes("\x09\x01\0\0", 4);
	refuse_bytes("\x09\0\x01\0", 4);
	refuse_bytes("\x01\0\xff\xff", 4); /* longer than any name */
	buf[n - 2] = '\0';                 /* a NUL in the target */
	refuse_bytes((const char *)buf, n);
	buf[0] = TREE_FILE; /* which has none */
	refuse_bytes((const char *)buf, n);
	assert_null(tree_record_name(0));
	assert_null(tree_record_name(200));
	assert_string_equal(tree_record_name(TREE_SPOILT), "spoilt");
}

#define T(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_entries_go_round),         T(test_bytes_one_at_a_time),
		T(test_names_that_are_refused),   T(test_numbers_that_are_refused),
		T(test_a_size_that_lies),         T(test_ends_out_of_place),
		T(test_bytes_that_are_no_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
