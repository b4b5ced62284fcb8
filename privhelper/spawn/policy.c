/* policy.c - what the spawn role, its launcher and each kind of VMM may do after their lock-down.
 *
 * The role's filter is as narrow as those of the other roles.  The launcher's is wide, because a
 * filter stays over execve(2) and a second one can only narrow it (seccomp(2)): it allows the calls
 * of the launcher and of all VMMs.  CHILD loads a second one, with the calls of its VMM alone,
 * before execve(2).  So a taken-over launcher can make no call beyond both lists.  A taken-over VMM
 * can not change its uid, create a process or gain a capability.  QEMU adds a filter of its own
 * (-sandbox), Firecracker one per thread.
 *
 * QEMU's list was taken from strace -f of versions 7.2 and 10.0 under TCG and KVM, Firecracker's
 * from strace -f and from the filter in its source (resources/seccomp).  A rule that allows a call
 * needs a use: tests/integration/rules_set.sh sees it, or policy.unused says which path, version or
 * library has it.  A rule with an error number grants nothing: it keeps a program alive that goes
 * on without the call.
 *
 * No list may ever have: mounts, namespaces, ptrace and process_vm, bpf, modules, keys, perf,
 * userfaultfd, file handles, descriptors of other processes, socket families other than unix,
 * connect(2), or a call that creates a file or folder (open(2) has one exception for Firecracker,
 * for which Landlock is needed).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "privhelper/policies.h"

/* clang-format off */

/* PR_SET_VMA of linux/prctl.h: names for anonymous memory. */
#define PR_NAME_MEMORY 0x53564d41
#define WRITE_ZEROES 0x80u /* FALLOC_FL_WRITE_ZEROES, Linux 6.17: newer than our headers */
#define HOLE (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
/* XFS_IOC_DIOINFO of xfsprogs (libxfs/xfs_fs.h); its struct dioattr has three 32-bit members. */
#define DIOINFO _IOR('X', 30, uint32_t[3])
/* All requests of ioctl(2) with this type byte. */
#define TYPE(byte) MASKED(1, 0xff00u, (byte) << 8)
#define STREAM MASKED(1, ~(unsigned)(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_STREAM)

#define DISK "reads and writes its disk, console and sockets"
#define LOOKS "looks at files; the root, the modes and Landlock decide at which"
#define FDS "keeps and copies descriptors"
#define WAITS "waits for its devices, its console and its API"
#define LOCKS "locks between its threads"
#define MEMORY "guest memory and heap, with executable pages, because TCG writes code"
#define THREADS "starts and ends its threads"
#define SIGNALS "signals between its threads, to stop a vCPU"
#define ITSELF "asks for its own ids"
#define TIME "clocks and timers of the guest"
#define HOST "asks for facts of the host"
#define API "its API socket"
#define PROBES "libraries ask what the kernel has; it can only narrow"
#define TELLS "programs go on without it"
#define NOT_MADE "no file is created, whatever the modes would let it"
#define NO_BLOCKS "no block is taken beyond RLIMIT_FSIZE; QEMU handles the error"
#define TERMINAL "the console's settings"
#define TAP "uses its tap; whose it is and whether it stays, is decided by the net role"
#define START "the program's start"

/* Of every kind: how a program of the host's C library starts and ends. */
static const struct rule of_programs[] = {
	{ SCMP_SYS(execve), 0, ANY,
	  "starts the VMM; a later one in its root keeps filter and uid" },
	{ SCMP_SYS(exit_group), 0, ANY, START },
	{ SCMP_SYS(brk), 0, ANY, MEMORY },
	{ SCMP_SYS(mmap), 0, ANY, MEMORY },
	{ SCMP_SYS(munmap), 0, ANY, MEMORY },
	{ SCMP_SYS(mprotect), 0, ANY, MEMORY },
	{ SCMP_SYS(read), 0, ANY, DISK },
	{ SCMP_SYS(write), 0, ANY, DISK },
	{ SCMP_SYS(pread64), 0, ANY, DISK },
	{ SCMP_SYS(close), 0, ANY, FDS },
	/* AT_SECURE is set (csu/check_fds.c of glibc) */
	{ SCMP_SYS(fcntl), 0, { IS(1, F_GETFD) }, "has it streams, where SELinux moves it?" },
	{ SCMP_SYS(fstat), 0, ANY, LOOKS },
	{ SCMP_SYS(newfstatat), 0, ANY, LOOKS },
	{ SCMP_SYS(access), 0, ANY, LOOKS },
	{ SCMP_SYS(set_tid_address), 0, ANY, START },
	{ SCMP_SYS(set_robust_list), 0, ANY, THREADS },
	{ SCMP_SYS(rseq), 0, ANY, THREADS },
	{ SCMP_SYS(arch_prctl), 0, ANY, THREADS },
	{ SCMP_SYS(rt_sigaction), 0, ANY, SIGNALS },
	{ SCMP_SYS(getrandom), 0, ANY, HOST },
	{ SCMP_SYS(prlimit64), 0, { MASKED(2, UINT64_MAX, 0) }, "reads limits, and sets none" },
	/* ioctl(2): the kernel uses 32 bits of the request; a library that holds it in an int
	 * extends its sign. */
	{ SCMP_SYS(ioctl), 0, { TYPE(0xae) }, "KVM: vCPUs, memory, interrupts" },
	{ SCMP_SYS(openat), 0, { MASKED(2, O_CREAT | TMPFILE_BIT, 0) }, "files that exist" },
	{ SCMP_SYS(openat), EACCES, { MASKED(2, TMPFILE_BIT, TMPFILE_BIT) }, NOT_MADE },
	{ SCMP_SYS(openat), EACCES, { MASKED(2, O_CREAT | O_NONBLOCK, O_CREAT) }, NOT_MADE },
	{ 0 },
};

/* Of QEMU and Firecracker.  Requests of terminals share their type byte with tun, where a process
 * with a tap's descriptor may change the tap's owner, group, link type and persistence
 * (drivers/net/tun.c, __tun_chr_ioctl()). */
static const struct rule of_monitors[] = {
	{ SCMP_SYS(readv), 0, ANY, DISK },
	{ SCMP_SYS(writev), 0, ANY, DISK },
	{ SCMP_SYS(lseek), 0, ANY, DISK },
	{ SCMP_SYS(eventfd2), 0, ANY, LOCKS },
	{ SCMP_SYS(futex), 0, ANY, LOCKS },
	{ SCMP_SYS(sched_yield), 0, ANY, LOCKS },
	{ SCMP_SYS(poll), 0, ANY, WAITS },
	{ SCMP_SYS(epoll_create1), 0, ANY, WAITS },
	{ SCMP_SYS(restart_syscall), 0, ANY, WAITS },
	{ SCMP_SYS(memfd_create), 0, ANY, MEMORY },
	{ SCMP_SYS(mremap), 0, ANY, MEMORY },
	{ SCMP_SYS(madvise), 0, ANY, MEMORY },
	{ SCMP_SYS(exit), 0, ANY, THREADS },
	{ SCMP_SYS(clone), 0, { MASKED(0, CLONE_THREAD, CLONE_THREAD) },
	  "starts threads, and no process" },
	{ SCMP_SYS(tgkill), 0, ANY, SIGNALS },
	{ SCMP_SYS(rt_sigprocmask), 0, ANY, SIGNALS },
	{ SCMP_SYS(rt_sigreturn), 0, ANY, SIGNALS },
	{ SCMP_SYS(gettid), 0, ANY, ITSELF },
	{ SCMP_SYS(getpid), 0, ANY, ITSELF },
	{ SCMP_SYS(clock_gettime), 0, ANY, TIME },
	{ SCMP_SYS(sched_getaffinity), 0, ANY, HOST },
	{ SCMP_SYS(seccomp), 0, ANY, PROBES },
	{ SCMP_SYS(listen), 0, ANY, API },
	{ SCMP_SYS(accept4), 0, ANY, API },
	{ SCMP_SYS(recvmsg), 0, ANY, API },
	{ SCMP_SYS(ioctl), 0, { IS(1, TCGETS) }, TERMINAL },
	{ SCMP_SYS(ioctl), 0, { IS(1, TUNSETIFF) }, TAP },
	{ SCMP_SYS(ioctl), 0, { IS(1, TUNSETOFFLOAD) }, TAP },
	{ SCMP_SYS(ioctl), 0, { IS(1, TUNSETVNETHDRSZ) }, TAP },
	{ SCMP_SYS(prctl), 0, { IS(0, PR_SET_NAME) }, "names of threads" },
	{ SCMP_SYS(prctl), 0, { IS(0, PR_SET_NO_NEW_PRIVS) }, "before its own filter" },
	/* F_SETPIPE_SZ is missing: the console's FIFO counts against the controller's limit of pipe
	 * pages (pipe(7), pipe-user-pages-soft), so a VMM must not enlarge it. */
	{ SCMP_SYS(fcntl), 0, { IS(1, F_GETFL) }, FDS },
	{ SCMP_SYS(fcntl), 0, { IS(1, F_SETFL) }, FDS },
	/* Absent: the calls fail instead of killing the VMM. */
	{ SCMP_SYS(io_uring_setup), ENOSYS, ANY, TELLS },
	{ SCMP_SYS(userfaultfd), ENOSYS, ANY, TELLS },
	{ SCMP_SYS(mbind), ENOSYS, ANY, TELLS },
	{ SCMP_SYS(get_mempolicy), ENOSYS, ANY, TELLS },
	{ SCMP_SYS(set_mempolicy), ENOSYS, ANY, TELLS },
	{ SCMP_SYS(mlock2), ENOSYS, ANY, TELLS },
	{ SCMP_SYS(connect), ENOSYS, ANY,
	  "the host's abstract sockets have no mode to refuse a VMM" },
	{ SCMP_SYS(socketpair), ENOSYS, ANY, TELLS },
	{ SCMP_SYS(sched_setattr), ENOSYS, ANY, TELLS },
	{ SCMP_SYS(setpriority), ENOSYS, ANY, TELLS },
	{ SCMP_SYS(sched_setscheduler), ENOSYS, ANY, TELLS },
	{ SCMP_SYS(sched_setaffinity), ENOSYS, ANY, TELLS },
	{ SCMP_SYS(faccessat2), EACCES, ANY, TELLS },
	{ SCMP_SYS(epoll_pwait2), ENOSYS, ANY, TELLS },
	{ 0 },
};

/* DIOINFO shares its type byte with FS_IOC_RESVSP, which reserves blocks beyond RLIMIT_FSIZE
 * (fs/ioctl.c, ioctl_preallocate()). */
static const struct rule of_qemu[] = {
	{ SCMP_SYS(pwrite64), 0, ANY, DISK },
	{ SCMP_SYS(preadv), 0, ANY, DISK },
	{ SCMP_SYS(pwritev), 0, ANY, DISK },
	{ SCMP_SYS(pwritev2), 0, ANY, DISK },
	{ SCMP_SYS(fdatasync), 0, ANY, DISK },
	{ SCMP_SYS(statfs), 0, ANY, LOOKS },
	{ SCMP_SYS(fstatfs), 0, ANY, LOOKS },
	{ SCMP_SYS(readlink), 0, ANY, LOOKS },
	{ SCMP_SYS(unlink), 0, ANY, "its API socket, at the end" },
	{ SCMP_SYS(signalfd4), 0, ANY, WAITS },
	{ SCMP_SYS(ppoll), 0, ANY, WAITS },
	{ SCMP_SYS(membarrier), 0, ANY, MEMORY },
	{ SCMP_SYS(clock_nanosleep), 0, ANY, TIME },
	{ SCMP_SYS(gettimeofday), 0, ANY, TIME },
	{ SCMP_SYS(uname), 0, ANY, HOST },
	{ SCMP_SYS(sysinfo), 0, ANY, HOST },
	{ SCMP_SYS(getsockname), 0, ANY, API },
	{ SCMP_SYS(getpeername), 0, ANY, API },
	{ SCMP_SYS(getsockopt), 0, ANY, API },
	{ SCMP_SYS(sendmsg), 0, ANY, "answers on its API socket" },
	{ SCMP_SYS(ioctl), 0, { TYPE(0x12) }, "the size and sectors of its disk" },
	{ SCMP_SYS(ioctl), 0, { IS(1, DIOINFO) }, "the alignment of direct reads" },
	{ SCMP_SYS(ioctl), 0, { IS(1, TCSETS) }, TERMINAL },
	{ SCMP_SYS(ioctl), 0, { IS(1, TUNGETFEATURES) }, TAP },
	{ SCMP_SYS(ioctl), 0, { IS(1, TUNSETSNDBUF) }, TAP },
	{ SCMP_SYS(ioctl), 0, { IS(1, TUNGETVNETHDRSZ) }, TAP },
	{ SCMP_SYS(prctl), 0, { IS(0, PR_SET_TIMERSLACK) }, TIME },
	{ SCMP_SYS(prctl), 0, { IS(0, PR_CAPBSET_READ) }, "libcap, when it is loaded" },
	{ SCMP_SYS(prctl), 0, { IS(0, PR_MCE_KILL) }, "errors of the host's memory" },
	{ SCMP_SYS(fcntl), 0, { IS(1, F_OFD_GETLK) }, "QEMU's locks on its image" },
	{ SCMP_SYS(fcntl), 0, { IS(1, F_OFD_SETLK) }, "QEMU's locks on its image" },
	/* Modes that keep to RLIMIT_FSIZE, the bound of a disk that is a file.  ext4, XFS and btrfs
	 * check the limit only if the size grows: not if blocks are reserved behind the end
	 * (FALLOC_FL_KEEP_SIZE), and ext4 not if a range is inserted. */
	{ SCMP_SYS(fallocate), 0, { MASKED(1, ~(unsigned)FALLOC_FL_ZERO_RANGE, 0) },
	  "zeroes within the limit" },
	{ SCMP_SYS(fallocate), 0, { IS(1, HOLE) }, "gives blocks back" },
	{ SCMP_SYS(fallocate), EOPNOTSUPP, { MASKED(1, HOLE, FALLOC_FL_KEEP_SIZE) }, NO_BLOCKS },
	{ SCMP_SYS(fallocate), EOPNOTSUPP,
	  { MASKED(1, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_COLLAPSE_RANGE) },
	  NO_BLOCKS },
	{ SCMP_SYS(fallocate), EOPNOTSUPP,
	  { MASKED(1, FALLOC_FL_INSERT_RANGE, FALLOC_FL_INSERT_RANGE) },
	  NO_BLOCKS },
	{ SCMP_SYS(fallocate), EOPNOTSUPP,
	  { MASKED(1, FALLOC_FL_UNSHARE_RANGE, FALLOC_FL_UNSHARE_RANGE) },
	  NO_BLOCKS },
	{ SCMP_SYS(fallocate), EOPNOTSUPP, { MASKED(1, WRITE_ZEROES, WRITE_ZEROES) }, NO_BLOCKS },
	{ 0 },
};

/* Sockets are unix streams: a datagram socket can send to any address without connect(2).
 * Firecracker opens its log and its metrics, FIFOs that exist, with O_CREAT and O_NONBLOCK
 * (src/vmm/src/utils/mod.rs).  That is allowed only if Landlock refuses to create files.  Its
 * release is linked with musl, which calls open(2); a build with glibc calls openat(2). */
static const struct rule of_firecracker[] = {
	{ SCMP_SYS(socket), 0, { IS(0, AF_UNIX), STREAM }, "makes its API socket" },
	{ SCMP_SYS(bind), 0, ANY, "makes its API socket" },
	{ SCMP_SYS(sendto), 0, ANY, API },
	{ SCMP_SYS(recvfrom), 0, ANY, API },
	{ SCMP_SYS(fsync), 0, ANY, DISK },
	{ SCMP_SYS(ftruncate), 0, ANY, MEMORY },
	{ SCMP_SYS(stat), 0, ANY, LOOKS },
	{ SCMP_SYS(statx), 0, ANY, LOOKS },
	{ SCMP_SYS(dup), 0, ANY, FDS },
	{ SCMP_SYS(dup2), 0, ANY, FDS },
	{ SCMP_SYS(epoll_ctl), 0, ANY, WAITS },
	{ SCMP_SYS(epoll_wait), 0, ANY, WAITS },
	{ SCMP_SYS(epoll_pwait), 0, ANY, WAITS },
	{ SCMP_SYS(tkill), 0, ANY, SIGNALS },
	{ SCMP_SYS(sigaltstack), 0, ANY, SIGNALS },
	{ SCMP_SYS(timerfd_create), 0, ANY, TIME },
	{ SCMP_SYS(timerfd_settime), 0, ANY, TIME },
	{ SCMP_SYS(clock_nanosleep), 0, ANY, TIME },
	{ SCMP_SYS(nanosleep), 0, ANY, TIME },
	{ SCMP_SYS(ioctl), 0, { IS(1, TIOCGWINSZ) }, TERMINAL },
	{ SCMP_SYS(ioctl), 0, { IS(1, FIONBIO) }, FDS },
	{ SCMP_SYS(fcntl), 0, { IS(1, F_DUPFD_CLOEXEC) }, FDS },
	{ SCMP_SYS(fcntl), 0, { IS(1, F_SETFD) }, FDS },
	{ SCMP_SYS(fcntl), 0, { IS(1, F_ADD_SEALS) }, "its memfd" },
	{ SCMP_SYS(open), 0, { MASKED(1, O_CREAT | TMPFILE_BIT, 0) }, "files that exist" },
	{ SCMP_SYS(open), EACCES, { MASKED(1, TMPFILE_BIT, TMPFILE_BIT) }, NOT_MADE },
	{ SCMP_SYS(open), EACCES, { MASKED(1, O_CREAT | O_NONBLOCK, O_CREAT) }, NOT_MADE },
	{ SCMP_SYS(open), 0, { BOUND(1, LANDLOCK) },
	  "Firecracker's log, where Landlock refuses new files" },
	{ SCMP_SYS(open), EACCES, { BOUND(1, NO_LANDLOCK) }, NOT_MADE },
	{ SCMP_SYS(openat), 0, { BOUND(2, LANDLOCK) },
	  "Firecracker's log, where Landlock refuses new files" },
	{ SCMP_SYS(openat), EACCES, { BOUND(2, NO_LANDLOCK) }, NOT_MADE },
	{ 0 },
};

static const struct rule of_probe[] = {
	{ SCMP_SYS(alarm), 0, ANY, "the KVM probe ends itself" },
	{ 0 },
};

/* clone3(2) fails with ENOSYS, because a filter can not see its arguments.  glibc, which tries it
 * first since 2.34, then calls clone(2). */
#define CLONE3 { SCMP_SYS(clone3), ENOSYS, ANY, \
		 "its flags are behind a pointer; glibc then calls clone" }

/* What a kind is refused, and the launcher or another kind is not.
 *
 * A VMM may either make sockets or call sendmsg(2), the only call that passes a descriptor on
 * (unix(7), SCM_RIGHTS).  QEMU answers by sendmsg(2) on sockets that CHILD has bound; the
 * controller alone can connect to them.  It hands connections to the agent's ports to the VM's
 * owner, and a filter can not see msg_control: a QEMU that was taken over can pass its descriptors
 * to the owner of its VM, and to no other user.  AUDITING.md says what that gives.  Firecracker
 * binds its API socket itself and answers by write(2).  It could bind an abstract name too, to
 * which any process of the host may connect, but it can pass no descriptor there.  The probe may do
 * neither. */
static const struct rule not_of_qemu[] = {
	CLONE3,
	{ SCMP_SYS(socket), ENOSYS, ANY, "its socket was made before" },
	{ SCMP_SYS(bind), ENOSYS, ANY, "its socket was bound before" },
	{ SCMP_SYS(statx), ENOSYS, ANY, TELLS },
	{ SCMP_SYS(close_range), ENOSYS, ANY, TELLS },
	{ SCMP_SYS(openat), EACCES, { MASKED(2, O_CREAT | O_NONBLOCK, O_CREAT | O_NONBLOCK) },
	  NOT_MADE },
	{ 0 },
};

static const struct rule not_of_firecracker[] = {
	CLONE3,
	{ SCMP_SYS(sendmsg), ENOSYS, ANY, "passes no descriptor on" },
	{ 0 },
};

static const struct rule not_of_probe[] = {
	CLONE3,
	{ SCMP_SYS(socket), ENOSYS, ANY, "has no socket" },
	{ SCMP_SYS(bind), ENOSYS, ANY, "has no socket" },
	{ SCMP_SYS(sendmsg), ENOSYS, ANY, "has no socket" },
	{ 0 },
};

/* Of the launcher, and of CHILD before it loads its own filter. */
static const struct rule of_launcher[] = {
	{ SCMP_SYS(clone3), 0, ANY, "CHILD, in the VM's cgroup; a filter can not see the flags" },
	{ SCMP_SYS(setresuid), 0, { BOUND(0, SLOT_IDS), BOUND(1, SLOT_IDS), BOUND(2, SLOT_IDS) },
	  "CHILD takes the slot's uid" },
	{ SCMP_SYS(setresgid), 0, { BOUND(0, SLOT_IDS), BOUND(1, SLOT_IDS), BOUND(2, SLOT_IDS) },
	  "CHILD takes the slot's gid" },
	{ SCMP_SYS(capset), 0, ANY, "CHILD drops its capabilities" },
	{ SCMP_SYS(getgroups), 0, ANY, "CHILD checks that it has no group" },
	{ SCMP_SYS(prlimit64), 0, ANY, "CHILD sets its limits" },
	{ SCMP_SYS(umask), 0, ANY, "CHILD: the mode of the sockets" },
	{ SCMP_SYS(dup3), 0, ANY, "CHILD: its standard descriptors" },
	{ SCMP_SYS(close_range), 0, ANY, "CHILD: no other descriptor" },
	{ SCMP_SYS(setsockopt), 0, ANY, "CHILD: no descriptor comes by a socket" },
	{ SCMP_SYS(socket), 0, { IS(0, AF_UNIX), STREAM }, "CHILD makes QEMU's API socket" },
	{ SCMP_SYS(bind), 0, ANY, "CHILD makes QEMU's API socket" },
	{ SCMP_SYS(landlock_create_ruleset), 0, ANY, "CHILD's Landlock" },
	{ SCMP_SYS(landlock_add_rule), 0, ANY, "CHILD's Landlock" },
	{ SCMP_SYS(landlock_restrict_self), 0, ANY, "CHILD's Landlock" },
	{ SCMP_SYS(sendmsg), 0, ANY, "answers the role, with a pidfd" },
	/* QEMU of Debian 13 asks if_nametoindex(3) for its tap, and goes on without an answer.
	 * libc makes a datagram socket for it, of one family after the other.  The VMMs' own
	 * filters refuse each socket in the same way, but of two filters the stricter answer counts
	 * (seccomp(2)), so the launcher's must not kill. */
	{ SCMP_SYS(socket), ENOSYS, { IS(1, SOCK_DGRAM | SOCK_CLOEXEC) },
	  "QEMU asks for its tap's number, and goes on" },
	{ 0 },
};
/* Of the role.  It opens files to read, to write or to list, and by names from its working folder
 * alone: its root holds the VMs' cgroups and a procfs.  No rule compares the number of a folder's
 * descriptor: a taken-over role could close it, and get another folder there from its peer. */
#define TO_LIST (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
#define TO_READ (O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
#define TO_WRITE (O_WRONLY | O_CLOEXEC | O_NOFOLLOW)
static const struct rule of_role[] = {
	{ SCMP_SYS(read), 0, ANY, "files of cgroups, start times" },
	{ SCMP_SYS(write), 0, ANY, "limits and the end of a VM's cgroup" },
	{ SCMP_SYS(getdents64), 0, ANY, "names of cgroups, the only record of VMs" },
	{ SCMP_SYS(fstat), 0, ANY, "checks the console that was handed over" },
	{ SCMP_SYS(newfstatat), 0, { IS(3, AT_EMPTY_PATH) }, "fstat(3) of newer C libraries" },
	{ SCMP_SYS(fcntl), 0, { IS(1, F_GETFL) }, "checks its mode" },
	{ SCMP_SYS(pidfd_open), 0, ANY, "a pidfd for the controller; the role may send no signal" },
	{ SCMP_SYS(clock_nanosleep), 0, ANY, "waits for a killed VM's cgroup to be empty" },
	{ SCMP_SYS(openat), 0, { IS(0, AT_FDCWD), IS(2, TO_LIST) }, "names of cgroups" },
	{ SCMP_SYS(openat), 0, { IS(0, AT_FDCWD), IS(2, TO_READ) }, "cgroups of VMs, start times" },
	{ SCMP_SYS(openat), 0, { IS(0, AT_FDCWD), IS(2, TO_WRITE) }, "cgroups of VMs" },
	{ SCMP_SYS(mkdirat), 0, { IS(0, AT_FDCWD) }, "a VM's cgroup" },
	{ SCMP_SYS(unlinkat), 0, { IS(0, AT_FDCWD) }, "removes it" },
	{ SCMP_SYS(sendmsg), 0, { BOUND(0, SPAWN_LAUNCHER) }, "asks the launcher" },
	{ SCMP_SYS(recvmsg), 0, { BOUND(0, SPAWN_LAUNCHER) }, "its answer, with a pidfd" },
	{ 0 },
};
/* clang-format on */

static const unsigned launcher_caps[] = { CAP_SETUID, CAP_SETGID, UINT_MAX },
		      no_caps[] = { UINT_MAX };

/* VMMs inherit the limits, fork and write disks. */
static const struct policy_limit launcher_limits[] = {
	{ RLIMIT_CORE, 0 },
	{ RLIMIT_NOFILE, LOCKED_FILES },
	{ RLIMIT_MEMLOCK, 0 },
	{ RLIMIT_MSGQUEUE, 0 },
	{ -1, 0 },
};

static const struct policy_limit vmm_limits[] = {
	{ RLIMIT_CORE, 0 },     { RLIMIT_NOFILE, VMM_FILES },  { RLIMIT_MEMLOCK, 0 },
	{ RLIMIT_MSGQUEUE, 0 }, { RLIMIT_FSIZE, POLICY_DISK }, { -1, 0 },
};

#define VMM_FILES_TEXT \
	"the host's /usr, read-only; its disk, tap and socket; with Landlock no other slot's"
/* null: the standard input of a VMM that an earlier banger has started. */
#define VMM_HOLDS "null console socket anon tun kvm own proc sys usr"
#define LANDLOCK_VARS                                              \
	.vars = { [SLOT_IDS] = "the slots' range",                 \
		  [LANDLOCK] = "O_CREAT|O_NONBLOCK with Landlock", \
		  [NO_LANDLOCK] = "O_CREAT|O_NONBLOCK without Landlock" }

const struct policy policy_spawn = {
	.process = "banger-role-spawn",
	.account = "banger-spawn",
	.caps = no_caps,
	.namespaces = "mnt",
	.files = "a root with the VMs' cgroups and a procfs alone",
	.writes = "/vm",
	.holds = "null config socket reqlog reqkey pidfd cgroup proc state",
	.limits = lockdown_limits,
	.lists = { lockdown_rules, role_rules, of_role },
	.vars = { [SPAWN_LAUNCHER] = "socket to the launcher" },
};

const struct policy policy_launcher = {
	.process = "banger-launcher",
	.account = "banger-spawn",
	.caps = launcher_caps,
	.namespaces = "mnt",
	.files = "the root of all VMMs, read-only",
	.writes = "/run /state",
	.holds = "null socket pidfd cgroup proc state",
	.limits = launcher_limits,
	.lists = { lockdown_rules, of_programs, of_monitors, of_qemu, of_firecracker, of_probe,
		   of_launcher },
	LANDLOCK_VARS,
};

const struct policy policy_vmm[VMM_KINDS] = {
	[VMM_QEMU] = { .process = "VMM qemu",
		       .account = "uid and gid of the slot",
		       .caps = no_caps,
		       .namespaces = "mnt",
		       .files = VMM_FILES_TEXT,
		       .writes = "/run /state",
		       .holds = VMM_HOLDS,
		       .limits = vmm_limits,
		       .lists = { of_programs, of_monitors, of_qemu, not_of_qemu },
		       LANDLOCK_VARS },
	[VMM_FIRECRACKER] = { .process = "VMM firecracker",
			      .account = "uid and gid of the slot",
			      .caps = no_caps,
			      .namespaces = "mnt",
			      .files = VMM_FILES_TEXT,
			      .writes = "/run /state",
			      .holds = VMM_HOLDS,
			      .limits = vmm_limits,
			      .lists = { of_programs, of_monitors, of_firecracker,
					 not_of_firecracker },
			      LANDLOCK_VARS },
	[VMM_PROBE] = { .process = "VMM kvmprobe",
			.account = "uid and gid of the slot",
			.caps = no_caps,
			.namespaces = "mnt",
			.files = VMM_FILES_TEXT,
			.writes = "/run /state",
			.holds = VMM_HOLDS,
			.limits = vmm_limits,
			.lists = { of_programs, of_probe, not_of_probe },
			LANDLOCK_VARS },
};
