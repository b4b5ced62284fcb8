/* test_cli_sink.c - the file of an export, on a file system that has no unnamed files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The calls of the unit that the test answers itself. */
static int open_named(const char *path, int flags, mode_t mode);
static int sync_file(int fd);
#define open open_named
#define fsync sync_file
#undef skip /* of cmocka */
#include "controller/cli/export.c"
#undef open
#undef fsync

static struct {
	char dir[64], path[96];
	int sync_error; /* of fsync(); 0: it succeeds */
} t;

/* open(2), as NFS answers. */
static int open_named(const char *path, int flags, mode_t mode)
{
	if ((flags & O_TMPFILE) != O_TMPFILE)
		return open(path, flags, mode);
	errno = EOPNOTSUPP;
	return -1;
}

static int sync_file(int fd)
{
	if (!t.sync_error)
		return fsync(fd);
	errno = t.sync_error;
	return -1;
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	(void)snprintf(t.dir, sizeof(t.dir), "/tmp/banger-sink.XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	(void)snprintf(t.path, sizeof(t.path), "%s/disk.ext4", t.dir);
	return 0;
}

static size_t files(void)
{
	char pattern[sizeof(t.dir) + 2];
	glob_t g = { 0 };

	(void)snprintf(pattern, sizeof(pattern), "%s/*", t.dir);
	size_t n = glob(pattern, 0, NULL, &g) == 0 ? g.gl_pathc : 0;
	globfree(&g);
	return n;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(t.path);
	return rmdir(t.dir); /* fails when something is left */
}

static int put_word(void *arg, struct sink *to, struct error *e)
{
	if (sink_put(to, 8192, "word", 4, e) < 0)
		return -1;
	return arg ? error_set(e, FAIL_UNREACHABLE, "daemon", "it ended") : sink_end(to, 65536, e);
}

/* Return: as export_to(). */
static int write_out(void *arg, struct error *e)
{
	const struct export_source from = { .copy = put_word, .arg = arg, .mode = 0600 };
	static const struct command command = { .noun = "vm", .verb = "export" };
	struct cli c = { .command = &command, .sigfd = -1 };
	int r = export_to(&c, t.path, &from, e);

	if (c.sigfd >= 0)
		(void)close(c.sigfd);
	return r;
}

static void assert_written(void)
{
	char word[5] = "";
	struct stat st;
	int fd = open(t.path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 65536);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(pread(fd, word, 4, 8192), 4);
	assert_string_equal(word, "word");
	(void)close(fd);
}

static void test_the_file_takes_its_place(void **state)
{
	struct error e = { 0 };

	(void)state;
	assert_int_equal(write_out(NULL, &e), 0);
	assert_written();
	assert_int_equal(write_out(NULL, &e), 0); /* in the place of the first one */
	assert_written();
	assert_int_equal(files(), 1);
}

static void test_a_source_that_fails_leaves_nothing(void **state)
{
	struct error e = { 0 };

	assert_int_equal(write_out(state, &e), -1);
	assert_int_equal(e.code, FAIL_UNREACHABLE);
	assert_int_equal(files(), 0);
}

/* NFS may report only to fsync(2) that the disk is full. */
static void test_a_file_that_is_not_synced_leaves_nothing(void **state)
{
	struct error e = { 0 };

	(void)state;
	t.sync_error = ENOSPC;
	assert_int_equal(write_out(NULL, &e), -1);
	assert_non_null(strstr(e.why, strerror(ENOSPC)));
	assert_int_equal(files(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_file_takes_its_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_source_that_fails_leaves_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_file_that_is_not_synced_leaves_nothing,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
