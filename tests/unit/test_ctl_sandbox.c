/* Tests what a taken-over controller can not do.  A child that is locked down like the controller
 * makes each attempt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants these first. */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/sandbox.h"
#include "tests/unit/no_landlock.h"

#define TUNSETIFF_ 0x400454cau /* linux/if_tun.h */
#define LOOP_CLR_FD_ 0x4c01u   /* linux/loop.h; its last byte is that of TCGETS, which is allowed */
#define PASSED 42

static struct ctl ctl;
static char dir[64];

static int setup(void **state)
{
	static const char *const names[] = { "state", "run", "log" };
	char path[128];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/banger-sandbox-XXXXXX");
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	(void)snprintf(ctl.config.state_dir, sizeof(ctl.config.state_dir), "%s/state", dir);
	(void)snprintf(ctl.config.run_dir, sizeof(ctl.config.run_dir), "%s/run", dir);
	(void)snprintf(ctl.config.log_dir, sizeof(ctl.config.log_dir), "%s/log", dir);
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "state/a", "state/f", "run/b", "state",
					     "run",     "log",     "" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < 7; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)remove(path);
	}
	return 0;
}

static enum sandbox_kind kind; /* SANDBOX_SERVICE, unless a test sets another */

/* Run @fn in the sandbox.  Return: its exit status, or 1000 + the signal that ended it. */
static int locked(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(sandbox_enter(&ctl, kind) < 0 ? 99 : fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

#define KILLED (1000 + SIGSYS)

/* ---- killed ---- */

static int do_execve(void)
{
	char *const none[] = { NULL };

	return execve("/bin/true", none, none);
}

static int do_execveat(void)
{
	return (int)syscall(SYS_execveat, -1, "", NULL, NULL, 0);
}

static int do_fork(void)
{
	return (int)syscall(SYS_fork);
}

/* What fork(3) calls. */
static int do_clone(void)
{
	return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static int do_vfork(void)
{
	return (int)syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
}

static int do_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}

static int do_inet(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int do_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0);
}

static int do_tun(void)
{
	return ioctl(-1, TUNSETIFF_, 0);
}

static int do_loop(void)
{
	return ioctl(-1, LOOP_CLR_FD_, 0);
}

/* The kernel takes 32 bits of an ioctl's number (fs/ioctl.c), so the upper ones must not hide
 * it. */
static int do_high_ioctl(void)
{
	return (int)syscall(SYS_ioctl, -1, 0xffffffff00000000ul | TUNSETIFF_, 0);
}

static int do_ptrace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, 0, 0);
}

static int do_mknod(void)
{
	return mknodat(AT_FDCWD, "/nowhere/x", S_IFBLK | 0600, 0);
}

static int do_rlimit(void)
{
	const struct rlimit r = { 1, 1 };

	return (int)syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &r, NULL);
}

static int do_symlink(void)
{
	return symlink("a", "/nowhere/b");
}

static int do_mount(void)
{
	return (int)syscall(SYS_mount, "", "", "", 0, "");
}

static int do_exec_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}

static int do_make_executable(void)
{
	static char page[8192] __attribute__((aligned(4096)));

	return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static int do_datagram(void)
{
	return socket(AF_UNIX, SOCK_DGRAM, 0);
}

static int do_packet(void)
{
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

/* ---- special mode bits, by which another account could run a program as ours ---- */

static int bits; /* what the attempt adds to 0755 */

static int do_chmod(void)
{
	return (int)syscall(SYS_chmod, "/nowhere/x", 0755 | bits);
}

static int do_fchmod(void)
{
	return (int)syscall(SYS_fchmod, -1, 0755 | bits);
}

static int do_fchmodat(void)
{
	return (int)syscall(SYS_fchmodat, AT_FDCWD, "/nowhere/x", 0755 | bits);
}

static int do_fchmodat2(void)
{
	return (int)syscall(452, AT_FDCWD, "/nowhere/x", 0755 | bits,
			    0); /* a newer kernel's, asm-generic/unistd.h */
}

static int do_open(void)
{
	return (int)syscall(SYS_open, "/nowhere/x", O_CREAT | O_WRONLY, 0755 | bits);
}

static int do_openat(void)
{
	return (int)syscall(SYS_openat, AT_FDCWD, "/nowhere/x", O_CREAT | O_WRONLY, 0755 | bits);
}

static int do_tmpfile(void)
{
	return (int)syscall(SYS_openat, AT_FDCWD, "/nowhere", O_TMPFILE | O_WRONLY, 0755 | bits);
}

static int do_creat(void)
{
	return (int)syscall(SYS_creat, "/nowhere/x", 0755 | bits);
}

static int do_openat2(void)
{
	const uint64_t how[3] = { O_CREAT | O_WRONLY, 0755u | (unsigned)bits,
				  0 }; /* linux/openat2.h */

	return (int)syscall(SYS_openat2, AT_FDCWD, "/nowhere/x", how, sizeof(how));
}

static int do_mkdir(void)
{
	return (int)syscall(SYS_mkdir, "/nowhere/x", 0755 | bits);
}

static int do_mkdirat(void)
{
	return (int)syscall(SYS_mkdirat, AT_FDCWD, "/nowhere/x", 0755 | bits);
}

static int do_mkfifo(void)
{
	return (int)syscall(SYS_mknod, "/nowhere/x", S_IFIFO | 0755 | bits, 0);
}

static int do_mkfifoat(void)
{
	return (int)syscall(SYS_mknodat, AT_FDCWD, "/nowhere/x", S_IFIFO | 0755 | bits, 0);
}

static void no_file_gets_a_special_mode(void **state)
{
	static const struct {
		const char *what;
		int (*fn)(void);
	} acts[] = {
		{ "chmod", do_chmod },       { "fchmod", do_fchmod },
		{ "fchmodat", do_fchmodat }, { "fchmodat2", do_fchmodat2 },
		{ "open", do_open },         { "openat", do_openat },
		{ "O_TMPFILE", do_tmpfile }, { "creat", do_creat },
		{ "openat2", do_openat2 },   { "mkdir", do_mkdir },
		{ "mkdirat", do_mkdirat },   { "mknod", do_mkfifo },
		{ "mknodat", do_mkfifoat },
	};
	static const int special[] = { S_ISUID, S_ISGID, S_ISVTX, S_ISUID | S_ISGID };

	(void)state;
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		for (size_t b = 0; b < sizeof(special) / sizeof(special[0]); b++) {
			bits = special[b];
			if (locked(acts[i].fn) != KILLED)
				fail_msg("%s with 0%o: %d", acts[i].what, (unsigned)bits,
					 locked(acts[i].fn));
		}
}

/* A mode that openat(2) does not read may have any bits.  Ordinary modes pass in each call that the
 * filter has: not in chmod, fchmodat, open and mknod, which no C library of ours makes. */
static int ordinary_modes(void)
{
	int (*const fns[])(void) = {
		do_fchmod, do_openat, do_tmpfile, do_mkdir, do_mkdirat, do_mkfifoat,
	};

	bits = 0;
	for (size_t i = 0; i < sizeof(fns) / sizeof(fns[0]); i++)
		if (fns[i]() != -1)
			return 1;
	(void)syscall(SYS_openat, AT_FDCWD, "/nowhere/x", O_RDONLY, 07777);
	return PASSED;
}

static void ordinary_modes_pass(void **state)
{
	(void)state;
	assert_int_equal(locked(ordinary_modes), PASSED);
}

static void a_call_that_it_never_needs_kills_it(void **state)
{
	static const struct {
		const char *what;
		int (*fn)(void);
	} acts[] = {
		{ "execve", do_execve },
		{ "execveat", do_execveat },
		{ "fork", do_fork },
		{ "clone", do_clone },
		{ "vfork", do_vfork },
		{ "unshare", do_unshare },
		{ "inet socket", do_inet },
		{ "netlink socket", do_netlink },
		{ "datagram socket", do_datagram },
		{ "packet socket", do_packet },
		{ "tun ioctl", do_tun },
		{ "loop ioctl", do_loop },
		{ "ioctl with high bits", do_high_ioctl },
		{ "ptrace", do_ptrace },
		{ "mknod of a device", do_mknod },
		{ "symlink", do_symlink },
		{ "mount", do_mount },
#ifndef BANGER_SANITIZED
		{ "setrlimit", do_rlimit },
		{ "mmap for execution", do_exec_memory },
		{ "mprotect for execution", do_make_executable },
#endif
	};

	(void)state;
	(void)do_rlimit, (void)do_exec_memory, (void)do_make_executable;
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (locked(acts[i].fn) != KILLED)
			fail_msg("%s: %d", acts[i].what, locked(acts[i].fn));
}

/* ---- refused ---- */

static int refused(const char *path, int flags)
{
	return open(path, flags | O_CLOEXEC) < 0 && errno == EACCES;
}

static int foreign_files(void)
{
	char log[128];

	(void)snprintf(log, sizeof(log), "%s/log/net.log", dir);
	if (!ctl.host.landlock_abi)
		return PASSED + 1;
	if (!refused("/etc/passwd", O_RDONLY) || !refused("/proc/self/status", O_RDONLY) ||
	    !refused("/", O_RDONLY))
		return 1;
	return open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 && errno == EACCES ? PASSED : 2;
}

static void foreign_files_are_out_of_reach(void **state)
{
	int r = locked(foreign_files);

	(void)state;
	if (r == PASSED + 1) {
		print_message("SKIP: this kernel has no Landlock\n");
		skip();
	}
	assert_int_equal(r, PASSED);
}

/* Return: what sandbox_enter() returns on a kernel without Landlock: 0, or 1 for an error. */
static int enter_without_landlock(enum landlock_use use)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		ctl.config.landlock = use;
		_exit(take_landlock_away() < 0 ? 99 : sandbox_enter(&ctl, kind) < 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void landlock_is_required(void **state)
{
	(void)state;
	assert_int_equal(enter_without_landlock(LANDLOCK_REQUIRE), 1);
	assert_int_equal(enter_without_landlock(LANDLOCK_AUTO), 0);
}

/* ---- allowed ---- */

static void *thread(void *arg)
{
	return arg;
}

static int daily_work(void)
{
	char a[128], b[128], f[128];
	pthread_t t;
	void *r = NULL;

	(void)snprintf(a, sizeof(a), "%s/state/a", dir);
	(void)snprintf(b, sizeof(b), "%s/run/b", dir);
	(void)snprintf(f, sizeof(f), "%s/state/f", dir);
	if (pthread_create(&t, NULL, thread, a) != 0 || pthread_join(t, &r) != 0 || r != a)
		return 1;
	int fd = open(a, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) < 0 || ftruncate(fd, 0) < 0)
		return 2;
	(void)ioctl(fd, FICLONE, fd); /* an error, not a kill */
	if (linkat(AT_FDCWD, a, AT_FDCWD, b, 0) < 0 || mkfifo(f, 0600) < 0 ||
	    socket(AF_UNIX, SOCK_STREAM, 0) < 0)
		return 3;
	if (open("/proc/self/status", O_RDONLY) >= 0 && ctl.host.landlock_abi)
		return 4;
	return PASSED;
}

static void its_ordinary_calls_are_allowed(void **state)
{
	(void)state;
	assert_int_equal(locked(daily_work), PASSED);
}

static int no_dumps(void)
{
	struct rlimit r;

	return getrlimit(RLIMIT_CORE, &r) == 0 && r.rlim_max == 0 && ctl.host.seccomp ? PASSED : 1;
}

static int do_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int do_socketpair(void)
{
	int ends[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
}

static int do_connect(void)
{
	return connect(-1, NULL, 0);
}

static int do_send(void)
{
	return (int)sendmsg(-1, NULL, 0);
}

static int do_receive(void)
{
	return (int)recvmsg(-1, NULL, 0);
}

static int files_alone(void)
{
	return open("/nowhere", O_RDONLY) < 0 ? PASSED : 1;
}

/* The check of a database that other accounts wrote has no view of its own (supervisor_view.c), and
 * needs no socket. */
static void a_check_of_the_database_has_no_sockets(void **state)
{
	int (*const fns[])(void) = { do_socket,  do_socketpair, do_connect, do_send,
				     do_receive, do_execve,     do_fork };

	(void)state;
	kind = SANDBOX_FILES;
	for (size_t i = 0; i < sizeof(fns) / sizeof(fns[0]); i++)
		if (locked(fns[i]) != KILLED)
			fail_msg("%zu: %d", i, locked(fns[i]));
	assert_int_equal(locked(files_alone), PASSED);
	kind = SANDBOX_SERVICE;
	for (size_t i = 0; i < 5; i++)
		assert_int_not_equal(locked(fns[i]), KILLED);
}

static void it_leaves_no_core(void **state)
{
	(void)state;
	assert_int_equal(locked(no_dumps), PASSED);
}

static int as_uid(uid_t uid)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
			_exit(99);
		_exit(sandbox_check_identity() == 0 ? PASSED : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void root_is_refused(void **state)
{
	(void)state;
	if (getuid() != 0) {
		assert_int_equal(sandbox_check_identity(), 0);
		print_message("SKIP: not root, so nothing to refuse\n");
		skip();
	}
	assert_int_equal(sandbox_check_identity(), -1);
	assert_int_equal(as_uid(54321), PASSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_that_it_never_needs_kills_it),
		cmocka_unit_test(no_file_gets_a_special_mode),
		cmocka_unit_test(ordinary_modes_pass),
		cmocka_unit_test(foreign_files_are_out_of_reach),
		cmocka_unit_test(landlock_is_required),
		cmocka_unit_test(its_ordinary_calls_are_allowed),
		cmocka_unit_test(a_check_of_the_database_has_no_sockets),
		cmocka_unit_test(it_leaves_no_core),
		cmocka_unit_test(root_is_refused),
	};

	return cmocka_run_group_tests_name("ctl_sandbox", tests, setup, teardown);
}
