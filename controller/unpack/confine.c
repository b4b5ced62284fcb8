/* confine.c - what banger-unpack may do once it looks at its input.
 *
 * libarchive and libext2fs run on bytes of strangers with the rights of the user who imports them.
 * So the program keeps what it was given open, and memory. */
#include "controller/unpack/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/landlock.h"
#include "common/policy_print.h"

#define MEMORY_MOST (1ull << 30) /* the tree of 4,000,000 entries, and a window of zstd or xz */
#define CPU_MOST 3600            /* seconds */

/* The flags of open(2) with which it changes files.  O_TRUNC needs no descriptor that can write,
 * and Landlock judges it only from its third version on (landlock(7)). */
#define CHANGES (O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))
#define MEMORY "memory of the C library"
#define BYTES "input and image"

enum variable { FOLDER = 1, SELF, VARIABLES };

/* clang-format off */
static const struct rule rules[] = {
	{ SCMP_SYS(brk), 0, ANY, MEMORY },
	{ SCMP_SYS(munmap), 0, ANY, MEMORY },
	{ SCMP_SYS(mremap), 0, ANY, MEMORY },
	{ SCMP_SYS(mmap), 0, { MASKED(2, PROT_EXEC, 0) }, MEMORY },
	{ SCMP_SYS(futex), 0, ANY, "locks of the C library" },
	{ SCMP_SYS(read), 0, ANY, BYTES },
	{ SCMP_SYS(write), 0, ANY, BYTES },
	{ SCMP_SYS(pread64), 0, ANY, BYTES },
	{ SCMP_SYS(pwrite64), 0, ANY, BYTES },
	{ SCMP_SYS(lseek), 0, ANY, BYTES },
	{ SCMP_SYS(close), 0, ANY, BYTES },
	{ SCMP_SYS(fstat), 0, ANY, BYTES },
	{ SCMP_SYS(fsync), 0, ANY, BYTES },
	{ SCMP_SYS(fallocate), 0, ANY, BYTES },
	{ SCMP_SYS(ftruncate), 0, ANY, BYTES },
	{ SCMP_SYS(newfstatat), EACCES, { MASKED(3, AT_EMPTY_PATH, 0) },
	  "the C library looks for tables" },
	{ SCMP_SYS(newfstatat), 0, { MASKED(3, AT_EMPTY_PATH, AT_EMPTY_PATH) }, "fstat(3)" },
	{ SCMP_SYS(openat), EACCES, { IS(0, AT_FDCWD) }, "the C library looks for tables" },
	{ SCMP_SYS(openat), 0,
	  { BOUND(0, FOLDER), MASKED(2, O_ACCMODE | CHANGES | O_DIRECTORY, 0) },
	  "files of a folder that is the input; Landlock decides which" },
	{ SCMP_SYS(ioctl), ENOTTY, ANY, "is it a terminal, or a disk?" },
	{ SCMP_SYS(fcntl), 0, { IS(1, F_DUPFD_CLOEXEC) }, "a descriptor for libext2fs to close" },
	{ SCMP_SYS(fcntl), 0, { IS(1, F_GETFD) }, "libext2fs: is the descriptor open?" },
	{ SCMP_SYS(fcntl), 0, { IS(1, F_GETFL) }, "libext2fs: may it be written to?" },
	{ SCMP_SYS(uname), 0, ANY, "libext2fs: is the kernel older than 2.6?" },
	{ SCMP_SYS(writev), 0, { IS(0, 2) }, "the C library says why it aborts" },
	{ SCMP_SYS(getuid), 0, ANY, "libext2fs: may it look at the environment?" },
	{ SCMP_SYS(geteuid), 0, ANY, "libext2fs: may it look at the environment?" },
	{ SCMP_SYS(getgid), 0, ANY, "libext2fs: may it look at the environment?" },
	{ SCMP_SYS(getegid), 0, ANY, "libext2fs: may it look at the environment?" },
	{ SCMP_SYS(prctl), 0, { IS(0, PR_GET_DUMPABLE) },
	  "libext2fs: may it look at the environment?" },
	{ SCMP_SYS(clock_gettime), 0, ANY, "times, which the image does not get" },
	{ SCMP_SYS(gettimeofday), 0, ANY, "times, which the image does not get" },
	{ SCMP_SYS(getpid), 0, ANY, "abort(3)" },
	{ SCMP_SYS(gettid), 0, ANY, "abort(3)" },
	{ SCMP_SYS(tgkill), 0, { BOUND(0, SELF) }, "abort(3)" },
	{ SCMP_SYS(rt_sigprocmask), 0, ANY, "abort(3)" },
	{ SCMP_SYS(rt_sigaction), 0, ANY, "abort(3)" },
	{ SCMP_SYS(exit_group), 0, ANY, "its end" },
#ifdef BANGER_SANITIZED
	{ SCMP_SYS(mmap), 0, ANY, "the sanitizers" },
	{ SCMP_SYS(mprotect), 0, ANY, "the sanitizers" },
	{ SCMP_SYS(madvise), 0, ANY, "the sanitizers" },
	{ SCMP_SYS(sigaltstack), 0, ANY, "the sanitizers" },
	{ SCMP_SYS(sched_yield), 0, ANY, "the sanitizers" },
	{ SCMP_SYS(prlimit64), 0, ANY, "the sanitizers" },
	{ SCMP_SYS(readlink), EACCES, ANY, "the sanitizers" },
#endif
	{ 0 },
};
/* clang-format on */

#ifdef BANGER_SANITIZED
/* The leak check at exit would need ptrace, and is turned off. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return 1;
}
#endif

static const struct policy policy = {
	.process = "banger-unpack",
	.account = "the user's",
	.namespaces = "",
	.files = "its input and the image",
	.lists = { rules },
	.vars = { [FOLDER] = "the input, if it is a folder", [SELF] = "its own process" },
};

void confine_print(void)
{
	printf("%s\n", policy.process);
	policy_print_calls(&policy);
}

static int limit(int what, uint64_t most)
{
	struct rlimit have;

	if (getrlimit(what, &have) < 0)
		return -1;
	const rlim_t now = most < have.rlim_max ? most : have.rlim_max;
	const struct rlimit want = { now, now };
	return setrlimit(what, &want);
}

static int limit_all(uint64_t file_max)
{
#ifndef BANGER_SANITIZED /* whose shadow is larger */
	if (limit(RLIMIT_AS, MEMORY_MOST) < 0)
		return -1;
#endif
	return limit(RLIMIT_CPU, CPU_MOST) < 0 || limit(RLIMIT_FSIZE, file_max) < 0 ||
			       limit(RLIMIT_CORE, 0) < 0
		       ? -1
		       : 0;
}

/* Files: those below @folder, to read.  The seccomp filter alone bounds what is done with files,
 * but not which: without Landlock, "../" would lead out of a @folder, so there must be none. */
static int confine_files(int folder)
{
	const struct landlock_ruleset_attr attr = { .handled_access_fs = (1ull << 13) - 1 };
	struct landlock_path_beneath_attr rule = { .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
						   .parent_fd = folder };

	if (!landlock_abi()) {
		errno = EOPNOTSUPP;
		return folder < 0 ? 0 : -1;
	}
	_cleanup_close_ int set = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr),
					       0u);
	if (set < 0)
		return -1;
	if (folder >= 0 &&
	    syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0u) < 0)
		return -1;
	return (int)syscall(SYS_landlock_restrict_self, set, 0u);
}

int confine(int folder, uint64_t file_max)
{
	const struct binding bound[VARIABLES] = {
		[FOLDER] = policy_fd(folder),
		[SELF] = { UINT32_MAX, (uint32_t)getpid() },
	};

	if (limit_all(file_max) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || confine_files(folder) < 0)
		return -1;
	scmp_filter_ctx f = policy_filter(&policy, bound);
	if (!f)
		return -1;
	int r = seccomp_load(f);
	seccomp_release(f);
	errno = -r;
	return r ? -1 : 0;
}
