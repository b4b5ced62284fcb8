/* filter.c - makes the system call filters of the spawn role, of its launcher and of each kind of
 * VMM.
 *
 * The role's filter is as narrow as those of the other roles.  The launcher's is wide, because a
 * filter stays over execve(2) and a second one can only narrow it (seccomp(2)): it allows the calls
 * of the launcher and of all VMMs.  CHILD loads a second one, with the calls of its VMM alone,
 * before execve(2).  So a taken-over launcher can make no call beyond both lists.  A taken-over VMM
 * can not change its uid, create a process or gain a capability.  QEMU adds a filter of its own
 * (-sandbox), Firecracker one per thread.
 *
 * Arguments are compared with SCMP_CMP_EQ and SCMP_CMP_MASKED_EQ alone.  A filter sees 64 bits of
 * each argument, but the kernel uses 32 bits of most.  A comparison by "not equal" or by order
 * would accept a forbidden value with a high bit set.
 *
 * QEMU's list was taken from strace -f of versions 7.2 and 10.0 under TCG, Firecracker's from the
 * filter in its source (resources/seccomp).  Neither may ever have: mounts, namespaces, ptrace and
 * process_vm, bpf, modules, keys, perf, userfaultfd, file handles, descriptors of other processes,
 * socket families other than unix, connect(2), or a call that creates a file or folder
 * (allow_open() has one exception, for which Landlock is needed). */
#include "privhelper/spawn/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "privhelper/lockdown.h"

#define FILTER_MAX 2048 /* instructions; the kernel's limit is 4,096 (BPF_MAXINSNS) */
#define FILTER_BYTES ((ssize_t)(FILTER_MAX * sizeof(struct sock_filter)))

/* Calls that the launcher and all VMMs may make with any arguments. */
static const int vmm_calls[] = {
	/* descriptors and files; the root, the modes and Landlock decide which files */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(preadv),
	SCMP_SYS(pwritev),
	SCMP_SYS(preadv2),
	SCMP_SYS(pwritev2),
	SCMP_SYS(close),
	SCMP_SYS(close_range),
	SCMP_SYS(lseek),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd),
	SCMP_SYS(fchdir),
	SCMP_SYS(getdents64),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(umask),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(ftruncate),
	SCMP_SYS(sync_file_range),
	SCMP_SYS(dup),
	SCMP_SYS(dup2),
	SCMP_SYS(dup3),
	SCMP_SYS(pipe),
	SCMP_SYS(pipe2),
	SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(timerfd_gettime),
	SCMP_SYS(signalfd4),
	SCMP_SYS(memfd_create),
	/* waiting */
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(futex),
	SCMP_SYS(futex_waitv),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(sched_yield),
	/* memory, with executable pages, because TCG writes code */
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(mprotect),
	SCMP_SYS(madvise),
	SCMP_SYS(mincore),
	SCMP_SYS(msync),
	SCMP_SYS(brk),
	SCMP_SYS(membarrier),
	/* threads, signals, time and identity of the process itself */
	SCMP_SYS(set_tid_address),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(arch_prctl),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(tgkill),
	SCMP_SYS(tkill),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(alarm),
	SCMP_SYS(getrandom),
	SCMP_SYS(uname),
	SCMP_SYS(sysinfo),
	SCMP_SYS(getrusage),
	SCMP_SYS(getrlimit),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(getcpu),
	/* a filter can only narrow; libseccomp probes every operation before it uses one */
	SCMP_SYS(seccomp),
	/* existing sockets; add_sockets() decides which kind may make one, name one, or send
	 * descriptors */
	SCMP_SYS(listen),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(recvfrom),
	/* starts the VMM; a later execve in the VMMs' root keeps filter and uid */
	SCMP_SYS(execve),
	-1,
};

/* Calls of the launcher, and of CHILD before it loads its own filter. */
static const int launcher_calls[] = {
	SCMP_SYS(clone3), /* a filter can not see its arguments, which are behind a pointer */
	SCMP_SYS(capset),
	SCMP_SYS(getgroups),
	SCMP_SYS(prlimit64),
	SCMP_SYS(setrlimit),
	SCMP_SYS(sendmsg),
	SCMP_SYS(landlock_create_ruleset),
	SCMP_SYS(landlock_add_rule),
	SCMP_SYS(landlock_restrict_self),
	-1,
};

/* Calls that VMMs try but do not need: they fail with ENOSYS instead of killing the VMM. */
static const int absent_calls[] = {
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(mbind),
	SCMP_SYS(get_mempolicy),
	SCMP_SYS(set_mempolicy),
	SCMP_SYS(mlock2),
	SCMP_SYS(connect), /* the host's abstract sockets have no mode that could refuse a VMM */
	SCMP_SYS(socketpair),
	SCMP_SYS(sched_setattr),
	SCMP_SYS(setpriority),
	SCMP_SYS(sched_setscheduler),
	SCMP_SYS(sched_setaffinity),
};

/* Type bytes of allowed ioctl(2) requests: KVM, block devices, files. */
static const unsigned ioctl_types[] = { 0xae, 0x12, 'f', 0x94, 0x03, 0x00 };

/* XFS_IOC_DIOINFO of xfsprogs (libxfs/xfs_fs.h); its struct dioattr has three 32-bit members. */
#define DIOINFO _IOR('X', 30, uint32_t[3])

/* Allowed ioctl(2) requests whose type byte has others that must not be allowed.  Terminals share
 * theirs with tun, where a process with a tap's descriptor may change the tap's owner, group, link
 * type and persistence (drivers/net/tun.c, __tun_chr_ioctl()).  DIOINFO, by which QEMU asks for the
 * alignment of direct reads, shares its own with FS_IOC_RESVSP, which reserves blocks beyond
 * RLIMIT_FSIZE (fs/ioctl.c, ioctl_preallocate()). */
static const unsigned ioctls[] = {
	TCGETS,          TCSETS,         TCSETSW,           TCSETSF,      TIOCGWINSZ,
	FIONREAD,        FIONBIO,        FIOCLEX,           FIONCLEX,     TUNSETIFF,
	TUNGETIFF,       TUNGETFEATURES, TUNSETOFFLOAD,     TUNSETSNDBUF, TUNGETVNETHDRSZ,
	TUNSETVNETHDRSZ, DIOINFO,        FS_IOC_FSGETXATTR,
};

static const unsigned prctl_options[] = {
	PR_SET_NAME,         PR_GET_NAME,
	PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS,
	PR_SET_TIMERSLACK,   PR_GET_DUMPABLE,
	PR_SET_DUMPABLE,     PR_CAPBSET_READ,
	PR_MCE_KILL,         0x53564d41 /* PR_SET_VMA: names for anonymous memory */,
};

/* F_SETPIPE_SZ is missing: the console's FIFO counts against the controller's limit of pipe pages
 * (pipe(7), pipe-user-pages-soft), so a VMM must not enlarge it. */
static const unsigned fcntl_commands[] = {
	F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL,
	/* QEMU's locks on its image */
	F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_ADD_SEALS,
	F_GET_SEALS, /* of its memfd */
};

static int allow_if(scmp_filter_ctx ctx, int call, struct scmp_arg_cmp cmp)
{
	return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call, 1, &cmp) < 0 ? -1 : 0;
}

#define TMPFILE (O_TMPFILE & ~O_DIRECTORY)
#define WRITE_ZEROES 0x80u /* FALLOC_FL_WRITE_ZEROES, Linux 6.17: newer than our headers */

/* Allow open(2) of existing files, and refuse O_CREAT and O_TMPFILE with EACCES.  There is one
 * exception: Firecracker opens its log and its metrics, FIFOs that exist, with O_CREAT and
 * O_NONBLOCK (src/vmm/src/utils/mod.rs).  That is allowed only if Landlock refuses to create
 * files. */
static int allow_open(scmp_filter_ctx ctx, int call, unsigned flags_at, bool landlock)
{
	const struct {
		unsigned mask, value;
		uint32_t then;
	} rules[] = {
		/* no value of the flags matches two rules with different actions */
		{ O_CREAT | TMPFILE, 0, SCMP_ACT_ALLOW },
		{ TMPFILE, TMPFILE, SCMP_ACT_ERRNO(EACCES) },
		{ O_CREAT | O_NONBLOCK, O_CREAT, SCMP_ACT_ERRNO(EACCES) },
		{ O_CREAT | O_NONBLOCK | TMPFILE, O_CREAT | O_NONBLOCK,
		  landlock ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EACCES) },
	};
	int bad = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		struct scmp_arg_cmp cmp = { flags_at, SCMP_CMP_MASKED_EQ, rules[i].mask,
					    rules[i].value };
		bad |= seccomp_rule_add_array(ctx, rules[i].then, call, 1, &cmp);
	}
	return bad ? -1 : 0;
}

/* Allow fallocate(2) in modes that keep to RLIMIT_FSIZE, the bound of a disk that is a file.  ext4,
 * XFS and btrfs check the limit only if the size grows: not if blocks are reserved behind the end
 * (FALLOC_FL_KEEP_SIZE), and ext4 not if a range is inserted.  So the allowed modes are those that
 * write zeroes within the limit, and the one that gives blocks back.  The others fail with
 * EOPNOTSUPP, which QEMU handles. */
static int allow_fallocate(scmp_filter_ctx ctx)
{
	const unsigned hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	const struct {
		unsigned mask, value;
		uint32_t then;
	} rules[] = {
		/* no value of the mode matches two rules with different actions */
		{ ~(unsigned)FALLOC_FL_ZERO_RANGE, 0, SCMP_ACT_ALLOW },
		{ UINT32_MAX, hole, SCMP_ACT_ALLOW },
		{ hole, FALLOC_FL_KEEP_SIZE, SCMP_ACT_ERRNO(EOPNOTSUPP) },
		{ FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_COLLAPSE_RANGE, SCMP_ACT_ERRNO(EOPNOTSUPP) },
		{ FALLOC_FL_INSERT_RANGE, FALLOC_FL_INSERT_RANGE, SCMP_ACT_ERRNO(EOPNOTSUPP) },
		{ FALLOC_FL_UNSHARE_RANGE, FALLOC_FL_UNSHARE_RANGE, SCMP_ACT_ERRNO(EOPNOTSUPP) },
		{ WRITE_ZEROES, WRITE_ZEROES, SCMP_ACT_ERRNO(EOPNOTSUPP) },
	};
	int bad = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		struct scmp_arg_cmp cmp = { 1, SCMP_CMP_MASKED_EQ, rules[i].mask, rules[i].value };
		bad |= seccomp_rule_add_array(ctx, rules[i].then, SCMP_SYS(fallocate), 1, &cmp);
	}
	return bad ? -1 : 0;
}

/* Allow unix sockets of type SOCK_STREAM alone: a datagram socket can send to any address without
 * connect(2). */
static int allow_own_socket(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp cmp[] = {
		SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX),
		SCMP_A1_32(SCMP_CMP_MASKED_EQ, ~(unsigned)(SOCK_CLOEXEC | SOCK_NONBLOCK),
			   SOCK_STREAM),
	};

	if (seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), ARRAY_SIZE(cmp), cmp) < 0)
		return -1;
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(bind), 0) < 0 ? -1 : 0;
}

/* QEMU of Debian 13 asks if_nametoindex(3) for its tap, and goes on without an answer.  libc makes
 * a datagram socket for it, of one family after the other.  The VMMs' own filters refuse each
 * socket in the same way, but of two filters the stricter answer counts (seccomp(2)), so the
 * launcher's must not kill. */
static int tell_datagram(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp type = SCMP_A1_32(SCMP_CMP_EQ, SOCK_DGRAM | SOCK_CLOEXEC);

	return seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(socket), 1, &type) < 0
		       ? -1
		       : 0;
}

static int tell_absent(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), calls[i], 0) < 0)
			return -1;
	return 0;
}

/* A VMM may either make sockets or call sendmsg(2), the only call that passes a descriptor on
 * (unix(7), SCM_RIGHTS).  QEMU answers by sendmsg(2) on a socket that CHILD has bound; the
 * controller alone can connect to it.  Firecracker binds its API socket itself and answers by
 * write(2).  It could bind an abstract name too, to which any process of the host may connect, but
 * it can pass no descriptor there.  The probe may do neither. */
static int add_sockets(scmp_filter_ctx ctx, enum vmm_kind kind)
{
	static const int made[] = { SCMP_SYS(socket), SCMP_SYS(bind) }, passing = SCMP_SYS(sendmsg);
	int bad = kind == VMM_FIRECRACKER ? allow_own_socket(ctx)
					  : tell_absent(ctx, made, ARRAY_SIZE(made));

	return bad |
	       (kind == VMM_QEMU ? lockdown_allow(ctx, passing) : tell_absent(ctx, &passing, 1));
}

static int add_arguments(scmp_filter_ctx ctx, bool landlock)
{
	/* CLONE_THREAD: the call can create threads, and no process.  A new limit of NULL: the call
	 * can read limits, and set none. */
	const struct scmp_arg_cmp thread = SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD,
						      CLONE_THREAD),
				  no_limit = SCMP_A2_64(SCMP_CMP_EQ, 0);
	int bad = allow_if(ctx, SCMP_SYS(clone), thread) |
		  allow_if(ctx, SCMP_SYS(prlimit64), no_limit) | allow_fallocate(ctx) |
		  allow_open(ctx, SCMP_SYS(open), 1, landlock) |
		  allow_open(ctx, SCMP_SYS(openat), 2, landlock);

	for (size_t i = 0; i < ARRAY_SIZE(ioctl_types); i++)
		bad |= allow_if(ctx, SCMP_SYS(ioctl),
				SCMP_A1_64(SCMP_CMP_MASKED_EQ, 0xff00, ioctl_types[i] << 8));
	/* The kernel uses 32 bits of the request; a library that holds it in an int extends its
	 * sign. */
	for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++)
		bad |= lockdown_allow_ioctl(ctx, -1, ioctls[i]);
	for (size_t i = 0; i < ARRAY_SIZE(prctl_options); i++)
		bad |= lockdown_allow_arg(ctx, SCMP_SYS(prctl), 0, prctl_options[i]);
	for (size_t i = 0; i < ARRAY_SIZE(fcntl_commands); i++)
		bad |= lockdown_allow_arg(ctx, SCMP_SYS(fcntl), 1, fcntl_commands[i]);
	return bad;
}

/* Add the calls that all VMMs may make. */
static int add_vmm(scmp_filter_ctx ctx, bool landlock)
{
	return tell_absent(ctx, absent_calls, ARRAY_SIZE(absent_calls)) |
	       lockdown_allow_list(ctx, vmm_calls) | add_arguments(ctx, landlock);
}

/* Allow the slots' ids alone.  One mask covers them, because config_load() accepts only a uid_base
 * that is a multiple of the span. */
static int bound_ids(scmp_filter_ctx ctx, const struct config *c)
{
	const scmp_datum_t above = ~(scmp_datum_t)(config_slot_span(c) - 1);
	const struct scmp_arg_cmp cmp[] = {
		SCMP_A0_64(SCMP_CMP_MASKED_EQ, above, c->uid_base),
		SCMP_A1_64(SCMP_CMP_MASKED_EQ, above, c->uid_base),
		SCMP_A2_64(SCMP_CMP_MASKED_EQ, above, c->uid_base),
	};

	if (c->uid_base == 0 || c->uid_base & ~above)
		return -1;
	return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setresuid), 3, cmp) < 0 ||
			       seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setresgid), 3,
						      cmp) < 0
		       ? -1
		       : 0;
}

int spawn_filter_role(int vm_dir, int proc_dir, int launcher, scmp_filter_ctx ctx)
{
	static const uint32_t in_vm_dir[] = { O_RDONLY | O_DIRECTORY, O_RDONLY, O_WRONLY };
	static const int calls[] = {
		/* of files that it has opened: cgroups and a procfs; it can open no others */
		SCMP_SYS(read),
		SCMP_SYS(write),
		SCMP_SYS(getdents64),
		SCMP_SYS(fstat),
		/* a pidfd is for the controller; the role itself may send no signal */
		SCMP_SYS(pidfd_open),
		SCMP_SYS(clock_nanosleep),
		-1,
	};
	int bad = lockdown_allow_list(ctx, calls);

	for (size_t i = 0; i < ARRAY_SIZE(in_vm_dir); i++)
		bad |= lockdown_allow_open(ctx, vm_dir, in_vm_dir[i] | O_CLOEXEC | O_NOFOLLOW);
	bad |= lockdown_allow_open(ctx, proc_dir, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bad |= lockdown_allow_arg(ctx, SCMP_SYS(mkdirat), 0, (uint32_t)vm_dir);
	bad |= lockdown_allow_arg(ctx, SCMP_SYS(unlinkat), 0, (uint32_t)vm_dir);
	/* Newer C libraries implement fstat(3) by newfstatat(2). */
	bad |= lockdown_allow_arg(ctx, SCMP_SYS(newfstatat), 3, AT_EMPTY_PATH);
	bad |= lockdown_allow_arg(ctx, SCMP_SYS(fcntl), 1, F_GETFL);
	bad |= lockdown_allow_arg(ctx, SCMP_SYS(sendmsg), 0, (uint32_t)launcher);
	return bad | lockdown_allow_arg(ctx, SCMP_SYS(recvmsg), 0, (uint32_t)launcher);
}

int spawn_filter_launcher(const struct config *c, scmp_filter_ctx ctx)
{
	/* true: the VMM's own filter applies the rules for a kernel without Landlock. */
	if (add_vmm(ctx, true) < 0 || lockdown_allow_list(ctx, launcher_calls) < 0 ||
	    allow_own_socket(ctx) < 0 || tell_datagram(ctx) < 0 || bound_ids(ctx, c) < 0) {
		log_error("spawn: the launcher's system call filter could not be made");
		return -1;
	}
	return 0;
}

/* Copy the filter into memory, through a memfd, because libseccomp exports to a descriptor only.
 * CHILD then loads it by one system call. */
static int export(scmp_filter_ctx ctx, struct sock_filter code[FILTER_MAX], struct sock_fprog *out)
{
	_cleanup_close_ int fd = memfd_create("filter", MFD_CLOEXEC);

	if (fd < 0 || seccomp_export_bpf(ctx, fd) < 0)
		return -1;
	ssize_t n = pread(fd, code, FILTER_BYTES, 0);
	if (n <= 0 || n == FILTER_BYTES || n % (ssize_t)sizeof(code[0]) != 0)
		return -1;
	*out = (struct sock_fprog){ (unsigned short)((size_t)n / sizeof(code[0])), code };
	return 0;
}

int spawn_filter_vmm(enum vmm_kind kind, bool landlock, struct sock_fprog *out)
{
	static struct sock_filter code[VMM_KINDS][FILTER_MAX];
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = -1;

	/* clone3(2) fails with ENOSYS, because a filter can not see its arguments.  glibc, which
	 * tries it first since 2.34, then calls clone(2). */
	if (ctx && seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
	    seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
	    add_vmm(ctx, landlock) == 0 && add_sockets(ctx, kind) == 0)
		r = export(ctx, code[kind], out);
	if (r < 0)
		log_error("spawn: the VMMs' system call filter could not be made");
	if (ctx)
		seccomp_release(ctx);
	return r;
}
