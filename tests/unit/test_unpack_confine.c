/* Tests what banger-unpack may open once it is confined, each time in a process of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/unpack/confine.h"

#define FILE_MOST (1u << 20)
#define UNCONFINED 200 /* an exit status that is no errno */

static struct {
	char dir[64], file[96];
	int folder;
} t;

static int setup(void **state)
{
	(void)state;
	(void)strcpy(t.dir, "/tmp/banger-confine-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	(void)snprintf(t.file, sizeof(t.file), "%s/file", t.dir);
	int fd = open(t.file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "text", 4), 4);
	(void)close(fd);
	t.folder = open(t.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(t.folder >= 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)close(t.folder);
	(void)unlink(t.file);
	return rmdir(t.dir);
}

/* Open @path below @dir in a confined process.  @folder: of confine().  Return: 0, the errno, or
 * minus the signal that killed the process. */
static int opened(int folder, int dir, const char *path, int flags)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (confine(folder, FILE_MOST) < 0)
			_exit(UNCONFINED);
		_exit(openat(dir, path, flags, 0600) < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_a_folder_can_be_read(void **state)
{
	(void)state;
	assert_int_equal(opened(t.folder, t.folder, "file", O_RDONLY | O_CLOEXEC), 0);
}

static void test_nothing_is_changed(void **state)
{
	static const int flags[] = { O_WRONLY,           O_RDWR,
				     O_RDONLY | O_TRUNC, O_RDONLY | O_CREAT | O_EXCL,
				     O_RDWR | O_TMPFILE, O_RDONLY | O_DIRECTORY };
	struct stat st;

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		assert_int_equal(opened(t.folder, t.folder, "file", flags[i] | O_CLOEXEC), -SIGSYS);
	assert_int_equal(stat(t.file, &st), 0);
	assert_int_equal(st.st_size, 4);
}

/* A kernel without Landlock refuses that, too. */
static void test_without_a_folder_no_file_is_opened(void **state)
{
	(void)state;
	assert_int_equal(opened(-1, t.folder, "file", O_RDONLY | O_CLOEXEC), -SIGSYS);
	assert_int_equal(opened(-1, AT_FDCWD, t.file, O_RDONLY | O_CLOEXEC), EACCES);
	assert_int_equal(opened(t.folder, AT_FDCWD, t.file, O_RDONLY | O_CLOEXEC), EACCES);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_folder_can_be_read),
		T(test_nothing_is_changed),
		T(test_without_a_folder_no_file_is_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
