/* Tests what banger-unpack may open once it is confined, each time in a process of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/error.h"
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

/* Run @act in a confined process.  Return: as opened(). */
static int acted(int (*act)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (confine(-1, FILE_MOST) < 0)
			_exit(UNCONFINED);
		_exit(act() < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static pid_t tester;

/* Signal 0 only asks whether the process is there. */
static int signal_tester(void)
{
	return (int)syscall(SYS_tgkill, tester, tester, 0);
}

static int signal_self(void)
{
	return (int)syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 0);
}

static int end_self(void)
{
	abort();
}

static void test_no_other_process_is_signalled(void **state)
{
	(void)state;
	tester = getpid();
	assert_int_equal(acted(signal_tester), -SIGSYS);
	assert_int_equal(acted(signal_self), 0);
	assert_int_equal(acted(end_self), -SIGABRT);
}

/* F_SETOWN and F_SETSIG would have the kernel send the signal. */
static int own_descriptor(void)
{
	return fcntl(STDOUT_FILENO, F_SETOWN, tester);
}

static int lock_file(void)
{
	const struct flock all = { .l_type = F_WRLCK };

	return fcntl(t.folder, F_SETLK, &all);
}

static int copy_descriptor(void)
{
	return fcntl(t.folder, F_DUPFD_CLOEXEC, 3);
}

static void test_a_descriptor_is_only_copied(void **state)
{
	(void)state;
	tester = getpid();
	assert_int_equal(acted(own_descriptor), -SIGSYS);
	assert_int_equal(acted(lock_file), -SIGSYS);
	assert_int_equal(acted(copy_descriptor), 0);
}

/* Let the kernel have no Landlock, for this process. */
static void hide_landlock(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);

	if (!f ||
	    seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(landlock_create_ruleset), 0) < 0 ||
	    seccomp_load(f) < 0)
		_exit(UNCONFINED + 1);
	seccomp_release(f);
}

static int confined_without_landlock(int folder)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		hide_landlock();
		_exit(confine(folder, FILE_MOST) < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* "../" would lead out of it. */
static void test_without_landlock_no_folder_is_taken(void **state)
{
	(void)state;
	assert_int_equal(confined_without_landlock(t.folder), EOPNOTSUPP);
	assert_int_equal(confined_without_landlock(-1), 0);
}

/* ---- the end of its parent ---- */

#define DISK (INT64_C(8) << 40) /* of zeros: to copy it takes minutes */

/* Start banger-unpack with a disk that is an ext4.  @out: its standard output. */
static pid_t start_unpack(int out)
{
	char program[4200] = "";
	const int in = memfd_create("disk", 0), image = memfd_create("image", 0);
	ssize_t n = readlink("/proc/self/exe", program, 4000);
	pid_t pid = fork();

	if (pid != 0) {
		(void)close(in);
		(void)close(image);
		return pid;
	}
	*strrchr(program, '/') = '\0';
	(void)strcat(program, "/../banger-unpack");
	if (n < 0 || ftruncate(in, DISK) < 0 || pwrite(in, "\x53\xef", 2, 1080) != 2 ||
	    dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(image, 3) < 0)
		_exit(UNCONFINED);
	(void)execl(program, program, "disk", "16777216", (char *)NULL);
	_exit(UNCONFINED + 1);
}

static bool is_confined(pid_t pid)
{
	char path[64], text[4096] = "";

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	if (fd >= 0)
		(void)close(fd);
	return strstr(text, "\nSeccomp:\t2\n");
}

static void test_it_ends_with_its_parent(void **state)
{
	int p[2], status;
	pid_t unpack;

	(void)state;
	(void)alarm(60); /* it would go on for minutes */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid_t parent = fork();
	assert_true(parent >= 0);
	if (parent == 0) {
		pid_t pid = start_unpack(p[1]);
		(void)!write(p[1], &pid, sizeof(pid));
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(p[0], &unpack, sizeof(unpack)), sizeof(unpack));
	while (!is_confined(unpack))
		(void)poll(NULL, 0, 10);
	assert_int_equal(kill(parent, SIGKILL), 0);
	assert_int_equal(waitpid(parent, &status, 0), parent);
	assert_int_equal(waitpid(unpack, &status, 0), unpack);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	(void)close(p[0]);
	(void)close(p[1]);
	(void)alarm(0);
}

/* The parent has gone before the program could ask to follow it. */
static void test_it_does_not_begin_without_its_parent(void **state)
{
	int p[2], status;

	(void)state;
	(void)alarm(60);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	(void)close(p[0]);
	pid_t pid = start_unpack(p[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(p[1]);
	(void)alarm(0);
	if (WIFSIGNALED(status))
		assert_int_equal(WTERMSIG(status), SIGPIPE); /* its answer has no reader */
	else
		assert_int_equal(WEXITSTATUS(status), FAIL_HOST);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_folder_can_be_read),
		T(test_nothing_is_changed),
		T(test_without_a_folder_no_file_is_opened),
		T(test_no_other_process_is_signalled),
		T(test_a_descriptor_is_only_copied),
		T(test_without_landlock_no_folder_is_taken),
		T(test_it_ends_with_its_parent),
		T(test_it_does_not_begin_without_its_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
