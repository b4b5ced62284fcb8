/* export.c - writes a file system to a file that the user named, or to standard output. */
#include "controller/cli/export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fdio.h"

/* ---- the output ---- */

static int failed(const char *name, struct error *e)
{
	return error_set(e, FAIL_GENERAL, name, "%s", strerror(errno));
}

static int not_written(const struct sink *s, struct error *e)
{
	const bool full = errno == ENOSPC || errno == EDQUOT;

	(void)failed(s->name, e);
	if (full && s->hint)
		error_hint(e, "%s", s->hint);
	return -1;
}

static int write_zeros(int fd, uint64_t n)
{
	static const char zeros[65536];

	for (; n > 0; n -= n < sizeof(zeros) ? n : sizeof(zeros))
		if (fdio_write_all(fd, zeros, n < sizeof(zeros) ? n : sizeof(zeros)) < 0)
			return -1;
	return 0;
}

static int skip(struct sink *s, uint64_t to)
{
	const uint64_t n = to - s->at;

	if (n == 0)
		return 0;
	s->at = to;
	if (!s->sparse)
		return write_zeros(s->fd, n);
	return lseek(s->fd, (off_t)to, SEEK_SET) < 0 ? -1 : 0;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return n > 0 && p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

int sink_put(struct sink *s, uint64_t at, const void *data, size_t n, struct error *e)
{
	if (signals_pending(s->c))
		return signals_error(s->c, s->c->command->verb, e);
	if (at < s->at)
		return error_set(e, FAIL_GENERAL, s->name, "its parts do not come in order");
	if (skip(s, at) < 0)
		return not_written(s, e);
	if (s->sparse && is_zero(data, n))
		return 0; /* the next skip makes a hole of it */
	if (fdio_write_all(s->fd, data, n) < 0)
		return not_written(s, e);
	s->at += n;
	return 0;
}

int sink_end(struct sink *s, uint64_t size, struct error *e)
{
	if (sink_put(s, size, NULL, 0, e) < 0)
		return -1;
	/* The file may end with a hole. */
	return s->sparse && ftruncate(s->fd, (off_t)size) < 0 ? not_written(s, e) : 0;
}

/* ---- the file ---- */

int export_check(const struct cli *c, const char *path, struct error *e)
{
	struct stat st;

	if (strcmp(path, "-") != 0) {
		if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
			return error_set(e, FAIL_USAGE, path, "exists and is not a regular file");
		return 0;
	}
	if (!c->out_tty)
		return 0;
	(void)error_set(e, FAIL_USAGE, c->command->verb,
			"a file system is not written to a terminal");
	error_hint(e, "banger %s %s %s FILE", c->command->noun, c->command->verb, c->pos[0]);
	return -1;
}

/* A file that is to take the place of @path. */
struct new_file {
	const char *path, *temp; /* temp: its name until it is complete */
	bool unnamed;            /* it has none until then */
	int fd;
};

/* Open it in the folder of @path. */
static int new_file(struct new_file *f, mode_t mode, struct error *e)
{
	const char *slash = strrchr(f->path, '/');
	_cleanup_free_ char *dir = slash ? strndup(f->path, (size_t)(slash - f->path) + 1)
					 : strdup(".");

	if (!dir) {
		(void)failed(f->path, e);
		return -1;
	}
	f->fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
	f->unnamed = f->fd >= 0;
	/* open(2): a file system, or a kernel, that has no unnamed files */
	if (f->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		f->fd = open(f->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	return f->fd < 0 ? failed(f->path, e) : 0;
}

/* Name the unnamed file @fd.  Return: 0, or -1 with errno: EEXIST. */
static int link_to(int fd, const char *path)
{
	char self[32];

	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

/* Put the complete file in the place of @path. */
static int take_place(const struct new_file *f, struct error *e)
{
	if (f->unnamed && link_to(f->fd, f->path) == 0)
		return 0;
	if (f->unnamed && (errno != EEXIST || link_to(f->fd, f->temp) < 0))
		return failed(f->path, e);
	if (rename(f->temp, f->path) == 0)
		return 0;
	(void)failed(f->path, e);
	(void)unlink(f->temp);
	return -1;
}

static int to_file(struct cli *c, const char *path, const struct export_source *from,
		   struct error *e)
{
	_cleanup_free_ char *temp = NULL;

	if (asprintf(&temp, "%s.%d", path, (int)getpid()) < 0) {
		temp = NULL;
		return error_set(e, FAIL_GENERAL, path, "out of memory");
	}
	struct new_file f = { .path = path, .temp = temp, .fd = -1 };
	if (new_file(&f, from->mode, e) < 0)
		return -1;
	struct sink s = { .c = c, .name = path, .fd = f.fd, .sparse = true };
	int r = from->copy(from->arg, &s, e);
	/* Some file systems report only here that the disk is full (NFS, fsync(2)). */
	if (r == 0 && fsync(f.fd) < 0)
		r = failed(path, e);
	if (r == 0)
		r = take_place(&f, e);
	else if (!f.unnamed)
		(void)unlink(temp);
	(void)close(f.fd);
	return r;
}

int export_to(struct cli *c, const char *path, const struct export_source *from, struct error *e)
{
	struct sink s = { .c = c, .name = "standard output", .fd = STDOUT_FILENO };

	/* There is nothing to clean up, and a write to a pipe may wait for ever: a signal ends the
	 * program. */
	if (strcmp(path, "-") == 0)
		return from->copy(from->arg, &s, e);
	return signals_hold(c, e) < 0 ? -1 : to_file(c, path, from, e);
}
