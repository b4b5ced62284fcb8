/* sandbox_policy.c - what the controller may do after sandbox_enter(). */
#include "controller/sandbox_policy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/failpoint.h"

/* clang-format off */

/* Set-user-id, set-group-id and sticky bits, which no file may get.  Landlock does not restrict
 * modes.  A set-user-id program in state_dir would give any local user the controller's account. */
#define SPECIAL 07000u
/* open(2) uses its mode argument only with one of these flags.  Without them the register has an
 * arbitrary value. */
#define CREATES (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))
#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define NEW_WORLD (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
		   CLONE_NEWPID | CLONE_NEWNET | CLONE_PIDFD | CLONE_VFORK)
/* Unix streams: daemons with datagram sockets (syslog, the journal, the service manager) can not be
 * reached. */
#define STREAM MASKED(1, UINT32_MAX & ~(unsigned)(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_STREAM)

#define MEMORY "memory of the C library"
#define THREADS "threads of the pool, and their locks"
#define SIGNALS "signals, which threads block"
#define ITSELF "the C library and SQLite ask for its own ids"
#define TIME "time-outs, deadlines, file times"
#define WAITS "the epoll loop, waits for the roles and monitors"
#define BYTES "files, pipes of consoles, sockets"
#define FDS "descriptors that it got and opened"
#define LOOKS "looks at files below its folders"
#define FILES "images, disks, slots, consoles, the database"
#define DURABLE "the database and disks are on disk before they are relied on"
#define NO_SPECIAL "modes without a special bit"
#define SOCKETS "the control socket, the roles, the monitors"

/* Of both: SQLite, and looks at files. */
static const struct rule rules[] = {
	{ SCMP_SYS(brk), 0, ANY, MEMORY },
	{ SCMP_SYS(munmap), 0, ANY, MEMORY },
	{ SCMP_SYS(mremap), 0, ANY, MEMORY },
	{ SCMP_SYS(mmap), 0, { MASKED(2, PROT_EXEC, 0) }, MEMORY },
	{ SCMP_SYS(futex), 0, ANY, THREADS },
	{ SCMP_SYS(exit_group), 0, ANY, THREADS },
	{ SCMP_SYS(getpid), 0, ANY, ITSELF },
	{ SCMP_SYS(geteuid), 0, ANY, ITSELF },
	{ SCMP_SYS(sysinfo), 0, ANY, ITSELF },
	{ SCMP_SYS(clock_gettime), 0, ANY, TIME },
	{ SCMP_SYS(clock_nanosleep), 0, ANY, TIME },
	{ SCMP_SYS(gettimeofday), 0, ANY, TIME },
	{ SCMP_SYS(restart_syscall), 0, ANY, WAITS },
	{ SCMP_SYS(read), 0, ANY, BYTES },
	{ SCMP_SYS(write), 0, ANY, BYTES },
	{ SCMP_SYS(pread64), 0, ANY, BYTES },
	{ SCMP_SYS(pwrite64), 0, ANY, BYTES },
	{ SCMP_SYS(lseek), 0, ANY, BYTES },
	{ SCMP_SYS(close), 0, ANY, FDS },
	{ SCMP_SYS(fcntl), 0, ANY, "locks of SQLite, flags of descriptors" },
	{ SCMP_SYS(ioctl), 0, { IS(1, TCGETS) }, "is its log a terminal?" },
	{ SCMP_SYS(fstat), 0, ANY, LOOKS },
	{ SCMP_SYS(newfstatat), 0, ANY, LOOKS },
	{ SCMP_SYS(statfs), 0, ANY, LOOKS },
	{ SCMP_SYS(access), 0, ANY, LOOKS },
	{ SCMP_SYS(faccessat2), 0, ANY, LOOKS },
	{ SCMP_SYS(readlink), 0, ANY, LOOKS },
	{ SCMP_SYS(getdents64), 0, ANY, LOOKS },
	{ SCMP_SYS(openat), 0, { MASKED(2, CREATES, 0) },
	  "files that exist; Landlock decides which" },
	{ SCMP_SYS(openat), 0, { MASKED(3, SPECIAL, 0) }, NO_SPECIAL },
	{ SCMP_SYS(fchmod), 0, { MASKED(1, SPECIAL, 0) }, NO_SPECIAL },
	{ SCMP_SYS(unlink), 0, ANY, FILES },
	{ SCMP_SYS(ftruncate), 0, ANY, "sizes of disks and of the database" },
	{ SCMP_SYS(fsync), 0, ANY, DURABLE },
	{ SCMP_SYS(fdatasync), 0, ANY, DURABLE },
	{ 0 },
};

/* SANDBOX_SERVICE only: threads, images, disks. */
static const struct rule service[] = {
	{ SCMP_SYS(madvise), 0, ANY, MEMORY },
	{ SCMP_SYS(mprotect), 0, { MASKED(2, PROT_EXEC, 0) }, MEMORY },
	{ SCMP_SYS(rseq), 0, ANY, THREADS },
	{ SCMP_SYS(set_robust_list), 0, ANY, THREADS },
	{ SCMP_SYS(sched_yield), 0, ANY, THREADS },
	{ SCMP_SYS(sched_getaffinity), 0, ANY, THREADS },
	{ SCMP_SYS(exit), 0, ANY, THREADS },
	{ SCMP_SYS(clone), 0, { MASKED(0, THREAD | NEW_WORLD, THREAD) },
	  "starts threads, and no process" },
	{ SCMP_SYS(clone3), ENOSYS, ANY,
	  "its flags are behind a pointer; the C library then calls clone" },
	{ SCMP_SYS(rt_sigaction), 0, ANY, SIGNALS },
	{ SCMP_SYS(rt_sigprocmask), 0, ANY, SIGNALS },
	{ SCMP_SYS(rt_sigreturn), 0, ANY, SIGNALS },
	{ SCMP_SYS(tgkill), 0, ANY, "wakes a thread whose close(2) hangs; abort(3)" },
	{ SCMP_SYS(writev), 0, { IS(0, 2) }, "the C library says why it aborts" },
	{ SCMP_SYS(gettid), 0, ANY, ITSELF },
	{ SCMP_SYS(uname), 0, ANY, "the kernel's release, for `doctor`" },
	{ SCMP_SYS(getrandom), 0, ANY, "ids of VMs and operations" },
	{ SCMP_SYS(alarm), 0, ANY, "the end of a stop that hangs; time-outs of libcurl" },
	{ SCMP_SYS(poll), 0, ANY, WAITS },
	{ SCMP_SYS(epoll_create1), 0, ANY, WAITS },
	{ SCMP_SYS(epoll_ctl), 0, ANY, WAITS },
	{ SCMP_SYS(epoll_wait), 0, ANY, WAITS },
	{ SCMP_SYS(eventfd2), 0, ANY, WAITS },
	{ SCMP_SYS(ioctl), 0, { IS(1, FICLONE) }, "disks that share blocks with their image" },
	{ SCMP_SYS(fstatfs), 0, ANY, LOOKS },
	{ SCMP_SYS(mkdir), 0, { MASKED(1, SPECIAL, 0) }, NO_SPECIAL },
	{ SCMP_SYS(mkdirat), 0, { MASKED(2, SPECIAL, 0) }, NO_SPECIAL },
	{ SCMP_SYS(mknodat), 0, { MASKED(2, S_IFMT | SPECIAL, S_IFIFO) },
	  "FIFOs of consoles and logs" },
	{ SCMP_SYS(unlinkat), 0, ANY, FILES },
	{ SCMP_SYS(rename), 0, ANY, FILES },
	{ SCMP_SYS(renameat), 0, ANY, FILES },
	{ SCMP_SYS(linkat), 0, ANY, "a kernel, linked into a slot's folder" },
	{ SCMP_SYS(fallocate), 0, ANY, "space of disks" },
	{ SCMP_SYS(copy_file_range), 0, ANY, "copies of images and disks" },
	{ SCMP_SYS(sendfile), 0, ANY, "copies of images and disks" },
	{ SCMP_SYS(flock), 0, ANY, "one controller for a folder" },
	{ SCMP_SYS(fgetxattr), 0, ANY, "SELinux labels of files in slots" },
	{ SCMP_SYS(fsetxattr), 0, ANY, "SELinux labels of files in slots" },
	{ 0 },
};

/* SANDBOX_SERVICE only: connections. */
static const struct rule talk[] = {
	{ SCMP_SYS(socket), 0, { IS(0, AF_UNIX), STREAM }, SOCKETS },
	{ SCMP_SYS(socketpair), 0, { IS(0, AF_UNIX), STREAM }, "libcurl wakes itself" },
	{ SCMP_SYS(accept4), 0, ANY, SOCKETS },
	{ SCMP_SYS(connect), 0, ANY, "monitors; its view has no socket of the host" },
	{ SCMP_SYS(shutdown), 0, ANY, SOCKETS },
	{ SCMP_SYS(sendmsg), 0, ANY, SOCKETS },
	{ SCMP_SYS(recvmsg), 0, ANY, SOCKETS },
	{ SCMP_SYS(sendto), 0, ANY, SOCKETS },
	{ SCMP_SYS(recvfrom), 0, ANY, SOCKETS },
	{ SCMP_SYS(getsockopt), 0, ANY, "the uid of a caller" },
	{ SCMP_SYS(setsockopt), 0, ANY, "time-outs of sends" },
	{ SCMP_SYS(ioctl), 0, { IS(1, SIOCOUTQ) }, "has a client received its answer?" },
	{ SCMP_SYS(getsockname), 0, ANY, "libcurl" },
	{ SCMP_SYS(getpeername), 0, ANY, "libcurl" },
	{ 0 },
};
/* clang-format on */

static const unsigned caps[] = { UINT_MAX };

/* NPROC counts the threads of the account's processes (banger.service has TasksMax beside it).
 * NOFILE is for connections with their descriptors, and seven files for each running VM. */
static const struct policy_limit limits[] = {
	{ RLIMIT_CORE, 0 },    { RLIMIT_NPROC, 4096 },        { RLIMIT_NOFILE, 16384 },
	{ RLIMIT_MEMLOCK, 0 }, { RLIMIT_FSIZE, POLICY_DISK }, { -1, 0 },
};

const struct policy policy_controller[SANDBOX_KINDS] = {
	[SANDBOX_SERVICE] = { .process = "banger-controller",
			      .account = "banger",
			      .caps = caps,
			      .namespaces = "mnt net",
			      .files = "a view of the host; with Landlock its own folders alone",
			      .writes = "state_dir run_dir",
			      .holds = "not reqlog reqkey tun loop loop-control dm-control",
			      .limits = limits,
			      .lists = { rules, service, talk } },
	[SANDBOX_FILES] = { .process = "banger-controller --check-db",
			    .account = "banger",
			    .caps = caps,
			    .namespaces = "",
			    .files = "with Landlock the folder of the database alone",
			    .writes = NULL,
			    .holds = "not reqlog reqkey",
			    .limits = limits,
			    .lists = { rules } },
};
