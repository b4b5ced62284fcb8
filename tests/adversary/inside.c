/* inside.c - makes a system call inside of another process, as code that has taken it over would:
 * `inside PID ATTACK [DESCRIPTOR]`, or `inside --list`.
 *
 * The call is made by ptrace(2) in the live, locked process, with its own ids, capabilities, root,
 * filter and Landlock domain: nothing of its confinement is played.  DESCRIPTOR is what stands for
 * its log.  Prints one of
 *   stopped: killed by the filter | stopped: ENAME | DONE: RESULT
 * and afterwards lets the process go on, if it lives. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* Values of arguments that stand for something: the attack's text, zeros, a page of zeros, the
 * descriptor of the log, the parent of the test. */
#define TEXT 0x5e0001L
#define ZEROS 0x5e0002L
#define LOG_FD 0x5e0003L
#define OTHER 0x5e0004L
#define X32 0x40000000L

enum gate { SYSCALL, INT80 };

static const struct attack {
	const char *name;
	long nr, a[6];
	const char *text;
	enum gate gate;
} attacks[] = {
	/* no attack, and not listed: what every process may do shows that a call comes through */
	{ "clock", SYS_clock_gettime, { 1, ZEROS }, "", SYSCALL },
	/* run a program, or have a process of its own */
	{ "execve", SYS_execve, { TEXT, ZEROS, ZEROS }, "/bin/sh", SYSCALL },
	{ "execveat", SYS_execveat, { AT_FDCWD, TEXT, ZEROS, ZEROS, 0 }, "/bin/sh", SYSCALL },
	{ "fork", SYS_fork, { 0 }, "", SYSCALL },
	{ "clone", SYS_clone, { SIGCHLD }, "", SYSCALL },
	{ "clone-user", SYS_clone, { CLONE_NEWUSER | SIGCHLD }, "", SYSCALL },
	{ "map-code",
	  SYS_mmap,
	  { 0, 4096, PROT_EXEC | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 },
	  "",
	  SYSCALL },
	{ "protect-code", SYS_mprotect, { 0, 4096, PROT_EXEC }, "", SYSCALL },
	/* files of the host */
	{ "read-shadow", SYS_openat, { AT_FDCWD, TEXT, O_RDONLY }, "/etc/shadow", SYSCALL },
	{ "read-memory", SYS_openat, { AT_FDCWD, TEXT, O_RDWR }, "/proc/1/mem", SYSCALL },
	{ "make-file",
	  SYS_openat,
	  { AT_FDCWD, TEXT, O_WRONLY | O_CREAT, 0644 },
	  "/etc/banger-attack",
	  SYSCALL },
	{ "open-disk", SYS_openat, { AT_FDCWD, TEXT, O_RDWR }, "/dev/vda", SYSCALL },
	{ "open-kvm", SYS_openat, { AT_FDCWD, TEXT, O_RDWR }, "/dev/kvm", SYSCALL },
	{ "open-handle", SYS_open_by_handle_at, { AT_FDCWD, ZEROS, O_RDONLY }, "", SYSCALL },
	{ "set-uid-file", SYS_fchmod, { LOG_FD, 04755 }, "", SYSCALL },
	{ "chmod-set-uid", SYS_chmod, { TEXT, 04755 }, "/bin/sh", SYSCALL },
	{ "chown", SYS_fchown, { LOG_FD, 0, 0 }, "", SYSCALL },
	{ "mknod",
	  SYS_mknodat,
	  { AT_FDCWD, TEXT, S_IFBLK | 0600, 0x800 },
	  "/tmp/banger-attack",
	  SYSCALL },
	{ "symlink", SYS_symlink, { TEXT, TEXT }, "/tmp/banger-attack", SYSCALL },
	/* what it has logged */
	{ "cut-log", SYS_ftruncate, { LOG_FD, 0 }, "", SYSCALL },
	{ "overwrite-log", SYS_pwrite64, { LOG_FD, TEXT, 4, 0 }, "lies", SYSCALL },
	{ "unappend-log", SYS_fcntl, { LOG_FD, F_SETFL, O_WRONLY }, "", SYSCALL },
	{ "punch-log", SYS_fallocate, { LOG_FD, 3, 0, 4096 }, "", SYSCALL },
	/* other processes */
	{ "kill", SYS_kill, { OTHER, SIGTERM }, "", SYSCALL },
	{ "tgkill", SYS_tgkill, { OTHER, OTHER, SIGTERM }, "", SYSCALL },
	{ "ptrace", SYS_ptrace, { PTRACE_ATTACH, OTHER, 0, 0 }, "", SYSCALL },
	{ "write-memory", SYS_process_vm_writev, { OTHER, ZEROS, 1, ZEROS, 1, 0 }, "", SYSCALL },
	{ "pidfd-getfd", SYS_pidfd_getfd, { LOG_FD, 0, 0 }, "", SYSCALL },
	/* more rights */
	{ "setuid", SYS_setuid, { 0 }, "", SYSCALL },
	{ "setresuid", SYS_setresuid, { 0, 0, 0 }, "", SYSCALL },
	{ "setgroups", SYS_setgroups, { 0, 0 }, "", SYSCALL },
	{ "capset", SYS_capset, { ZEROS, ZEROS }, "", SYSCALL },
	{ "ambient",
	  SYS_prctl,
	  { PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0 },
	  "",
	  SYSCALL },
	{ "dumpable", SYS_prctl, { PR_SET_DUMPABLE, 1, 0, 0, 0 }, "", SYSCALL },
	{ "securebits", SYS_prctl, { PR_SET_SECUREBITS, 0, 0, 0, 0 }, "", SYSCALL },
	/* the host's network and its daemons */
	{ "socket-inet", SYS_socket, { AF_INET, SOCK_STREAM, 0 }, "", SYSCALL },
	{ "socket-packet", SYS_socket, { AF_PACKET, SOCK_RAW, 0 }, "", SYSCALL },
	{ "socket-netlink", SYS_socket, { AF_NETLINK, SOCK_RAW, 0 }, "", SYSCALL },
	{ "inject-terminal", SYS_ioctl, { 2, 0x5412 /* TIOCSTI */, TEXT }, "x", SYSCALL },
	{ "inject-console", SYS_ioctl, { 2, 0x541c /* TIOCLINUX */, TEXT }, "\2", SYSCALL },
	{ "inject-high-bits", SYS_ioctl, { 2, 0x5412 | 1L << 32, TEXT }, "x", SYSCALL },
	/* the host */
	{ "mount", SYS_mount, { TEXT, TEXT, TEXT, 0, 0 }, "/tmp", SYSCALL },
	{ "umount", SYS_umount2, { TEXT, MNT_DETACH }, "/tmp", SYSCALL },
	{ "chroot", SYS_chroot, { TEXT }, "/", SYSCALL },
	{ "unshare", SYS_unshare, { CLONE_NEWUSER }, "", SYSCALL },
	{ "setns", SYS_setns, { LOG_FD, 0 }, "", SYSCALL },
	{ "load-module", SYS_init_module, { ZEROS, 64, TEXT }, "", SYSCALL },
	{ "bpf", SYS_bpf, { 0, ZEROS, 64 }, "", SYSCALL },
	{ "perf", SYS_perf_event_open, { ZEROS, 0, -1, -1, 0 }, "", SYSCALL },
	{ "keyctl", SYS_keyctl, { 0, -3, 1 }, "", SYSCALL },
	{ "io-uring", SYS_io_uring_setup, { 8, ZEROS }, "", SYSCALL },
	{ "userfaultfd", SYS_userfaultfd, { 0 }, "", SYSCALL },
	{ "reboot", SYS_reboot, { 0xfee1dead, 672274793, 0, 0 }, "", SYSCALL },
	{ "set-clock", SYS_clock_settime, { 0, ZEROS }, "", SYSCALL },
	{ "swapon", SYS_swapon, { TEXT, 0 }, "/tmp/none", SYSCALL },
	{ "ports", SYS_iopl, { 3 }, "", SYSCALL },
	{ "quota", SYS_quotactl, { 0, TEXT, 0, 0 }, "/dev/vda", SYSCALL },
	/* other doors to the kernel */
	{ "x32", X32 | SYS_getpid, { 0 }, "", SYSCALL },
	{ "int80", 20 /* getpid of i386 */, { 0 }, "", INT80 },
};

static pid_t victim;
static struct user_regs_struct was;

static void die(const char *what)
{
	fprintf(stderr, "inside: %s: %s\n", what, strerror(errno));
	exit(3);
}

static void *at(unsigned long long address)
{
	return (void *)(uintptr_t)address;
}

/* Wait for the next stop.  Return: false: the process has ended by a signal. */
static bool wait_stop(void)
{
	int status;

	if (waitpid(victim, &status, __WALL) != victim)
		die("waitpid");
	if (WIFSTOPPED(status))
		return true;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		printf("stopped: killed by the filter\n");
	else
		printf("stopped: ended with status %x\n", (unsigned)status);
	return false;
}

/* Write @text and zeros below the stack, and put the addresses into the arguments. */
static void place(const struct attack *x, struct user_regs_struct *r, int log)
{
	const unsigned long long text = (was.rsp - 8192) & ~15ull, zeros = text + 512;
	uint8_t page[4096] = { 0 };
	long a[6];

	(void)snprintf((char *)page, 512, "%s", x->text);
	struct iovec from = { page, sizeof(page) }, to = { at(text), sizeof(page) };
	if (process_vm_writev(victim, &from, 1, &to, 1, 0) != sizeof(page))
		die("its stack");
	for (int i = 0; i < 6; i++)
		a[i] = x->a[i] == TEXT     ? (long)text
		       : x->a[i] == ZEROS  ? (long)zeros
		       : x->a[i] == LOG_FD ? log
		       : x->a[i] == OTHER  ? (long)getppid()
					   : x->a[i];
	*r = was;
	r->rax = (unsigned long long)x->nr;
	r->orig_rax = (unsigned long long)-1;
	r->rdi = (unsigned long long)a[0];
	r->rsi = (unsigned long long)a[1];
	r->rdx = (unsigned long long)a[2];
	r->r10 = (unsigned long long)a[3];
	r->r8 = (unsigned long long)a[4];
	r->r9 = (unsigned long long)a[5];
	r->rip = was.rip - 2;
}

/* Where a call was interrupted, it begins again. */
static void go_on(long code)
{
	struct user_regs_struct r = was;
	const long e = (long)was.rax;

	if (ptrace(PTRACE_POKETEXT, victim, at(was.rip - 2), code) < 0)
		die("its code");
	if (e == -512 || e == -513 || e == -514 || e == -516) { /* ERESTART*, linux/errno.h */
		r.rax = e == -516 ? SYS_restart_syscall : was.orig_rax;
		r.rip -= 2;
		r.orig_rax = (unsigned long long)-1;
	}
	(void)ptrace(PTRACE_SETREGS, victim, 0, &r);
	(void)ptrace(PTRACE_DETACH, victim, 0, 0);
}

/* The parent of a process that the attack has made ends it. */
static void end_child(long pid)
{
	if (pid > 0)
		(void)kill((pid_t)pid, SIGKILL);
}

static void attack(const struct attack *x, int log)
{
	static const uint8_t gates[][2] = { [SYSCALL] = { 0x0f, 0x05 }, [INT80] = { 0xcd, 0x80 } };
	struct user_regs_struct r;

	if (ptrace(PTRACE_SEIZE, victim, 0, 0) < 0 || ptrace(PTRACE_INTERRUPT, victim, 0, 0) < 0)
		die("ptrace");
	if (!wait_stop())
		return;
	if (ptrace(PTRACE_GETREGS, victim, 0, &was) < 0)
		die("its registers");
	place(x, &r, log);
	errno = 0;
	const long code = ptrace(PTRACE_PEEKTEXT, victim, at(was.rip - 2), 0);
	long with_gate = code;
	memcpy(&with_gate, gates[x->gate], 2);
	if (ptrace(PTRACE_POKETEXT, victim, at(was.rip - 2), with_gate) < 0 ||
	    ptrace(PTRACE_SETREGS, victim, 0, &r) < 0 ||
	    ptrace(PTRACE_SINGLESTEP, victim, 0, 0) < 0)
		die("the call");
	if (!wait_stop())
		return;
	if (ptrace(PTRACE_GETREGS, victim, 0, &r) < 0)
		die("its registers");
	const long result = (long)r.rax;
	if (result == 0 && (x->nr == SYS_execve || x->nr == SYS_execveat)) {
		printf("DONE: another program runs, and was ended with SIGKILL\n");
		(void)kill(victim, SIGKILL);
		return;
	}
	if (result < 0 && result > -4096)
		printf("stopped: %s\n", strerrorname_np((int)-result));
	else
		printf("DONE: %ld\n", result);
	if (x->nr == SYS_fork || x->nr == SYS_clone)
		end_child(result);
	go_on(code);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		if (i && argc == 2 && strcmp(argv[1], "--list") == 0)
			printf("%s\n", attacks[i].name);
		if (argc < 3 || strcmp(argv[2], attacks[i].name) != 0)
			continue;
		victim = (pid_t)strtol(argv[1], NULL, 10);
		(void)alarm(20);
		attack(&attacks[i], argc > 3 ? (int)strtol(argv[3], NULL, 10) : 5);
		return 0;
	}
	return argc == 2 ? 0 : 2;
}
