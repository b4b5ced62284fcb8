/* end.c - ends the guest: its programs, its file systems, the machine.
 *
 * Each init is told in its own way: systemd(1), "SIGNALS"; busybox, init/init.c: SIGUSR2; our own:
 * init.c.  To process 1 no other signal does harm or good: the kernel drops those that it does not
 * handle (signal(7)).  An init that is not known is not told, but the power button may be minded,
 * which the controller presses at the same time: then it has the same time. */
#include "controller/agent/end.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LONGEST_MS 3600000  /* as of a stop (proto/control.def) */
#define STEP_MS 20          /* pause between two looks at what still runs */
#define UNTOLD_MS 3000      /* for an init that is not told, when no program minds the button */
#define PROGRAMS_MS 2000    /* from SIGTERM to SIGKILL, when init has not ended the guest */
#define CLOSE_MS 500        /* for a volume that is still written */
#define SYSTEMD_POWEROFF 38 /* SIGRTMIN+4; the C library of systemd has SIGRTMIN 34 */

int end_power_off(void)
{
	return access("/sys/firmware/acpi", F_OK) == 0 ? RB_POWER_OFF : RB_AUTOBOOT;
}

/* Read the first bytes of the command line of a process.  Return: their number. */
static size_t command_line(int proc, const char *pid, char *line, size_t size)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%.32s/cmdline", pid);
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, line, size - 1);
	if (fd >= 0)
		(void)close(fd);
	line[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* Return: true if the process is a program of the image.  Threads of the kernel and ended processes
 * have no command line; that of an agent begins with '@'. */
static bool is_program(int proc, const char *pid)
{
	char line[2];

	return *pid >= '1' && *pid <= '9' && strcmp(pid, "1") != 0 &&
	       command_line(proc, pid, line, sizeof(line)) && line[0] != '@';
}

/* Return: true if @is is true of an entry of the folder @name of /proc. */
static bool any_entry(int proc, const char *name, bool (*is)(int proc, const char *entry))
{
	int fd = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	bool any = false;

	while (d && !any && (e = readdir(d)))
		any = is(dirfd(d), e->d_name);
	if (d)
		(void)closedir(d);
	return any;
}

static bool programs_run(int proc)
{
	return any_entry(proc, ".", is_program);
}

/* Remount one file system read-only, so that it needs no journal replayed at its next mount.  A
 * process that was killed may have a file open for a moment. */
static void close_volume(const char *dir)
{
	for (unsigned ms = 0; ms < CLOSE_MS; ms += STEP_MS) {
		if (mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0 || errno != EBUSY)
			return;
		(void)poll(NULL, 0, STEP_MS);
	}
}

/* Close the volumes.  The paths in the table of mounts begin at the root of process 1. */
static void close_volumes(int proc)
{
	const int root = openat(proc, "1/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		  fd = openat(proc, "1/mounts", O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	const struct mntent *m;

	if (root >= 0 && fchdir(root) == 0)
		(void)!chroot(".");
	while (f && (m = getmntent(f)))
		if (strcmp(m->mnt_type, "ext4") == 0 && strcmp(m->mnt_dir, "/") != 0)
			close_volume(m->mnt_dir);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

_Noreturn void end_now(int proc, int how, int signal, unsigned grace_ms, void (*reap)(void))
{
	/* By the clock: in a slow guest each look takes longer than the pause. */
	const uint64_t end = now_ms() + grace_ms;

	(void)kill(-1, signal);
	(void)kill(-1, SIGCONT);
	while (now_ms() < end && programs_run(proc)) {
		(void)poll(NULL, 0, STEP_MS);
		reap();
	}
	(void)kill(-1, SIGKILL);
	sync();
	close_volumes(proc);
	(void)mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
	(void)reboot(how);
	for (;;)
		(void)pause();
}

/* Return: the last component of a path. */
static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Return: the signal by which process 1 powers off, or 0: it is not known. */
static int signal_of_init(int proc)
{
	char exe[256], line[256];
	ssize_t n = readlinkat(proc, "1/exe", exe, sizeof(exe) - 1);

	exe[n > 0 ? n : 0] = '\0';
	exe[strcspn(exe, " ")] = '\0'; /* "(deleted)" behind a program that was upgraded */
	(void)command_line(proc, "1", line, sizeof(line));
	if (line[0] == '@')
		return SIGPWR;
	if (strcmp(base_of(exe), "systemd") == 0)
		return SYSTEMD_POWEROFF;
	/* A script that busybox runs has the program's own name first. */
	if (strncmp(base_of(exe), "busybox", 7) == 0 && strcmp(base_of(line), "init") == 0)
		return SIGUSR2;
	return 0;
}

static bool is_input(int fds, const char *fd)
{
	char to[32];
	ssize_t n = readlinkat(fds, fd, to, sizeof(to) - 1);

	to[n > 0 ? n : 0] = '\0';
	return strncmp(to, "/dev/input/event", 16) == 0;
}

/* Return: true if the process has an input device open. */
static bool reads_input(int proc, const char *pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%.32s/fd", pid);
	return *pid >= '1' && *pid <= '9' && any_entry(proc, path, is_input);
}

/* Return: true if a program reads the power button, which is an input device
 * (drivers/acpi/button.c), as acpid(8) and elogind(8) do. */
static bool button_is_minded(int proc)
{
	return any_entry(proc, ".", reads_input);
}

/* Return: true if init has asked for Ctrl-Alt-Del (reboot(2), RB_DISABLE_CAD), which Firecracker
 * has in the place of the button.  Otherwise the kernel itself would end the guest. */
static bool keys_are_minded(int proc)
{
	char on = '1';
	int fd = openat(proc, "sys/kernel/ctrl-alt-del", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!read(fd, &on, 1);
		(void)close(fd);
	}
	return on == '0';
}

static void reap_all(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

_Noreturn void end_asked(int proc, unsigned grace_ms)
{
	const uint64_t begin = now_ms();
	const int sig = signal_of_init(proc);
	const int how = end_power_off();

	if (sig)
		(void)kill(1, sig);
	const bool minded = sig ||
			    (how == RB_POWER_OFF ? button_is_minded(proc) : keys_are_minded(proc));
	const unsigned most = minded ? LONGEST_MS : UNTOLD_MS;
	if (grace_ms > most)
		grace_ms = most;
	sync(); /* the monitor may be killed before the guest has ended */
	const uint64_t spent = now_ms() - begin;
	(void)poll(NULL, 0, spent < grace_ms ? (int)(grace_ms - spent) : 0);
	end_now(proc, how, SIGTERM, PROGRAMS_MS, reap_all);
}
