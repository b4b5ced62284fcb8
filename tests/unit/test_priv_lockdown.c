/* The filter's helpers, in processes that load what is tested and try: let through, or ended by
 * SIGSYS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

/* The filter that ships, not the one with the sanitizers' calls: the processes below use nothing
 * but system calls. */
#undef BANGER_SANITIZED
#include "privhelper/lockdown.c"

typedef int (*rules_fn)(scmp_filter_ctx ctx);

/* Return: what the process ended with after @call: 0 let through, or the signal. */
static int try_call(rules_fn rules, const long call[7])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
		if (!ctx || rules(ctx) < 0 || seccomp_load(ctx) < 0)
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

static void base(void **state)
{
	(void)state;
	LETS(lockdown_allow_base, SYS_write, 2, 0, 0);
	ENDS(lockdown_allow_base, SYS_write, 1, 0, 0);
	ENDS(lockdown_allow_base, SYS_write, 3, 0, 0);
	LETS(lockdown_allow_base, SYS_ioctl, 2, TCGETS, 0);
	ENDS(lockdown_allow_base, SYS_ioctl, 2, TIOCSTI, 0);
	ENDS(lockdown_allow_base, SYS_ioctl, 0, TCGETS, 0);
	LETS(lockdown_allow_base, SYS_prctl, PR_GET_SECCOMP);
	ENDS(lockdown_allow_base, SYS_prctl, PR_SET_DUMPABLE, 1);
	ENDS(lockdown_allow_base, SYS_prctl, PR_SET_NAME, 0);
}

static void nothing_else(void **state)
{
	static const long calls[] = {
		SYS_execve,
		SYS_fork,
		SYS_vfork,
		SYS_clone,
		SYS_clone3,
		SYS_ptrace,
		SYS_socket,
		SYS_openat,
		SYS_open,
		SYS_read,
		SYS_mmap,
		SYS_mprotect,
		SYS_kill,
		SYS_setresuid,
		SYS_capset,
		SYS_mount,
		SYS_unshare,
		SYS_setns,
		SYS_bpf,
		SYS_keyctl,
		SYS_io_uring_setup,
		SYS_process_vm_writev,
		SYS_pidfd_getfd,
		SYS_seccomp,
		SYS_getppid,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		ENDS(lockdown_allow_base, calls[i]);
}

/* The x32 numbers of an allowed call are another architecture's. */
static void other_architecture(void **state)
{
	(void)state;
#ifdef __x86_64__
	ENDS(lockdown_allow_base, 0x40000000 | SYS_write, 2, 0, 0);
#else
	print_message("SKIP: x86-64 alone has a second table\n");
	skip();
#endif
}

#define REQUEST 0xc138fd03u /* the top bit set: an int would be extended to 64 bits */

static int one_ioctl(scmp_filter_ctx ctx)
{
	return lockdown_allow_base(ctx) | lockdown_allow_ioctl(ctx, 7, REQUEST);
}

static int any_ioctl(scmp_filter_ctx ctx)
{
	return lockdown_allow_base(ctx) | lockdown_allow_ioctl(ctx, -1, REQUEST);
}

/* The kernel looks at 32 bits of the request, so neither more nor less may decide. */
static void ioctls(void **state)
{
	(void)state;
	LETS(one_ioctl, SYS_ioctl, 7, REQUEST);
	LETS(one_ioctl, SYS_ioctl, 7, (long)(int)REQUEST);
	LETS(one_ioctl, SYS_ioctl, 7, REQUEST | 1L << 40);
	ENDS(one_ioctl, SYS_ioctl, 8, REQUEST);
	for (int bit = 0; bit < 32; bit++)
		ENDS(one_ioctl, SYS_ioctl, 7, REQUEST ^ 1u << bit);
	LETS(any_ioctl, SYS_ioctl, 99, REQUEST);
	ENDS(any_ioctl, SYS_ioctl, 99, REQUEST ^ 1);
}

static int reads(scmp_filter_ctx ctx)
{
	return lockdown_allow_base(ctx) | lockdown_allow_open(ctx, AT_FDCWD, O_RDONLY | O_CLOEXEC) |
	       lockdown_allow_open(ctx, AT_FDCWD, O_RDWR | O_CLOEXEC);
}

/* A descriptor of a folder that a peer sent opens nothing; the kernel looks at 32 bits of both
 * arguments. */
static void opens(void **state)
{
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
static void files_have_an_end(void **state)
{
	static const unsigned caps[] = { UINT_MAX };
	const struct lockdown l = { .caps = caps, .file_max = 100 };
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

/* Without root nothing can be given up; with it, a wrong expectation has to show. */
static void reads_back(void **state)
{
	static const unsigned caps[] = { CAP_KILL, UINT_MAX };
	struct lockdown l = { .account = { 64001, 64001 }, .caps = caps };
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
		if (limit(&l) < 0 || lockdown_ids(&l.account, caps) < 0 || bind_to_parent(&l) < 0)
			_exit(1);
		if (check_status(&l) < 0 || check_bits() < 0 || check_no_return(&l) < 0)
			_exit(2);
		l.account.gid = 64002;
		if (check_status(&l) == 0)
			_exit(3);
		l.account.gid = 64001;
		l.caps = (const unsigned[]){ UINT_MAX };
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
		cmocka_unit_test(nothing_else),
		cmocka_unit_test(other_architecture),
		cmocka_unit_test(ioctls),
		cmocka_unit_test(opens),
		cmocka_unit_test(files_have_an_end),
		cmocka_unit_test(reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
