/* send.c - reads files and folders and sends them as a stream of records.
 *
 * No path is built: each folder is an open descriptor, and a name is opened below it without
 * following a link.  What can not be read is reported, and the copy goes on. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/copy/copy.h"

#define SLURP_MAX (1u << 20)

static struct {
	const struct copy *c;
	struct copy_out out;
	struct copy_path at;  /* of the entry, for messages */
	struct copy_path top; /* likewise, below the outermost folder */
	unsigned depth;
	bool partly, sent;
	void *links; /* tsearch(3): names of files that have several */
	uint8_t bytes[SLURP_MAX];
} s;

/* A file that has more than one name, and the first of them. */
struct known {
	dev_t dev;
	ino_t ino;
	char path[];
};

static int compare(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino == y->ino ? 0 : x->ino < y->ino ? -1 : 1;
}

/* Report what is left out.  Return: 0, to go on. */
static int leave_out(const char *why)
{
	s.c->problem(s.at.v, why);
	s.partly = true;
	return 0;
}

static int leave_out_errno(void)
{
	return leave_out(strerrordesc_np(errno));
}

static void moved(uint64_t n)
{
	if (s.c->moved)
		s.c->moved(s.at.v, n);
}

static void describe(struct tree_entry *e, enum tree_type type, const struct stat *st,
		     const char *name)
{
	e->type = type;
	e->mode = st->st_mode & 07777;
	e->uid = st->st_uid;
	e->gid = st->st_gid;
	e->mtime = st->st_mtim.tv_sec;
	e->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
	e->size = type == TREE_FILE ? (uint64_t)st->st_size : 0;
	e->target[0] = '\0';
	(void)strcpy(e->name, name);
	moved(0);
}

static int put_entry(const struct tree_entry *e)
{
	s.sent = true;
	return copy_put_entry(&s.out, e);
}

/* ---- files ---- */

/* Report a file that is left out.  Return: 1. */
static int leave_out_file(const char *why)
{
	(void)leave_out(why);
	return 1;
}

/* Send a file whose size the file system does not tell, as those of /proc: read it first. */
static int send_slurped(int fd, struct tree_entry *e)
{
	size_t n = 0;
	ssize_t got;

	while (n < sizeof(s.bytes) && (got = read(fd, s.bytes + n, sizeof(s.bytes) - n)) != 0) {
		if (got < 0 && errno != EINTR)
			return leave_out_file(strerrordesc_np(errno));
		n += got > 0 ? (size_t)got : 0;
	}
	if (n == sizeof(s.bytes))
		return leave_out_file("it is longer than it says");
	e->size = n;
	moved(n);
	return put_entry(e) < 0 || copy_put_data(&s.out, s.bytes, n) < 0 ? -1 : 0;
}

/* Send the bytes from @off to @end.  Return: 0; 1 if they can not be read; -1. */
static int send_bytes(int fd, uint64_t off, uint64_t end)
{
	while (off < end) {
		uint64_t want = end - off < TREE_CHUNK ? end - off : TREE_CHUNK;
		ssize_t n = pread(fd, s.bytes, (size_t)want, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return leave_out_file(n ? strerrordesc_np(errno)
						: "it became shorter while it was read");
		if (copy_put_data(&s.out, s.bytes, (size_t)n) < 0)
			return -1;
		off += (uint64_t)n;
		moved((uint64_t)n);
	}
	return 0;
}

/* Send the content: its holes as such, where the file system tells them (lseek(2), SEEK_HOLE).
 * Return: as send_file(). */
static int send_content(int fd, uint64_t size)
{
	for (uint64_t off = 0; off < size;) {
		off_t data = lseek(fd, (off_t)off, SEEK_DATA);
		off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		uint64_t from = data >= 0 ? (uint64_t)data : errno == ENXIO ? size : off;
		uint64_t to = hole >= 0 ? (uint64_t)hole : size;
		from = from < size ? from : size;
		to = to < size ? to : size;
		if (copy_put_hole(&s.out, from - off) < 0)
			return -1;
		int r = send_bytes(fd, from, to);
		if (r)
			return r < 0 || copy_put(&s.out, TREE_SPOILT) < 0 ? -1 : 1;
		off = to;
	}
	return 0;
}

/* Return: 0; 1 if the file was left out; -1: the stream can not be written. */
static int send_file(int dir, const char *name, struct tree_entry *e)
{
	/* O_NONBLOCK: the name may be that of a FIFO by now. */
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		return leave_out_file(strerrordesc_np(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		r = leave_out_file("it changed while it was read");
	} else if (st.st_blocks == 0 && (uint64_t)st.st_size < SLURP_MAX) {
		r = send_slurped(fd, e);
	} else {
		e->size = (uint64_t)st.st_size;
		r = put_entry(e) < 0 ? -1 : send_content(fd, e->size);
	}
	(void)close(fd);
	return r;
}

/* Make @e a LINK, if the file was sent already; else remember its name.  Names of outermost files
 * are not remembered: a LINK is below a folder. */
static bool is_link(struct tree_entry *e, const struct stat *st)
{
	size_t n = s.top.n + 1;
	struct known *k = st->st_nlink > 1 && s.depth && n <= TREE_TARGET ? malloc(sizeof(*k) + n)
									  : NULL;

	if (!k)
		return false;
	k->dev = st->st_dev;
	k->ino = st->st_ino;
	memcpy(k->path, s.top.v, n);
	struct known **found = tsearch(k, &s.links, compare);
	if (found && *found == k)
		return false;
	free(k);
	if (!found)
		return false;
	e->type = TREE_LINK;
	e->size = 0;
	(void)strcpy(e->target, (*found)->path);
	return true;
}

/* Send a file, or one more name of a file that was sent. */
static int send_regular(int dir, const char *name, struct tree_entry *e, const struct stat *st)
{
	const struct known key = { .dev = st->st_dev, .ino = st->st_ino };

	if (is_link(e, st))
		return put_entry(e);
	int r = send_file(dir, name, e);
	struct known **found = r > 0 ? tfind(&key, &s.links, compare) : NULL;
	if (found) {
		struct known *k = *found;
		(void)tdelete(k, &s.links, compare);
		free(k);
	}
	return r < 0 ? -1 : 0;
}

static int send_symlink(int dir, const char *name, struct tree_entry *e)
{
	ssize_t n = readlinkat(dir, name, e->target, sizeof(e->target));

	if (n < 0)
		return leave_out_errno();
	if (n == 0 || (size_t)n >= sizeof(e->target))
		return leave_out("its target is too long");
	e->target[n] = '\0';
	return put_entry(e);
}

/* ---- folders ---- */

static int send_entry(int dir, const char *name, const char *as, int flags);

static int send_inside(int dir, const char *name)
{
	size_t at = copy_path_add(&s.at, name), top = copy_path_add(&s.top, name);
	int r = send_entry(dir, name, name, AT_SYMLINK_NOFOLLOW);

	copy_path_cut(&s.at, at);
	copy_path_cut(&s.top, top);
	return r;
}

static int send_entries(DIR *d)
{
	struct dirent *e;
	int r = 0;

	errno = 0;
	while (r == 0 && (e = readdir(d))) {
		if (tree_is_name(e->d_name))
			r = send_inside(dirfd(d), e->d_name);
		errno = 0;
	}
	return r == 0 && errno ? leave_out_errno() : r;
}

static int send_folder(int dir, const char *name, const struct tree_entry *e, int flags)
{
	int nofollow = flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0;

	if (s.depth == TREE_DEPTH)
		return leave_out("too many folders in one another");
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | nofollow);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		(void)leave_out_errno();
		if (fd >= 0)
			(void)close(fd);
		return 0;
	}
	s.depth++;
	int r = put_entry(e) < 0 || send_entries(d) < 0 ? -1 : copy_put(&s.out, TREE_LEAVE);
	s.depth--;
	(void)closedir(d);
	return r;
}

/* Send what is at @name in @dir, by the name @as.  @flags: of fstatat(2). */
static int send_entry(int dir, const char *name, const char *as, int flags)
{
	struct tree_entry e;
	struct stat st;

	if (strlen(as) > TREE_NAME)
		return leave_out("its name is too long");
	if (fstatat(dir, name, &st, flags) < 0)
		return leave_out_errno();
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		describe(&e, TREE_FILE, &st, as);
		return send_regular(dir, name, &e, &st);
	case S_IFDIR:
		describe(&e, TREE_FOLDER, &st, as);
		return send_folder(dir, name, &e, flags);
	case S_IFLNK:
		describe(&e, TREE_SYMLINK, &st, as);
		return send_symlink(dir, name, &e);
	default:
		s.c->problem(s.at.v, "it is a device, a socket or a FIFO, and is left out");
		s.partly |= s.depth == 0; /* it was named */
		return 0;
	}
}

/* Send what the user has named.  A link is followed by name, so that no entry is one. */
static int send_named(const char *path)
{
	char name[TREE_NAME + 1], *real = s.c->follow ? realpath(path, NULL) : NULL;
	const char *from = real ? real : path;
	int r;

	copy_path_cut(&s.at, 0);
	copy_path_cut(&s.top, 0);
	(void)copy_path_add(&s.at, path);
	if (!*path)
		r = leave_out("its name is empty");
	else if (!copy_name(path, name))
		r = leave_out("its name is too long");
	else
		r = send_entry(AT_FDCWD, from, name, AT_SYMLINK_NOFOLLOW);
	free(real);
	tdestroy(s.links, free);
	s.links = NULL;
	return r;
}

enum copy_end copy_send(const struct copy *c, char *const *paths)
{
	s.c = c;
	s.out.fd = c->fd;
	s.out.have = 0;
	s.partly = s.sent = false;
	s.depth = 0;
	for (; *paths; paths++)
		if (send_named(*paths) < 0)
			return COPY_CUT;
	if (copy_put(&s.out, TREE_END) < 0 || copy_flush(&s.out) < 0)
		return COPY_CUT;
	return !s.partly ? COPY_DONE : s.sent ? COPY_PARTLY : COPY_FAILED;
}
