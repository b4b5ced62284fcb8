/* Tests the filter's helpers in processes that load a filter and make calls: each call passes, or
 * SIGSYS ends the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

/* The filter of the release, without the sanitizers' calls: the processes below only make system
 * calls. */
#undef BANGER_SANITIZED
#include "privhelper/lockdown.c"

/* Make a call under the filter.  Return: 0 if it passed, or the signal that ended the process. */
static int try_call(const struct rule *own, const long call[7])
{
	const struct policy policy = { .process = "test", .lists = { lockdown_rules, own } };
	const struct lockdown l = { .policy = &policy };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (load_filter(&l) < 0)
			_exit(1);
		(void)syscall(call[0], call[1], call[2], call[3], call[4], call[5], call[6]);
		(void)syscall(SYS_exit_group, 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status);
	assert_int_equal(WEXITSTATUS(status), 0);
	return 0;
}

#define TRY(rules, ...) try_call(rules, (const long[7]){ __VA_ARGS__ })
#define LETS(rules, ...) assert_int_equal(TRY(rules, __VA_ARGS__), 0)
#define ENDS(rules, ...) assert_int_equal(TRY(rules, __VA_ARGS__), SIGSYS)

/* test_priv_policy.c checks the content of the filters; this test shows that the kernel reads them
 * in the same way. */
static void base(void **state)
{
	(void)state;
	LETS(NULL, SYS_write, 2, 0, 0);
	ENDS(NULL, SYS_write, 1, 0, 0);
	ENDS(NULL, SYS_write, 3, 0, 0);
	LETS(NULL, SYS_ioctl, 2, TCGETS, 0);
	ENDS(NULL, SYS_ioctl, 2, TIOCSTI, 0);
	ENDS(NULL, SYS_ioctl, 0, TCGETS, 0);
	LETS(NULL, SYS_prctl, PR_GET_SECCOMP);
	ENDS(NULL, SYS_prctl, PR_SET_DUMPABLE, 1);
	ENDS(NULL, SYS_prctl, PR_SET_NAME, 0);
	ENDS(NULL, SYS_execve, 0, 0, 0);
}

/* The x32 numbers of an allowed call are another architecture's. */
static void other_architecture(void **state)
{
	(void)state;
#ifdef __x86_64__
	ENDS(NULL, 0x40000000 | SYS_write, 2, 0, 0);
#else
	print_message("SKIP: x86-64 alone has a second table\n");
	skip();
#endif
}

#define REQUEST 0xc138fd03u /* the top bit set: an int would be extended to 64 bits */

/* The kernel looks at 32 bits of the request, so neither more nor less may decide. */
static void ioctls(void **state)
{
	static const struct rule
		one[] = { { SCMP_SYS(ioctl), 0, { IS(0, 7), IS(1, REQUEST) }, "test" }, { 0 } },
		any[] = { { SCMP_SYS(ioctl), 0, { IS(1, REQUEST) }, "test" }, { 0 } };

	(void)state;
	LETS(one, SYS_ioctl, 7, REQUEST);
	LETS(one, SYS_ioctl, 7, (long)(int)REQUEST);
	LETS(one, SYS_ioctl, 7, REQUEST | 1L << 40);
	ENDS(one, SYS_ioctl, 8, REQUEST);
	for (int bit = 0; bit < 32; bit++)
		ENDS(one, SYS_ioctl, 7, REQUEST ^ 1u << bit);
	LETS(any, SYS_ioctl, 99, REQUEST);
	ENDS(any, SYS_ioctl, 99, REQUEST ^ 1);
}

/* A descriptor of a folder that a peer sent opens nothing; the kernel looks at 32 bits of both
 * arguments. */
static void opens(void **state)
{
	static const struct rule reads[] = {
		{ SCMP_SYS(openat), 0, { IS(0, AT_FDCWD), IS(2, O_RDONLY | O_CLOEXEC) }, "test" },
		{ SCMP_SYS(openat), 0, { IS(0, AT_FDCWD), IS(2, O_RDWR | O_CLOEXEC) }, "test" },
		{ 0 },
	};
	const long name = (long)"dev/null";

	(void)state;
	LETS(reads, SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
	LETS(reads, SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC);
	LETS(reads, SYS_openat, (uint32_t)AT_FDCWD, name, O_RDWR | O_CLOEXEC);
	ENDS(reads, SYS_openat, 0, name, O_RDONLY | O_CLOEXEC);
	ENDS(reads, SYS_openat, 7, name, O_RDWR | O_CLOEXEC);
	ENDS(reads, SYS_openat, 1L << 32 | 7, name, O_RDWR | O_CLOEXEC);
	for (int bit = 0; bit < 32; bit++)
		ENDS(reads, SYS_openat, (uint32_t)AT_FDCWD ^ 1u << bit, name, O_RDWR | O_CLOEXEC);
	ENDS(reads, SYS_openat, AT_FDCWD, name, O_PATH | O_CLOEXEC);
	ENDS(reads, SYS_openat, AT_FDCWD, name, O_RDWR | O_CREAT | O_CLOEXEC);
}

/* A file that is too long fails to grow; the process lives on and can say so. */
static void files_can_not_grow_beyond_the_limit(void **state)
{
	static const struct policy_limit limits[] = { { RLIMIT_FSIZE, 100 }, { -1, 0 } };
	const struct policy policy = { .limits = limits };
	const struct lockdown l = { .policy = &policy };
	char name[] = "/tmp/banger-lockdown.XXXXXX";
	int status, fd = mkstemp(name);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	pid_t pid = fork();
	if (pid == 0) {
		char bytes[100] = "";
		if (limit(&l) < 0 || write(fd, bytes, 100) != 100)
			_exit(1);
		_exit(write(fd, bytes, 1) < 0 && errno == EFBIG ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(fd);
}

/* Without root no privilege can be given up.  With root, a wrong expectation must be noticed. */
static void reads_back(void **state)
{
	const struct policy other = { .caps = (const unsigned[]){ UINT_MAX } };
	struct lockdown l = { .account = { 64001, 64001 }, .policy = &policy_supervisor };
	int status;

	(void)state;
	if (geteuid() != 0) {
		print_message("SKIP: needs root\n");
		skip();
	}
	pid_t pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);
		l.status_fd = open("/proc/self/status", O_RDONLY);
		(void)dup2(null, STDERR_FILENO);
		if (limit(&l) < 0 || lockdown_ids(&l.account, l.policy->caps) < 0 ||
		    bind_to_parent(&l) < 0)
			_exit(1);
		if (check_status(&l) < 0 || check_bits() < 0 || check_no_return(&l) < 0)
			_exit(2);
		l.account.gid = 64002;
		if (check_status(&l) == 0)
			_exit(3);
		l.account.gid = 64001;
		l.policy = &other;
		if (check_status(&l) == 0)
			_exit(4);
		_exit(fork() < 0 ? 0 : 5);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base),
		cmocka_unit_test(other_architecture),
		cmocka_unit_test(ioctls),
		cmocka_unit_test(opens),
		cmocka_unit_test(files_can_not_grow_beyond_the_limit),
		cmocka_unit_test(reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
