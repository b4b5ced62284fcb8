/* terminal.c - the user's terminal. */
#include "controller/cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "common/fdio.h"

static struct termios before;
static int guard = -1; /* the pipe to the process that guards the terminal */
static pid_t guard_pid;

bool terminal_make_raw(void)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &before) < 0)
		return false;
	raw = before;
	cfmakeraw(&raw);
	return tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

/* End the guard without its work. */
static void dismiss(void)
{
	if (guard < 0)
		return;
	(void)!write(guard, "", 1);
	fdio_close_all(&guard, 1);
	while (waitpid(guard_pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Does not wait for output: a terminal that is stopped would hold us for ever. */
void terminal_restore(void)
{
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
	dismiss();
}

static bool same_mode(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
	       a->c_lflag == b->c_lflag && memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

/* The guard: wait for a byte, or for the end of the process that would write it.  In a session of
 * its own no signal to the terminal's processes ends it, and it may change a terminal that is not
 * its controlling one (tty_check_change() in drivers/tty/tty_jobctrl.c). */
static void keep_guard(int fd, const struct termios *raw)
{
	struct termios now;
	char byte;
	ssize_t n;

	(void)setsid();
	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 0 && tcgetattr(STDIN_FILENO, &now) == 0 && same_mode(&now, raw))
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void set_guard(void)
{
	struct termios raw;
	int p[2];

	if (tcgetattr(STDIN_FILENO, &raw) < 0 || pipe2(p, O_CLOEXEC) < 0)
		return;
	guard_pid = fork();
	if (guard_pid == 0) {
		/* No other descriptor: a pipe of the caller's would not end with the caller. */
		(void)dup2(p[0], STDOUT_FILENO);
		(void)close_range(STDOUT_FILENO + 1, UINT_MAX, 0);
		keep_guard(STDOUT_FILENO, &raw);
		_exit(0);
	}
	(void)close(p[0]);
	guard = p[1];
	if (guard_pid < 0)
		fdio_close_all(&guard, 1);
}

bool terminal_make_raw_guarded(void)
{
	if (!terminal_make_raw())
		return false;
	set_guard();
	return true;
}

int terminal_open_output(int fd, size_t *chunk)
{
	char path[32];

	*chunk = PIPE_BUF;
	if (!isatty(fd))
		return -1;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int opened = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (opened < 0)
		*chunk = TERMINAL_CHUNK;
	return opened;
}
