/* init.c - process 1 of a guest whose image has no init.
 *
 * guest/init has mounted everything and configured the network before it executes this program.
 * With an argument it starts the image's entry point, with the console as its output, and tells
 * there how it ended; the guest goes on.  Other commands are run by the agent, which is another
 * process. */
#include "controller/agent/init.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/agent/command.h"
#include "controller/agent/end.h"
#include "controller/agent/image.h"

#define BUTTONS_MAX 8
#define LOOK_MS 1000   /* pause between two looks for buttons, while there is none */
#define GRACE_MS 10000 /* from the image's signal to SIGKILL */

static struct {
	struct pollfd fd[1 + BUTTONS_MAX]; /* signals, then buttons */
	nfds_t n;
	pid_t entry; /* the image's entry point; 0: it does not run */
} init;

/* ---- the end of the guest ---- */

/* Tell on the console how the entry point has ended. */
static void tell_end(int status)
{
	init.entry = 0;
	if (WIFSIGNALED(status))
		(void)dprintf(STDERR_FILENO, "banger-init: signal %d ended the entry point\n",
			      WTERMSIG(status));
	else
		(void)dprintf(STDERR_FILENO, "banger-init: the entry point ended with status %d\n",
			      WEXITSTATUS(status));
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == init.entry)
			tell_end(status);
}

_Noreturn static void end(int how)
{
	static struct image_config image;
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	image_read(&image);
	end_now(proc, how, image_signal(&image), GRACE_MS, reap);
}

/* ---- signals and buttons ---- */

static void take_signals(void)
{
	struct signalfd_siginfo i;

	while (read(init.fd[0].fd, &i, sizeof(i)) == (ssize_t)sizeof(i)) {
		if (i.ssi_signo == SIGTERM || i.ssi_signo == SIGINT)
			end(RB_AUTOBOOT);
		if (i.ssi_signo != SIGCHLD)
			end(end_power_off());
	}
	reap();
}

/* Return: true if the power button was pressed. */
static bool take_keys(int fd)
{
	struct input_event ev;

	while (read(fd, &ev, sizeof(ev)) == (ssize_t)sizeof(ev))
		if (ev.type == EV_KEY && ev.code == KEY_POWER && ev.value)
			return true;
	return false;
}

/* The drivers of all buttons were loaded by guest/init, but their nodes may come later. */
static void look_for_buttons(void)
{
	DIR *d = opendir("/dev/input");
	const struct dirent *e;

	while (d && init.n < 1 + BUTTONS_MAX && (e = readdir(d))) {
		int fd = strncmp(e->d_name, "event", 5) != 0
				 ? -1
				 : openat(dirfd(d), e->d_name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			init.fd[init.n++] = (struct pollfd){ fd, POLLIN, 0 };
	}
	if (d)
		(void)closedir(d);
}

static int open_signals(void)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	(void)sigemptyset(&all);
	for (const int *s = (const int[]){ SIGCHLD, SIGUSR1, SIGUSR2, SIGPWR, SIGTERM, SIGINT, 0 };
	     *s; s++)
		(void)sigaddset(&all, *s);
	return signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* ---- its begin ---- */

/* The root moves as in switch_root(8); the initramfs stays below it, for the agent. */
static int enter_root(void)
{
	if (chdir(NEW_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		return -1;
	return chdir("/");
}

static void start_entry(void)
{
	static struct command c;
	char why[200] = "";
	const int null = open("/dev/null", O_RDONLY | O_CLOEXEC),
		  streams[3] = { null, STDOUT_FILENO, STDERR_FILENO };

	if (null < 0 || command_start_entry(&c, streams, &init.entry, why) != 0)
		(void)dprintf(STDERR_FILENO, "banger-init: the entry point: %s\n", why);
	if (null >= 0)
		(void)close(null);
}

int init_run(bool entry)
{
	init.fd[0] = (struct pollfd){ open_signals(), POLLIN, 0 };
	init.n = 1;
	if (init.fd[0].fd < 0 || enter_root() < 0) {
		perror("banger-init: the root");
		return 1;
	}
	/* Ctrl-Alt-Del, which Firecracker sends for a power button, becomes SIGINT. */
	(void)reboot(RB_DISABLE_CAD);
	if (entry)
		start_entry();
	for (;;) {
		if (init.n == 1)
			look_for_buttons();
		(void)poll(init.fd, init.n, init.n == 1 ? LOOK_MS : -1);
		if (init.fd[0].revents)
			take_signals();
		for (nfds_t i = 1; i < init.n; i++)
			if (init.fd[i].revents && take_keys(init.fd[i].fd))
				end(end_power_off());
	}
}
