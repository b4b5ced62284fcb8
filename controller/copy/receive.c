/* receive.c - makes files and folders from a stream of records.
 *
 * The stream may be hostile.  A folder that is open is a descriptor, and each entry is one name in
 * the innermost one (proto/tree.c), so no path of the stream is resolved but that of LINK, which
 * openat2(2) keeps below the outermost folder.  No symbolic link is followed, no device, FIFO or
 * socket is made, and what exists already is replaced by rename(2) or left as it is: nothing is
 * written into a file that the copy did not make. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "controller/copy/copy.h"

/* What is given to an entry when it is complete. */
struct meta {
	unsigned mode;
	uid_t uid;
	gid_t gid;
	struct timespec mtime;
};

static struct {
	const struct copy *c;
	struct tree_reader in;
	struct tree_record record;
	struct copy_path at; /* for messages */
	/* Folders that are open; the first is the destination. */
	struct folder {
		int fd;
		bool made; /* by this copy, so it gets its meta */
		struct meta meta;
		size_t at; /* bytes of the path outside of it */
	} open[TREE_DEPTH + 1];
	size_t depth;
	/* The file or link that is being made. */
	struct {
		int dir, fd;
		char temporary[40]; /* "": none */
		char name[TREE_NAME + 1];
		struct meta meta;
		uint64_t pos, size;
		size_t at;
	} file;
	char *rename; /* the name that the outermost entry gets; NULL: its own */
	size_t seen;  /* outermost entries */
} s;

/* Report what can not be made.  Return: -1. */
static int problem(const char *why)
{
	s.c->problem(s.at.v, why);
	return -1;
}

static int problem_errno(void)
{
	return problem(strerrordesc_np(errno));
}

static int broken(void)
{
	return problem("what arrives is not a copy of files");
}

static void moved(uint64_t n)
{
	if (s.c->moved)
		s.c->moved(s.at.v, n);
}

static struct meta meta_of(const struct tree_entry *e)
{
	return (struct meta){
		e->mode & (s.c->owners ? 07777 : 0777), e->uid, e->gid, { e->mtime, e->mtime_ns }
	};
}

/* Give @fd its owner, mode and time; chown(2) clears bits of the mode. */
static int give_meta(int fd, const struct meta *m)
{
	const struct timespec times[2] = { { 0, UTIME_OMIT }, m->mtime };

	return (s.c->owners && fchown(fd, m->uid, m->gid) < 0) || fchmod(fd, m->mode) < 0 ||
			       futimens(fd, times) < 0
		       ? -1
		       : 0;
}

/* ---- the entry that is being made ---- */

void copy_abandon(int sig)
{
	if (s.file.temporary[0])
		(void)unlinkat(s.file.dir, s.file.temporary, 0);
	_exit(sig ? 128 + sig : COPY_FAILED);
}

/* Remove what is not complete.  Return: -1. */
static int drop_file(void)
{
	if (s.file.fd >= 0)
		(void)close(s.file.fd);
	if (s.file.temporary[0])
		(void)unlinkat(s.file.dir, s.file.temporary, 0);
	s.file.fd = -1;
	s.file.temporary[0] = '\0';
	return -1;
}

/* Begin an entry: choose the name that it has until it is complete. */
static int begin(const char *name)
{
	uint64_t n;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		return problem("no random numbers");
	s.file.dir = s.open[s.depth].fd;
	s.file.fd = -1;
	(void)strcpy(s.file.name, name);
	(void)snprintf(s.file.temporary, sizeof(s.file.temporary), ".banger-cp.%016llx",
		       (unsigned long long)n);
	return 0;
}

/* Give the complete entry its name. */
static int finish(void)
{
	struct stat st;

	if (fstatat(s.file.dir, s.file.name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode)) {
		(void)problem("a folder has this name");
		return drop_file();
	}
	if (renameat(s.file.dir, s.file.temporary, s.file.dir, s.file.name) < 0) {
		(void)problem_errno();
		return drop_file();
	}
	/* Two names of one file: rename(2) leaves both. */
	(void)unlinkat(s.file.dir, s.file.temporary, 0);
	s.file.temporary[0] = '\0';
	copy_path_cut(&s.at, s.file.at);
	return 0;
}

/* ---- files ---- */

static int end_file(void)
{
	int fd = s.file.fd;

	if (ftruncate(fd, (off_t)s.file.size) < 0 || give_meta(fd, &s.file.meta) < 0) {
		(void)problem_errno();
		return drop_file();
	}
	s.file.fd = -1;
	if (close(fd) < 0) {
		(void)problem_errno();
		return drop_file();
	}
	return finish();
}

static int make_file(const struct tree_entry *e, const char *name)
{
	if (begin(name) < 0)
		return -1;
	s.file.meta = meta_of(e);
	s.file.size = e->size;
	s.file.pos = 0;
	s.file.fd = openat(s.file.dir, s.file.temporary,
			   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s.file.fd < 0) {
		s.file.temporary[0] = '\0';
		return problem_errno();
	}
	return e->size ? 0 : end_file();
}

static int take_data(const uint8_t *data, size_t n)
{
	moved(n);
	while (n > 0) {
		ssize_t w = pwrite(s.file.fd, data, n, (off_t)s.file.pos);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0) {
			(void)problem_errno();
			return drop_file();
		}
		data += w;
		n -= (size_t)w;
		s.file.pos += (uint64_t)w;
	}
	return s.file.pos == s.file.size ? end_file() : 0;
}

static int take_hole(uint64_t n)
{
	moved(n);
	s.file.pos += n;
	return s.file.pos == s.file.size ? end_file() : 0;
}

/* ---- links ---- */

static int make_symlink(const struct tree_entry *e, const char *name)
{
	const struct timespec times[2] = { { 0, UTIME_OMIT }, { e->mtime, e->mtime_ns } };

	if (begin(name) < 0)
		return -1;
	if (symlinkat(e->target, s.file.dir, s.file.temporary) < 0) {
		s.file.temporary[0] = '\0';
		return problem_errno();
	}
	if ((s.c->owners &&
	     fchownat(s.file.dir, s.file.temporary, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0) ||
	    utimensat(s.file.dir, s.file.temporary, times, AT_SYMLINK_NOFOLLOW) < 0) {
		(void)problem_errno();
		return drop_file();
	}
	return finish();
}

/* Open the folder of @path below the outermost folder.  @name: out: the last component. */
static int open_parent(char *path, const char **name)
{
	const struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
						 RESOLVE_NO_MAGICLINKS };
	char *slash = strrchr(path, '/');

	*name = slash ? slash + 1 : path;
	if (slash)
		*slash = '\0';
	return (int)syscall(SYS_openat2, s.open[1].fd, slash ? path : ".", &how, sizeof(how));
}

static int make_link(struct tree_entry *e, const char *name)
{
	const char *last;
	int r, dir = open_parent(e->target, &last);

	if (dir < 0)
		return problem_errno();
	r = begin(name);
	/* Without AT_SYMLINK_FOLLOW a symbolic link is itself linked. */
	if (r == 0 && linkat(dir, last, s.file.dir, s.file.temporary, 0) < 0) {
		s.file.temporary[0] = '\0';
		r = problem_errno();
	}
	(void)close(dir);
	return r < 0 ? -1 : finish();
}

/* ---- folders ---- */

/* Make the folder, or open the one that has the name.  @made: out. */
static int open_folder(const char *name, bool *made)
{
	int dir = s.open[s.depth].fd;

	*made = false;
	if (!*name)
		return fcntl(dir, F_DUPFD_CLOEXEC, 0);
	*made = mkdirat(dir, name, 0700) == 0;
	if (!*made && errno != EEXIST)
		return -1;
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int enter(const struct tree_entry *e, const char *name, size_t at)
{
	bool made;
	int fd = open_folder(name, &made);

	if (fd < 0)
		return errno == ELOOP || errno == ENOTDIR
			       ? problem("what has this name is not a folder")
			       : problem_errno();
	s.open[++s.depth] = (struct folder){ fd, made, meta_of(e), at };
	return 0;
}

static int leave(void)
{
	struct folder *f = &s.open[s.depth--];
	int r = f->made && give_meta(f->fd, &f->meta) < 0 ? problem_errno() : 0;

	(void)close(f->fd);
	copy_path_cut(&s.at, f->at);
	return r;
}

/* ---- records ---- */

/* The name that an entry gets.  A sender that was asked for some files sends those, in that order,
 * or leaves some out.  Return: NULL if it sends another one. */
static const char *name_for(const struct tree_entry *e)
{
	if (s.depth > 0)
		return e->name;
	if (!copy_expected(s.c->names, &s.seen, e->name))
		return NULL;
	return s.rename ? s.rename : e->name;
}

static int make(struct tree_entry *e)
{
	const char *name = name_for(e);

	if (!name)
		return broken();
	size_t at = copy_path_add(&s.at, name);
	moved(0);
	if (e->type == TREE_FOLDER)
		return enter(e, name, at);
	s.file.at = at;
	return e->type == TREE_FILE      ? make_file(e, name)
	       : e->type == TREE_SYMLINK ? make_symlink(e, name)
					 : make_link(e, name);
}

/* Return: 1 at the end, 0, or -1. */
static int take(void)
{
	struct tree_record *m = &s.record;

	switch (m->type) {
	case TREE_DATA:
		return take_data(m->data, (size_t)m->n);
	case TREE_HOLE:
		return take_hole(m->n);
	case TREE_SPOILT:
		(void)drop_file();
		copy_path_cut(&s.at, s.file.at);
		return 0;
	case TREE_LEAVE:
		return leave();
	case TREE_END:
		return 1;
	default:
		return make(&m->entry);
	}
}

/* ---- the destination ---- */

/* Split @path into an open folder and the name of what is to be made there.  Return: 0, or -1. */
static int open_place(char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		path[--n] = '\0';
	char *slash = strrchr(path, '/');
	const char *folder = !slash ? "." : slash == path ? "/" : path;
	s.rename = strdup(slash ? slash + 1 : path);
	if (slash)
		*slash = '\0';
	if (!s.rename || !tree_is_name(s.rename) || strlen(s.rename) > TREE_NAME)
		return problem("it is not a name for a file");
	s.open[0].fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s.open[0].fd < 0)
		return problem_errno();
	copy_path_cut(&s.at, 0);
	if (slash)
		(void)copy_path_add(&s.at, folder);
	return 0;
}

/* Return: true if @to may be a link that the sender itself has made in an earlier copy: then it has
 * chosen where the link leads. */
static bool is_untrusted_link(const char *to)
{
	struct stat st;

	return s.c->names && lstat(to, &st) == 0 && S_ISLNK(st.st_mode);
}

/* Open the folder that gets the entries.  A destination that is no folder is the name of the only
 * entry; one that is a link to a file is that file. */
static int open_destination(const char *to)
{
	struct stat st;

	(void)copy_path_add(&s.at, to);
	if (is_untrusted_link(to))
		return problem(
			"it is a symbolic link: name what it leads to, or add / to a folder");
	bool into = s.c->into || (*to && to[strlen(to) - 1] == '/');
	if (stat(to, &st) < 0) {
		if (errno != ENOENT || into)
			return problem_errno();
		if (lstat(to, &st) == 0)
			return problem("it is a symbolic link to nothing");
		char *path = strdup(to);
		int r = path ? open_place(path) : problem("out of memory");
		free(path);
		return r;
	}
	if (S_ISDIR(st.st_mode)) {
		s.open[0].fd = open(to, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return s.open[0].fd < 0 ? problem_errno() : 0;
	}
	if (into)
		return problem("it is not a folder");
	if (!S_ISREG(st.st_mode))
		return problem("it is neither a file nor a folder");
	char *path = realpath(to, NULL);
	int r = path ? open_place(path) : problem_errno();
	free(path);
	return r;
}

/* @r: 1 at the end of the stream, 0 if it was cut, or -1. */
static enum copy_end end(int r)
{
	size_t wanted = 0;

	if (s.file.temporary[0])
		(void)drop_file();
	while (s.depth > 0)
		(void)close(s.open[s.depth--].fd);
	if (s.open[0].fd >= 0)
		(void)close(s.open[0].fd);
	free(s.rename);
	s.rename = NULL;
	while (s.c->names && s.c->names[wanted])
		wanted++;
	return r < 0 ? COPY_FAILED : r == 0 ? COPY_CUT : s.seen < wanted ? COPY_PARTLY : COPY_DONE;
}

enum copy_end copy_receive(const struct copy *c, const char *to)
{
	int r;

	memset(&s.in, 0, sizeof(s.in));
	s.c = c;
	s.depth = s.seen = 0;
	s.open[0].fd = s.file.fd = -1;
	copy_path_cut(&s.at, 0);
	if (open_destination(to) < 0)
		return end(-1);
	while ((r = copy_next(c->fd, &s.in, &s.record)) > 0)
		if ((r = take()) != 0)
			return end(r);
	if (r < 0)
		(void)(errno == EBADMSG ? broken() : problem_errno());
	return end(r);
}
