/* proc.h - other programs, run and waited for, and the temporary folders they work in. */
#ifndef BANGER_CLI_PROC_H
#define BANGER_CLI_PROC_H

#include <stddef.h>

#include "common/config.h"
#include "controller/cli/cli.h"

/* Where a program's output goes; zero means: where ours goes. */
struct proc_io {
	bool quiet_out; /* stdout to our stderr: our stdout carries the result alone */
	bool null_err;  /* stderr to /dev/null */
	char *capture;  /* stdout into this buffer, NUL-terminated, cut at its size */
	size_t capture_size;
	const char *dir;          /* working folder */
	const struct account *as; /* as that account, with no other group, and nothing of ours but
				     its output; NULL: as us */
	unsigned most_ms;         /* killed after so long; 0: it has all the time it wants */
	bool stay; /* no new privileges: where SELinux would move it to a domain that our files are
		      closed to, it stays in ours */
};

/**
 * proc_run() - run argv[0] from PATH and wait for it
 *
 * A held signal (signals_hold()) is passed on to it, and it is still waited
 * for, five seconds at most; then it is killed.
 * Return: its exit status, 128 + n when signal n ended it, 127 when there is no
 * such program; -1 with @e when it could not be started or we were interrupted.
 */
int proc_run(struct cli *c, const char *const argv[], const struct proc_io *io, struct error *e);

/* proc_run() that takes only 0 for success.  @hint: a package that has the program, or NULL. */
int proc_must(struct cli *c, const char *const argv[], const struct proc_io *io,
	      const char *package, struct error *e);

/* Is there such a program in PATH? */
bool proc_exists(const char *name);

/* A new folder under $TMPDIR, else ~/.cache/banger, else /tmp; mode 0700.  Return: 0, or -1 with
 * @e. */
int tempdir_make(char *path, size_t size, struct error *e);
/* Remove it with all that is in it. */
void tempdir_remove(struct cli *c, const char *path);

/* The caller's home: HOME, else the password database; NULL when neither knows.  For root a HOME
 * that is another user's does not count. */
const char *home_dir(void);
/* @path and its parents, mode 0700. Return: 0, or -1 with errno. */
int make_dirs(const char *path);

#endif
