/* proc.h - runs other programs and waits for them, in temporary folders. */
#ifndef BANGER_CLI_PROC_H
#define BANGER_CLI_PROC_H

#include <stddef.h>

#include "common/config.h"
#include "controller/cli/cli.h"

/* The destination of a program's output; all zero: it shares this program's. */
struct proc_io {
	bool quiet_out; /* stdout goes to our stderr; our stdout carries only the result */
	bool null_err;  /* stderr goes to /dev/null */
	char *capture;  /* stdout goes into this buffer, NUL-terminated, cut at its size */
	size_t capture_size;
	const char *dir;          /* working folder */
	int in, third;            /* descriptors that it gets as 0 and as 3; 0: ours, and none */
	const struct account *as; /* run under this account, without other groups, and inherit only
				     the output; NULL: under ours */
	unsigned most_ms;         /* kill the program after this time; 0: no limit */
	bool stay;                /* no new privileges: the program stays in our SELinux domain, as
				     another domain might have no access to our files */
};

/**
 * proc_run() - run argv[0] from PATH and wait for it
 *
 * A signal of signals_hold() is forwarded to the program, which then has five seconds to end before
 * it is killed.
 * Return: the exit status; 128 + n if signal n ended the program, 127 if it does not exist; -1 with
 * @e if it could not be started, or after a held signal.
 */
int proc_run(struct cli *c, const char *const argv[], const struct proc_io *io, struct error *e);

/* As proc_run(), but any status except 0 is an error.  @hint: the program's package, or NULL. */
int proc_must(struct cli *c, const char *const argv[], const struct proc_io *io,
	      const char *package, struct error *e);

/* Return: true if PATH has the program. */
bool proc_exists(const char *name);

/* Make a folder with mode 0700 in $TMPDIR, ~/.cache/banger or /tmp, the first that works.  Root
 * uses $TMPDIR only if root owns it and other users can replace nothing in it.  Return: 0, or -1
 * with @e. */
int tempdir_make(char *path, size_t size, struct error *e);
/* Remove the folder and its content. */
void tempdir_remove(struct cli *c, const char *path);

/* Return: the caller's home by HOME or the password database, or NULL.  Root's HOME is not used if
 * another user owns it. */
const char *home_dir(void);
/* Make @path and its parents with mode 0700.  Return: 0, or -1 with errno. */
int make_dirs(const char *path);

#endif
