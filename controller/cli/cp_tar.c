/* cp_tar.c - turns a tar stream into records, and records into a tar stream, by libarchive.
 *
 * libarchive reads only what the user brings.  What a guest sends is read by proto/tree.c. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <string.h>
#include <time.h>

#include "controller/cli/cp.h"

#define ZEROS 65536
#define DEPTH_MAX TREE_DEPTH

/* Names in pax headers are UTF-8; libarchive converts them to the locale's encoding. */
static void use_utf8(void)
{
	(void)setlocale(LC_CTYPE, "C.UTF-8");
}

/* ---- from tar ---- */

static struct {
	const struct copy *c;
	struct archive *a;
	struct copy_out out;
	struct copy_path at;    /* the folder that is open, below the destination */
	size_t cuts[DEPTH_MAX]; /* for each open folder: bytes of the path outside of it */
	unsigned depth;         /* folders that are open, without the destination */
	bool partly;
} in;

static int leave_out(const char *path, const char *why)
{
	in.c->problem(path, why);
	in.partly = true;
	return 0;
}

/* Copy @path without "/", "./" and "//".  Return: false if it has "..", or is too long or deep. */
static bool plain_path(const char *path, struct copy_path *plain)
{
	char name[TREE_NAME + 1];
	unsigned deep = 0;

	copy_path_cut(plain, 0);
	for (size_t n; *path; path += n + (path[n] == '/')) {
		n = strcspn(path, "/");
		if (n > TREE_NAME)
			return false;
		memcpy(name, path, n);
		name[n] = '\0';
		if (n == 0 || strcmp(name, ".") == 0)
			continue;
		if (!tree_is_name(name) || plain->n + 1 + n > TREE_TARGET || ++deep >= DEPTH_MAX)
			return false;
		(void)copy_path_add(plain, name);
	}
	return true;
}

static int put_folder(const struct tree_entry *e)
{
	in.cuts[in.depth++] = copy_path_add(&in.at, e->name);
	return copy_put_entry(&in.out, e);
}

static int put_leave(void)
{
	copy_path_cut(&in.at, in.cuts[--in.depth]);
	return copy_put(&in.out, TREE_LEAVE);
}

/* Return: true if the folder that is open is @path or outside of it. */
static bool is_within(const char *path)
{
	return in.at.n == 0 ||
	       (strncmp(path, in.at.v, in.at.n) == 0 && (path[in.at.n] == '/' || !path[in.at.n]));
}

/* Go to the folder @path; make folders that the archive does not name. */
static int go_to(const char *path)
{
	struct tree_entry e = { .type = TREE_FOLDER, .mode = 0755, .mtime = time(NULL) };

	while (!is_within(path))
		if (put_leave() < 0)
			return -1;
	while (in.at.n < strlen(path)) {
		const char *rest = path + in.at.n + (in.at.n > 0);
		(void)snprintf(e.name, sizeof(e.name), "%.*s", (int)strcspn(rest, "/"), rest);
		if (put_folder(&e) < 0)
			return -1;
	}
	return 0;
}

static void describe(struct tree_entry *e, struct archive_entry *ae, const char *name)
{
	*e = (struct tree_entry){ .mode = archive_entry_perm(ae) & 07777,
				  .uid = (uint32_t)archive_entry_uid(ae),
				  .gid = (uint32_t)archive_entry_gid(ae),
				  .mtime = archive_entry_mtime(ae),
				  .mtime_ns = (uint32_t)archive_entry_mtime_nsec(ae) };
	if (e->uid == UINT32_MAX || e->gid == UINT32_MAX)
		e->uid = e->gid = 0;
	if (e->mtime_ns > 999999999)
		e->mtime_ns = 0;
	(void)strcpy(e->name, name);
}

static int put_hole(uint64_t n, const char *path)
{
	if (in.c->moved)
		in.c->moved(path, n);
	return copy_put_hole(&in.out, n);
}

/* Return: 0; 1 if the archive can not be read; -1: the stream can not be written. */
static int put_content(const char *path, uint64_t size)
{
	const void *data;
	uint64_t pos = 0;
	la_int64_t off;
	size_t n;
	int r;

	while ((r = archive_read_data_block(in.a, &data, &n, &off)) == ARCHIVE_OK ||
	       r == ARCHIVE_WARN || r == ARCHIVE_RETRY) {
		if (r == ARCHIVE_RETRY || n == 0)
			continue;
		if (off < 0 || (uint64_t)off < pos || n > size || (uint64_t)off > size - n)
			break;
		if (put_hole((uint64_t)off - pos, path) < 0 || copy_put_data(&in.out, data, n) < 0)
			return -1;
		pos = (uint64_t)off + n;
		if (in.c->moved)
			in.c->moved(path, n);
	}
	if (r == ARCHIVE_EOF)
		return put_hole(size - pos, path);
	(void)leave_out(path, "the archive is damaged here, or ends");
	return pos < size && copy_put(&in.out, TREE_SPOILT) < 0 ? -1 : 1;
}

static int put_link(struct tree_entry *e, const char *path, const char *to)
{
	if (!to || !*to || strlen(to) > TREE_TARGET)
		return leave_out(path, "its target is missing or too long");
	(void)strcpy(e->target, to);
	return copy_put_entry(&in.out, e);
}

static int put_hard_link(struct tree_entry *e, const char *path, const char *to)
{
	static struct copy_path target;

	e->type = TREE_LINK;
	if (!plain_path(to, &target) || !target.n)
		return leave_out(path, "the name of what it links to can not be taken");
	return put_link(e, path, target.v);
}

/* Put an entry that is no folder.  Return: as put_content(). */
static int put_other(struct archive_entry *ae, struct tree_entry *e, const char *path)
{
	if (archive_entry_hardlink(ae))
		return put_hard_link(e, path, archive_entry_hardlink(ae));
	switch (archive_entry_filetype(ae)) {
	case AE_IFREG:
		e->type = TREE_FILE;
		e->size = archive_entry_size(ae) > 0 ? (uint64_t)archive_entry_size(ae) : 0;
		return copy_put_entry(&in.out, e) < 0 ? -1 : put_content(path, e->size);
	case AE_IFLNK:
		e->type = TREE_SYMLINK;
		return put_link(e, path, archive_entry_symlink(ae));
	default:
		in.c->problem(path, "it is a device, a socket or a FIFO, and is left out");
		return 0;
	}
}

/* Return: as put_content(). */
static int put_entry(struct archive_entry *ae)
{
	const char *given = archive_entry_pathname(ae);
	char name[TREE_NAME + 1];
	static struct copy_path path;
	struct tree_entry e;

	if (!given || !plain_path(given, &path))
		return leave_out(given ? given : "a name", "it can not be taken");
	if (in.c->moved)
		in.c->moved(path.v, 0);
	bool folder = archive_entry_filetype(ae) == AE_IFDIR && !archive_entry_hardlink(ae);
	if (path.n == 0 || (folder && strcmp(path.v, in.at.v) == 0))
		return 0; /* a folder that is open: the destination stays as it is */
	describe(&e, ae, copy_name(path.v, name));
	char *slash = strrchr(path.v, '/');
	copy_path_cut(&path, slash ? (size_t)(slash - path.v) : 0);
	if (go_to(path.v) < 0)
		return -1;
	e.type = TREE_FOLDER;
	if (folder)
		return put_folder(&e);
	(void)copy_path_add(&path, name);
	return put_other(ae, &e, path.v);
}

static struct archive *open_tar(int fd)
{
	struct archive *a = archive_read_new();

	if (!a)
		return NULL;
	archive_read_support_format_tar(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_zstd(a);
	if (archive_read_open_fd(a, fd, ZEROS) == ARCHIVE_OK)
		return a;
	in.c->problem("standard input", archive_error_string(a));
	archive_read_free(a);
	return NULL;
}

/* Return: as put_content(). */
static int put_entries(void)
{
	struct archive_entry *ae;
	int got, r = 0;

	while (r == 0 && (got = archive_read_next_header(in.a, &ae)) != ARCHIVE_EOF) {
		if (got == ARCHIVE_FATAL) {
			(void)leave_out("standard input", archive_error_string(in.a));
			return 1;
		}
		if (got != ARCHIVE_RETRY)
			r = put_entry(ae);
	}
	return r;
}

enum copy_end tar_send(const struct copy *c, int fd)
{
	const struct tree_entry top = { .type = TREE_FOLDER, .mode = 0755 };

	use_utf8();
	in.c = c;
	in.out.fd = c->fd;
	in.a = open_tar(fd);
	if (!in.a)
		return COPY_FAILED;
	int r = copy_put_entry(&in.out, &top) < 0 ? -1 : put_entries();
	while (r >= 0 && in.depth > 0)
		r = put_leave() < 0 ? -1 : r;
	(void)archive_read_free(in.a);
	if (r < 0 || copy_put(&in.out, TREE_LEAVE) < 0 || copy_put(&in.out, TREE_END) < 0 ||
	    copy_flush(&in.out) < 0)
		return COPY_CUT;
	return r > 0 ? COPY_FAILED : in.partly ? COPY_PARTLY : COPY_DONE;
}

/* ---- to tar ---- */

static struct {
	const struct copy *c;
	struct archive *a;
	struct tree_reader in;
	struct tree_record record;
	struct copy_path at;     /* the folder that is open */
	size_t cuts[TREE_DEPTH]; /* as above */
	size_t depth, seen;
	uint64_t left; /* bytes of the file's content */
	char top[TREE_NAME + 1];
} out;

static int failed(void)
{
	const char *why = archive_error_string(out.a);

	out.c->problem("standard output", archive_errno(out.a) == ENOSPC ? strerrordesc_np(ENOSPC)
					  : why                          ? why
									 : "it can not be written");
	return -1;
}

static int write_content(const void *data, size_t n)
{
	out.left -= n;
	if (out.c->moved)
		out.c->moved(out.at.v, n);
	return archive_write_data(out.a, data, n) < 0 ? failed() : 0;
}

static int write_zeros(uint64_t n)
{
	static const char zeros[ZEROS];

	for (uint64_t part; n > 0; n -= part) {
		part = n < ZEROS ? n : ZEROS;
		if (write_content(zeros, (size_t)part) < 0)
			return -1;
	}
	return 0;
}

/* The target of a hard link is below the outermost folder. */
static void set_target(struct archive_entry *ae, const struct tree_entry *e)
{
	static char path[TREE_NAME + TREE_TARGET + 2];

	if (e->type == TREE_SYMLINK)
		archive_entry_copy_symlink(ae, e->target);
	if (e->type != TREE_LINK)
		return;
	(void)snprintf(path, sizeof(path), "%s/%s", out.top, e->target);
	archive_entry_copy_hardlink(ae, path);
}

static int write_header(const struct tree_entry *e)
{
	struct archive_entry *ae = archive_entry_new();
	int r;

	if (!ae)
		return -1;
	archive_entry_copy_pathname(ae, out.at.v);
	archive_entry_set_filetype(ae, e->type == TREE_FOLDER    ? AE_IFDIR
				       : e->type == TREE_SYMLINK ? AE_IFLNK
								 : AE_IFREG);
	archive_entry_set_perm(ae, (__LA_MODE_T)e->mode);
	archive_entry_set_uid(ae, e->uid);
	archive_entry_set_gid(ae, e->gid);
	archive_entry_set_mtime(ae, e->mtime, (long)e->mtime_ns);
	archive_entry_set_size(ae, (la_int64_t)e->size);
	set_target(ae, e);
	r = archive_write_header(out.a, ae);
	archive_entry_free(ae);
	return r < ARCHIVE_WARN ? failed() : 0;
}

static int write_entry(const struct tree_entry *e)
{
	const char *name = e->name[0] ? e->name : ".";

	if (out.depth == 0 && !copy_expected(out.c->names, &out.seen, e->name)) {
		out.c->problem(e->name, "it was not asked for");
		return -1;
	}
	if (out.depth == 0)
		(void)strcpy(out.top, name);
	size_t before = copy_path_add(&out.at, name);
	if (out.at.n == before) {
		out.c->problem(out.at.v, "a path in it is too long");
		return -1;
	}
	if (out.c->moved)
		out.c->moved(out.at.v, 0);
	out.left = e->size;
	if (write_header(e) < 0)
		return -1;
	if (e->type == TREE_FOLDER)
		out.cuts[out.depth++] = before;
	else
		copy_path_cut(&out.at, before);
	return 0;
}

/* Return: 1 at the end, 0, or -1. */
static int take(void)
{
	struct tree_record *m = &out.record;

	switch (m->type) {
	case TREE_DATA:
		return write_content(m->data, (size_t)m->n);
	case TREE_HOLE:
		return write_zeros(m->n);
	case TREE_SPOILT:
		return write_zeros(out.left); /* its header is written already */
	case TREE_LEAVE:
		copy_path_cut(&out.at, out.cuts[--out.depth]);
		return 0;
	case TREE_END:
		return archive_write_close(out.a) == ARCHIVE_OK ? 1 : failed();
	default:
		return write_entry(&m->entry);
	}
}

static int take_all(void)
{
	int r;

	while ((r = copy_next(out.c->fd, &out.in, &out.record)) > 0)
		if ((r = take()) != 0)
			return r;
	if (r < 0)
		out.c->problem("the guest", errno == EBADMSG
						    ? "what it sends is not a copy of files"
						    : strerrordesc_np(errno));
	return r;
}

enum copy_end tar_receive(const struct copy *c, int fd)
{
	size_t wanted = 0;
	int r = -1;

	use_utf8();
	out.c = c;
	out.a = archive_write_new();
	if (!out.a)
		return COPY_FAILED;
	if (archive_write_set_format_pax_restricted(out.a) != ARCHIVE_OK ||
	    archive_write_open_fd(out.a, fd) != ARCHIVE_OK)
		(void)failed();
	else
		r = take_all();
	/* Else it is not freed: that would write the end of an archive that is not complete. */
	if (r > 0)
		(void)archive_write_free(out.a);
	while (c->names && c->names[wanted])
		wanted++;
	return r < 0               ? COPY_FAILED
	       : r == 0            ? COPY_CUT
	       : out.seen < wanted ? COPY_PARTLY
				   : COPY_DONE;
}
