#include "controller/cli/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/cli/out.h"

#define PATIENCE_MS 5000

/* Have the next program run in our SELinux domain, if a policy is loaded and permits the choice.
 * Without new privileges (prctl(2)) it stays there in any case, but an enforcing kernel logs that
 * as a denial. */
static int stay_here(void)
{
	_cleanup_close_ int now = open("/proc/self/attr/current", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int next = open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC);
	char domain[256];
	ssize_t n = now < 0 ? -1 : read(now, domain, sizeof(domain));

	if (n > 0 && next >= 0)
		(void)!write(next, domain, (size_t)n);
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Change to another account.  Its program inherits only our output, and gets a session of its own:
 * in our session it could open /dev/tty and push input to our user's shell (TIOCSTI,
 * ioctl_tty(2)). */
static int become(const struct account *as)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0 ||
	    close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return -1;
	(void)umask(077);
	return setsid() < 0 || setgroups(0, NULL) < 0 || setresgid(as->gid, as->gid, as->gid) < 0 ||
			       setresuid(as->uid, as->uid, as->uid) < 0
		       ? -1
		       : 0;
}

/* Give a descriptor the number @to.  dup2(2) clears its close-on-exec flag only if it moves it. */
static int give(int fd, int to)
{
	return fd == to ? fcntl(fd, F_SETFD, 0) : dup2(fd, to);
}

_Noreturn static void child(const char *const argv[], const struct proc_io *io, int out)
{
	signals_release();
	(void)signal(SIGPIPE, SIG_DFL);
	if (out >= 0 && dup2(out, STDOUT_FILENO) < 0)
		_exit(126);
	if (out < 0 && io->quiet_out && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(126);
	int null = io->null_err ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
	if (null >= 0)
		(void)dup2(null, STDERR_FILENO);
	if ((io->in && give(io->in, STDIN_FILENO) < 0) || (io->third && give(io->third, 3) < 0))
		_exit(126);
	if (io->dir && chdir(io->dir) < 0)
		_exit(126);
	if (io->as && become(io->as) < 0)
		_exit(126);
	if (io->stay && stay_here() < 0)
		_exit(126);
	(void)execvp(argv[0], (char *const *)argv);
	_exit(errno == ENOENT ? 127 : 126);
}

static void drain(int fd, const struct proc_io *io, size_t *have, bool *open_)
{
	char scrap[4096];
	size_t room = io->capture_size - 1 - *have;
	ssize_t n = read(fd, room ? io->capture + *have : scrap, room ? room : sizeof(scrap));

	if (n <= 0 && errno != EINTR)
		*open_ = false;
	if (n > 0 && room)
		*have += (size_t)n;
	io->capture[*have] = '\0';
}

/* Wait until @pid ends.  Meanwhile, forward signals and fill the capture buffer. */
static void tend(struct cli *c, pid_t pid, int pidfd, int out, const struct proc_io *io)
{
	uint64_t deadline = io->most_ms ? clock_boot_ns() / 1000000 + io->most_ms : 0;
	bool reading = out >= 0;
	size_t have = 0;

	for (;;) {
		bool told = c->signal != 0;
		struct pollfd p[] = { { pidfd, POLLIN, 0 },
				      { reading ? out : -1, POLLIN, 0 },
				      { told ? -1 : c->sigfd, POLLIN, 0 } };
		int left = -1;
		if (deadline) {
			uint64_t now = clock_boot_ns() / 1000000;
			left = now < deadline ? (int)(deadline - now) : 0;
		}
		int n = poll(p, ARRAY_SIZE(p), left);
		if (n == 0) {
			(void)kill(pid, SIGKILL);
			deadline = 0;
			continue;
		}
		if (p[1].revents)
			drain(out, io, &have, &reading);
		if (p[2].revents && signals_pending(c)) {
			(void)kill(pid, c->signal);
			deadline = clock_boot_ns() / 1000000 + PATIENCE_MS;
		}
		if (p[0].revents && !p[1].revents)
			return;
	}
}

int proc_run(struct cli *c, const char *const argv[], const struct proc_io *io, struct error *e)
{
	static const struct proc_io plain;
	int pipes[2] = { -1, -1 }, status;

	if (!io)
		io = &plain;
	if (signals_pending(c))
		return signals_error(c, argv[0], e);
	if (io->capture && pipe2(pipes, O_CLOEXEC) < 0)
		return error_set(e, FAIL_GENERAL, argv[0], "pipe: %s", strerror(errno));
	out_stage_end(c);
	(void)fflush(c->out);
	pid_t pid = fork();
	if (pid == 0)
		child(argv, io, pipes[1]);
	_cleanup_close_ int out = pipes[0];
	if (pipes[1] >= 0)
		(void)close(pipes[1]);
	if (pid < 0)
		return error_set(e, FAIL_GENERAL, argv[0], "fork: %s", strerror(errno));
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	bool before = c->signal != 0;
	if (pidfd >= 0)
		tend(c, pid, pidfd, out, io);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!before && c->signal)
		return signals_error(c, argv[0], e);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int proc_must(struct cli *c, const char *const argv[], const struct proc_io *io,
	      const char *package, struct error *e)
{
	int status = proc_run(c, argv, io, e);

	if (status <= 0)
		return status;
	if (status == 127) {
		error_set(e, FAIL_HOST, argv[0], "not on this host");
		if (package)
			error_hint(e, "install the package %s", package);
		return -1;
	}
	return error_set(e, FAIL_GENERAL, argv[0], "ended with status %d", status);
}

bool proc_exists(const char *name)
{
	const char *path = getenv("PATH");
	char full[4096];

	for (const char *p = path ? path : "/usr/bin:/bin:/usr/sbin:/sbin"; *p;) {
		size_t n = strcspn(p, ":");
		(void)snprintf(full, sizeof(full), "%.*s/%s", (int)n, p, name);
		if (n && access(full, X_OK) == 0)
			return true;
		p += n + (p[n] == ':');
	}
	return false;
}

const char *home_dir(void)
{
	const char *home = getenv("HOME");
	struct stat st;

	/* sudo(8) may leave root the HOME of its caller, who could not change the files that root
	 * would make there. */
	bool others = home && geteuid() == 0 && stat(home, &st) == 0 && st.st_uid != 0;
	if (home && *home == '/' && !others)
		return home;
	struct passwd *pw = getpwuid(getuid());
	return pw && pw->pw_dir && *pw->pw_dir == '/' ? pw->pw_dir : NULL;
}

int make_dirs(const char *path)
{
	char part[4096];

	for (const char *p = path; *p;) {
		p += strspn(p, "/");
		p += strcspn(p, "/");
		(void)snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

/* Return: $TMPDIR, or NULL.  sudo(8) may leave root that of its caller, who could replace there
 * what root makes. */
static const char *given_tempdir(void)
{
	const char *tmp = getenv("TMPDIR");
	struct stat st;

	if (!tmp || *tmp != '/')
		return NULL;
	if (geteuid() != 0)
		return tmp;
	/* In a sticky folder (inode(7)) a file is renamed by its owner and the folder's alone. */
	return stat(tmp, &st) == 0 && st.st_uid == 0 &&
			       (st.st_mode & S_ISVTX || !(st.st_mode & (S_IWGRP | S_IWOTH)))
		       ? tmp
		       : NULL;
}

int tempdir_make(char *path, size_t size, struct error *e)
{
	const char *tmp = given_tempdir(), *home = home_dir();
	char cache[4096];

	if (tmp) {
		(void)snprintf(path, size, "%s/banger-XXXXXX", tmp);
	} else {
		(void)snprintf(cache, sizeof(cache), "%s/.cache/banger", home ? home : "");
		bool mine = home && make_dirs(cache) == 0;
		(void)snprintf(path, size, "%s/banger-XXXXXX", mine ? cache : "/tmp");
	}
	if (!mkdtemp(path))
		return error_set(e, FAIL_GENERAL, path, "%s", strerror(errno));
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	(void)remove(path);
	return 0;
}

void tempdir_remove(struct cli *c, const char *path)
{
	/* The caller may not enter folders that mmdebstrap or tar made with subordinate ids.
	 * Remove the rest in a user namespace that maps these ids.  A held signal must not stop
	 * this. */
	const char *const again[] = { "unshare", "--map-root-user", "--map-auto", "rm", "-rf", path,
				      NULL };
	const struct proc_io io = { .null_err = true };
	struct error e;
	int was = c->signal;

	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	if (access(path, F_OK) < 0)
		return;
	c->signal = 0;
	(void)proc_run(c, again, &io, &e);
	c->signal = was;
}
