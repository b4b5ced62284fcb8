/* Tests the filters of the spawn role, of its launcher and of the VMMs in a child that loads them:
 * which calls pass, which fail, and which end the child. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "privhelper/spawn/filter.c"
#include "privhelper/spawn/policy.c"

#define BASE 0x40000u /* 262144: a multiple of 1024 */

/* libseccomp forgets a rule that a wider one of the same call makes needless. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libseccomp";
}

enum end { PASSED, TOLD, KILLED, BROKEN };

#define FOLDER 40 /* that a peer has sent */
#define LAUNCHER 42

static struct sock_fprog vmm, firecracker, firecracker_landlock, probe, launcher,
	role; /* vmm: QEMU */
static const struct sock_fprog *const all[] = { &launcher, &vmm, &firecracker,
						&firecracker_landlock, &probe };

static int setup(void **unused)
{
	static const struct config c = { .slots = 600, .uid_base = BASE };
	static struct sock_filter code[2][FILTER_MAX], copy[FILTER_MAX];
	/* exit_group, which every role may call, ends attempt(). */
	static const struct rule end[] = { { SCMP_SYS(exit_group), 0, ANY, "test" }, { 0 } };
	const struct policy own = { .process = "role", .lists = { end, of_role } };
	const struct binding fds[] = { [SPAWN_LAUNCHER] = policy_fd(LAUNCHER) };
	struct binding bound[LAUNCHER_VARS] = { [0] = { 0 } };

	(void)unused;
	if (spawn_filter_bind(&c, bound) < 0)
		return -1;
	scmp_filter_ctx ctx = policy_filter(&policy_launcher, bound);
	if (!ctx || export(ctx, code[0], &launcher) < 0)
		return -1;
	seccomp_release(ctx);
	ctx = policy_filter(&own, fds);
	if (!ctx || export(ctx, code[1], &role) < 0)
		return -1;
	seccomp_release(ctx);
	if (spawn_filter_vmm(VMM_FIRECRACKER, true, &firecracker_landlock) < 0)
		return -1;
	/* There is one buffer for a kind: what it has moves out of it. */
	memcpy(copy, firecracker_landlock.filter, firecracker_landlock.len * sizeof(copy[0]));
	firecracker_landlock.filter = copy;
	return spawn_filter_vmm(VMM_QEMU, false, &vmm) |
	       spawn_filter_vmm(VMM_FIRECRACKER, false, &firecracker) |
	       spawn_filter_vmm(VMM_PROBE, false, &probe);
}

/* Make one system call under a filter.  Return: the child's status of waitpid(2); its exit status
 * is the call's errno. */
static int attempt_status(const struct sock_fprog *f, long nr, long a, long b, long c)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, f) < 0)
			syscall(SYS_exit_group, 255);
		long r = syscall(nr, a, b, c, 0, 0, 0);
		syscall(SYS_exit_group, r < 0 ? errno : 0);
	}
	return pid < 0 || waitpid(pid, &status, 0) != pid ? -1 : status;
}

/* Make one call in a child.  Return: its errno, 0 if it succeeded, or -1 if it ended the child. */
static int attempt_errno(const struct sock_fprog *f, long nr, long a, long b, long c)
{
	int status = attempt_status(f, nr, a, b, c);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Bad descriptors and pointers make the calls that pass harmless. */
static enum end attempt(const struct sock_fprog *f, long nr, long a, long b, long c)
{
	int status = attempt_status(f, nr, a, b, c);

	if (status == -1)
		return BROKEN;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? KILLED : BROKEN;
	return WEXITSTATUS(status) == 255 ? BROKEN : WEXITSTATUS(status) == ENOSYS ? TOLD : PASSED;
}

static void test_never_in_either(void **unused)
{
	static const long never[] = {
		SYS_mount,
		SYS_umount2,
		SYS_pivot_root,
		SYS_chroot,
		SYS_open_tree,
		SYS_move_mount,
		SYS_fsopen,
		SYS_fsmount,
		SYS_mount_setattr,
		SYS_unshare,
		SYS_setns,
		SYS_ptrace,
		SYS_process_vm_readv,
		SYS_process_vm_writev,
		SYS_bpf,
		SYS_kexec_load,
		SYS_kexec_file_load,
		SYS_init_module,
		SYS_finit_module,
		SYS_delete_module,
		SYS_keyctl,
		SYS_add_key,
		SYS_request_key,
		SYS_perf_event_open,
		SYS_open_by_handle_at,
		SYS_name_to_handle_at,
		SYS_pidfd_getfd,
		SYS_pidfd_send_signal,
		SYS_kill,
		SYS_setuid,
		SYS_setgid,
		SYS_setreuid,
		SYS_setregid,
		SYS_setgroups,
		SYS_setfsuid,
		SYS_fork,
		SYS_vfork,
		SYS_execveat,
		SYS_mknod,
		SYS_mknodat,
		SYS_link,
		SYS_linkat,
		SYS_symlink,
		SYS_chmod,
		SYS_fchmod,
		SYS_chown,
		SYS_fchown,
		SYS_fchownat,
		SYS_setsid,
		SYS_reboot,
		SYS_io_uring_enter,
		SYS_iopl,
		SYS_ioperm,
		SYS_quotactl,
		SYS_personality,
		SYS_acct,
		SYS_swapon,
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		if (attempt(&launcher, never[i], -1, -1, -1) != KILLED)
			fail_msg("the launcher may call %ld", never[i]);
		if (attempt(&vmm, never[i], -1, -1, -1) != KILLED ||
		    attempt(&firecracker, never[i], -1, -1, -1) != KILLED)
			fail_msg("a VMM may call %ld", never[i]);
	}
}

static void test_ids_are_the_slots(void **unused)
{
	static const struct {
		uint64_t id[3];
		enum end want;
	} t[] = {
		{ { BASE, BASE, BASE }, PASSED },
		{ { BASE + 1023, BASE, BASE }, PASSED },
		{ { 0, 0, 0 }, KILLED },
		{ { BASE - 1, BASE, BASE }, KILLED },
		{ { BASE, BASE + 1024, BASE }, KILLED },
		{ { BASE, BASE, 0 }, KILLED },
		{ { UINT64_MAX, UINT64_MAX, BASE }, KILLED },
		{ { UINT32_MAX, BASE, BASE }, KILLED },
		{ { BASE | 1ull << 32, BASE, BASE }, KILLED },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		long a = (long)t[i].id[0], b = (long)t[i].id[1], c = (long)t[i].id[2];

		assert_int_equal(attempt(&launcher, SYS_setresuid, a, b, c), t[i].want);
		assert_int_equal(attempt(&launcher, SYS_setresgid, a, b, c), t[i].want);
		assert_int_equal(attempt(&vmm, SYS_setresuid, a, b, c), KILLED);
		assert_int_equal(attempt(&vmm, SYS_setresgid, a, b, c), KILLED);
	}
}

static void test_a_base_off_its_multiple_is_refused(void **unused)
{
	struct binding bound[LAUNCHER_VARS];

	(void)unused;
	assert_int_equal(spawn_filter_bind(&(const struct config){ .slots = 600,
								   .uid_base = BASE + 512 },
					   bound),
			 -1);
	assert_int_equal(spawn_filter_bind(&(const struct config){ .slots = 600 }, bound), -1);
}

static void test_threads_not_processes(void **unused)
{
	(void)unused;
	assert_int_equal(attempt(&vmm, SYS_clone, SIGCHLD, 0, 0), KILLED);
	assert_int_equal(attempt(&launcher, SYS_clone, SIGCHLD, 0, 0), KILLED);
	assert_int_equal(attempt(&vmm, SYS_clone, CLONE_THREAD, 0, 0),
			 PASSED); /* EINVAL without CLONE_SIGHAND */
	assert_int_equal(attempt(&vmm, SYS_clone3, 0, 0, 0), TOLD);
	assert_int_equal(attempt(&launcher, SYS_clone3, 0, 0, 0), PASSED);
}

static void test_sockets_are_unix(void **unused)
{
	(void)unused;
	assert_int_equal(attempt(&firecracker, SYS_socket, AF_UNIX, SOCK_STREAM, 0), PASSED);
	for (long family = 0; family < 48; family++)
		if (family != AF_UNIX) {
			assert_int_equal(attempt(&firecracker, SYS_socket, family, SOCK_STREAM, 0),
					 KILLED);
			assert_int_equal(attempt(&launcher, SYS_socket, family, SOCK_STREAM, 0),
					 KILLED);
		}
}

/* Abstract names of the host's network namespace have no mode: no call may send to an address of
 * its choice. */
static void test_sockets_reach_no_other_process(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		enum end want = all[i] == &probe ? KILLED : TOLD;
		assert_int_equal(attempt(all[i], SYS_connect, -1, 0, 0), want);
		assert_int_equal(attempt(all[i], SYS_socketpair, AF_UNIX, SOCK_STREAM, 0), want);
	}
	assert_int_equal(attempt(&firecracker, SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
			 PASSED);
	assert_int_equal(attempt(&firecracker, SYS_socket, AF_UNIX, SOCK_DGRAM, 0), KILLED);
	assert_int_equal(attempt(&firecracker, SYS_socket, AF_UNIX, SOCK_RAW, 0),
			 KILLED); /* a datagram socket, in AF_UNIX */
	assert_int_equal(attempt(&firecracker, SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0),
			 KILLED);
}

/* QEMU with both filters calls if_nametoindex(3); it continues without an index. */
static void test_a_look_for_an_interface_is_survived(void **unused)
{
	static const long families[] = { AF_UNIX, AF_INET, AF_INET6 };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		assert_int_equal(attempt(&vmm, SYS_socket, families[i], SOCK_DGRAM | SOCK_CLOEXEC,
					 0),
				 TOLD);
		assert_int_equal(attempt(&launcher, SYS_socket, families[i],
					 SOCK_DGRAM | SOCK_CLOEXEC, 0),
				 TOLD);
		assert_int_equal(attempt(&launcher, SYS_socket, families[i], SOCK_DGRAM, 0),
				 KILLED);
		assert_int_equal(attempt(&firecracker, SYS_socket, families[i],
					 SOCK_DGRAM | SOCK_CLOEXEC, 0),
				 KILLED);
	}
}

/* A VMM can send a descriptor only by sendmsg(2), and needs a socket of its own for an abstract
 * name: no VMM has both. */
static void test_descriptors_reach_no_other_process(void **unused)
{
	(void)unused;
	assert_int_equal(attempt(&vmm, SYS_socket, AF_UNIX, SOCK_STREAM, 0), TOLD);
	assert_int_equal(attempt(&vmm, SYS_bind, -1, 0, 0), TOLD);
	assert_int_equal(attempt(&vmm, SYS_sendmsg, -1, 0, 0), PASSED);
	assert_int_equal(attempt(&probe, SYS_socket, AF_UNIX, SOCK_STREAM, 0), TOLD);
	assert_int_equal(attempt(&probe, SYS_sendmsg, -1, 0, 0), TOLD);
	assert_int_equal(attempt(&firecracker, SYS_bind, -1, 0, 0), PASSED);
	assert_int_equal(attempt(&firecracker, SYS_sendmsg, -1, 0, 0), TOLD);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		assert_int_equal(attempt(all[i], SYS_sendmmsg, -1, 0, 0), KILLED);
}

/* This also holds without Landlock: in its folders a VMM makes nothing that outlives it, except
 * sockets. */
static void test_no_files_are_made(void **unused)
{
	static const long making[] = {
		O_CREAT,
		O_CREAT | O_EXCL | O_RDWR,
		O_TMPFILE | O_RDWR,
		O_TMPFILE | O_RDWR | O_CREAT,
		O_TMPFILE | O_RDWR | O_NONBLOCK,
		O_TMPFILE | O_RDWR | O_CREAT | O_NONBLOCK,
	};
	const long sink = O_RDWR | O_CREAT | O_NONBLOCK |
			  O_CLOEXEC; /* as Firecracker opens its log */
	char path[] = "/tmp/banger-filter-XXXXXX";
	int fd = mkstemp(path);

	(void)unused;
	assert_true(fd >= 0);
	(void)close(fd);
	for (size_t i = 1; i < ARRAY_SIZE(all); i++) {
		const struct sock_fprog *f = all[i];
		assert_int_equal(attempt_errno(f, SYS_openat, AT_FDCWD, (long)path, O_RDWR), 0);
		assert_int_equal(attempt_errno(f, SYS_openat, AT_FDCWD, (long)"/tmp",
					       O_RDONLY | O_DIRECTORY),
				 0);
		for (size_t j = 0; j < ARRAY_SIZE(making); j++) {
			bool folder = (making[j] & O_TMPFILE) == O_TMPFILE;
			assert_int_equal(attempt_errno(f, SYS_openat, AT_FDCWD,
						       (long)(folder ? "/tmp" : path), making[j]),
					 EACCES);
		}
	}
	assert_int_equal(attempt_errno(&vmm, SYS_openat, AT_FDCWD, (long)path, sink), EACCES);
	assert_int_equal(attempt(&probe, SYS_openat, AT_FDCWD, (long)path, sink), KILLED);
	assert_int_equal(attempt_errno(&firecracker, SYS_openat, AT_FDCWD, (long)path, sink),
			 EACCES);
	assert_int_equal(attempt_errno(&firecracker_landlock, SYS_openat, AT_FDCWD, (long)path,
				       sink),
			 0);
	(void)unlink(path);
	assert_int_equal(attempt(&vmm, SYS_mkdir, -1, 0, 0), KILLED);
	assert_int_equal(attempt(&vmm, SYS_mkdirat, -1, 0, 0), KILLED);
	assert_int_equal(attempt(&vmm, SYS_rename, -1, 0, 0), KILLED);
	assert_int_equal(attempt(&vmm, SYS_creat, -1, 0, 0), KILLED);
}

/* Firecracker's release is linked with musl, which calls open(2); the others do not. */
static void test_no_files_are_made_by_open(void **unused)
{
	static const long making[] = { O_CREAT, O_CREAT | O_EXCL | O_RDWR,
				       O_TMPFILE | O_RDWR | O_CREAT | O_NONBLOCK };
	const long sink = O_RDWR | O_CREAT | O_NONBLOCK;
	const char *path = "/tmp";

	(void)unused;
	assert_int_equal(attempt(&vmm, SYS_open, (long)path, O_RDONLY, 0), KILLED);
	assert_int_equal(attempt(&probe, SYS_open, (long)path, O_RDONLY, 0), KILLED);
	for (size_t i = 2; i < 4; i++) {
		assert_int_equal(attempt_errno(all[i], SYS_open, (long)path, O_RDONLY, 0), 0);
		for (size_t j = 0; j < ARRAY_SIZE(making); j++)
			assert_int_equal(attempt_errno(all[i], SYS_open, (long)path, making[j],
						       0600),
					 EACCES);
	}
	assert_int_equal(attempt_errno(&firecracker, SYS_open, (long)path, sink, 0600), EACCES);
	assert_int_equal(attempt_errno(&firecracker_landlock, SYS_open, (long)path, sink, 0600),
			 EISDIR);
}

/* A VMM may use its tap.  Only the net role may change its owner or persistence. */
static void test_taps_are_used_not_given_away(void **unused)
{
	static const unsigned use[] = { TUNSETIFF, TUNGETFEATURES, TUNSETOFFLOAD, TUNSETVNETHDRSZ,
					TCGETS };
	static const unsigned change[] = {
		TUNSETOWNER,   TUNSETGROUP,     TUNSETPERSIST, TUNSETLINK,    TUNSETTXFILTER,
		TUNSETQUEUE,   TUNATTACHFILTER, TUNSETIFINDEX, TUNSETCARRIER, TUNSETSTEERINGEBPF,
		SIOCSIFHWADDR, TIOCSTI,         TIOCLINUX,
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(use); i++) {
		assert_int_equal(attempt(&vmm, SYS_ioctl, -1, use[i], 0), PASSED);
		assert_int_equal(attempt(&vmm, SYS_ioctl, -1, (int)use[i], 0),
				 PASSED); /* as musl passes it */
	}
	for (size_t i = 0; i < ARRAY_SIZE(change); i++)
		if (attempt(&vmm, SYS_ioctl, -1, change[i], 0) != KILLED ||
		    attempt(&vmm, SYS_ioctl, -1, (int)change[i], 0) != KILLED)
			fail_msg("a VMM may call ioctl 0x%x", change[i]);
}

static void test_arguments(void **unused)
{
	(void)unused;
	assert_int_equal(attempt(&vmm, SYS_ioctl, -1, 0xae80, 0), PASSED); /* KVM_RUN */
	assert_int_equal(attempt(&vmm, SYS_ioctl, -1, 0x8914, 0), KILLED); /* SIOCSIFFLAGS */
	assert_int_equal(attempt(&vmm, SYS_ioctl, -1, 0x2285, 0), KILLED); /* SG_IO */
	assert_int_equal(attempt(&vmm, SYS_ioctl, -1, (long)0xc138fd00, 0),
			 KILLED); /* DM_VERSION */
	assert_int_equal(attempt(&vmm, SYS_fcntl, -1, F_SETFL, 0), PASSED);
	assert_int_equal(attempt(&vmm, SYS_fcntl, -1, F_SETPIPE_SZ, 1 << 20), KILLED);
	assert_int_equal(attempt(&vmm, SYS_prctl, PR_SET_NAME, 0, 0), PASSED);
	assert_int_equal(attempt(&vmm, SYS_prctl, PR_SET_SECUREBITS, 0, 0), KILLED);
	assert_int_equal(attempt(&vmm, SYS_prctl, PR_CAP_AMBIENT, 2, 0), KILLED);
	assert_int_equal(attempt(&vmm, SYS_prlimit64, 0, 7, 0), PASSED);
	assert_int_equal(attempt(&vmm, SYS_prlimit64, 0, 7, 1), KILLED);
	assert_int_equal(attempt(&vmm, SYS_capset, 0, 0, 0), KILLED);
	assert_int_equal(attempt(&vmm, SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, 0), PASSED);
	assert_int_equal(attempt(&vmm, SYS_io_uring_setup, 8, 0, 0), TOLD);
	assert_int_equal(attempt(&vmm, SYS_userfaultfd, 0, 0, 0), TOLD);
	/* the x32 way in */
	assert_int_equal(attempt(&vmm, SYS_read | 0x40000000, -1, 0, 0), KILLED);
}

/* The role opens files only in cgroups and in a procfs: not in a folder that a peer sent, and it
 * makes no files. */
static void test_the_role_opens_what_is_its_own(void **unused)
{
	const long file = O_CLOEXEC | O_NOFOLLOW;

	(void)unused;
	assert_int_equal(attempt(&role, SYS_openat, AT_FDCWD, 0, O_RDONLY | file), PASSED);
	assert_int_equal(attempt(&role, SYS_openat, AT_FDCWD, 0, O_WRONLY | file), PASSED);
	assert_int_equal(attempt(&role, SYS_openat, AT_FDCWD, 0, O_RDWR | file), KILLED);
	assert_int_equal(attempt(&role, SYS_openat, AT_FDCWD, 0, O_RDONLY | O_CLOEXEC), KILLED);
	assert_int_equal(attempt(&role, SYS_openat, AT_FDCWD, 0, O_WRONLY | O_CREAT | file),
			 KILLED);
	assert_int_equal(attempt(&role, SYS_openat, AT_FDCWD, 0, O_WRONLY | O_TRUNC | file),
			 KILLED);
	assert_int_equal(attempt(&role, SYS_mkdirat, AT_FDCWD, 0, 0), PASSED);
	assert_int_equal(attempt(&role, SYS_unlinkat, AT_FDCWD, 0, AT_REMOVEDIR), PASSED);
	for (long fd = 0; fd < FOLDER; fd++) {
		assert_int_equal(attempt(&role, SYS_openat, fd, 0, O_RDONLY | file), KILLED);
		assert_int_equal(attempt(&role, SYS_mkdirat, fd, 0, 0), KILLED);
		assert_int_equal(attempt(&role, SYS_unlinkat, fd, 0, AT_REMOVEDIR), KILLED);
	}
	assert_int_equal(attempt(&role, SYS_fchdir, FOLDER, 0, 0), KILLED);
	assert_int_equal(attempt(&role, SYS_chdir, 0, 0, 0), KILLED);
	assert_int_equal(attempt(&role, SYS_fcntl, -1, F_GETFL, 0), PASSED);
	assert_int_equal(attempt(&role, SYS_fcntl, -1, F_SETFL, 0),
			 KILLED); /* its log would lose O_APPEND */
	assert_int_equal(attempt(&role, SYS_sendmsg, LAUNCHER, 0, 0), PASSED);
	assert_int_equal(attempt(&role, SYS_sendmsg, FOLDER, 0, 0), KILLED);
}

static void test_pipes_are_not_enlarged(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		for (int bit = 32; bit < 64; bit++) {
			long command = F_SETPIPE_SZ | (long)(1ull << bit);
			assert_int_equal(attempt(all[i], SYS_fcntl, -1, command, 1 << 20), KILLED);
		}
}

/* RLIMIT_FSIZE is a disk's bound, and these calls take blocks of the file system without asking for
 * it. */
static void test_no_blocks_beyond_the_limit(void **unused)
{
	static const long good[] = { 0, FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };
	static const long taking[] = {
		FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_INSERT_RANGE,
		FALLOC_FL_UNSHARE_RANGE,
		FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_COLLAPSE_RANGE,
		WRITE_ZEROES,
		WRITE_ZEROES | FALLOC_FL_KEEP_SIZE,
	};
	/* FS_IOC_ALLOCSP, _RESVSP, _ZERO_RANGE and their 64-bit forms have these numbers. */
	static const unsigned reserving[] = { 10, 36, 40, 42, 57 };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(attempt_errno(&vmm, SYS_fallocate, -1, good[i], 0), EBADF);
	for (size_t i = 0; i < ARRAY_SIZE(taking); i++)
		assert_int_equal(attempt_errno(&vmm, SYS_fallocate, -1, taking[i], 0), EOPNOTSUPP);
	assert_int_equal(attempt(&vmm, SYS_ioctl, -1, DIOINFO, 0), PASSED);
	for (size_t f = 1; f < ARRAY_SIZE(all); f++)
		for (size_t i = 0; i < ARRAY_SIZE(reserving); i++)
			assert_int_equal(attempt(all[f], SYS_ioctl, -1,
						 _IOC(_IOC_WRITE, 'X', reserving[i], 48), 0),
					 KILLED);
	for (size_t f = 2; f < ARRAY_SIZE(all); f++)
		assert_int_equal(attempt(all[f], SYS_fallocate, -1, 0, 0), KILLED);
}

/* A call that no program of a kind makes is not in its filter, whatever the others have. */
static void test_a_kind_has_its_own_calls(void **unused)
{
	static const long not_qemu[] = { SYS_open,       SYS_stat,   SYS_ftruncate, SYS_fsync,
					 SYS_getdents64, SYS_tkill,  SYS_sendto,    SYS_epoll_ctl,
					 SYS_getcwd,     SYS_getuid, SYS_umask,     SYS_dup2 };
	static const long not_probe[] = { SYS_lseek, SYS_futex,  SYS_clone,  SYS_eventfd2,
					  SYS_poll,  SYS_writev, SYS_unlink, SYS_accept4 };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(not_qemu); i++)
		if (attempt(&vmm, not_qemu[i], -1, 0, 0) != KILLED)
			fail_msg("QEMU may call %ld", not_qemu[i]);
	for (size_t i = 0; i < ARRAY_SIZE(not_probe); i++)
		if (attempt(&probe, not_probe[i], -1, 0, 0) != KILLED)
			fail_msg("the probe may call %ld", not_probe[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_in_either),
		cmocka_unit_test(test_ids_are_the_slots),
		cmocka_unit_test(test_a_base_off_its_multiple_is_refused),
		cmocka_unit_test(test_threads_not_processes),
		cmocka_unit_test(test_sockets_are_unix),
		cmocka_unit_test(test_sockets_reach_no_other_process),
		cmocka_unit_test(test_a_look_for_an_interface_is_survived),
		cmocka_unit_test(test_descriptors_reach_no_other_process),
		cmocka_unit_test(test_no_files_are_made),
		cmocka_unit_test(test_no_files_are_made_by_open),
		cmocka_unit_test(test_taps_are_used_not_given_away),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_the_role_opens_what_is_its_own),
		cmocka_unit_test(test_pipes_are_not_enlarged),
		cmocka_unit_test(test_no_blocks_beyond_the_limit),
		cmocka_unit_test(test_a_kind_has_its_own_calls),
	};

	return cmocka_run_group_tests_name("spawn filter", tests, setup, NULL);
}
