#include "controller/unpack/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

#define WHAT "image"
#define HEX "0123456789abcdef"
#define LINKS_MOST 4 /* links to links, in an archive */

/* ---- members of a tar ---- */

/* A name as the archives spell it: without "./" before it and "/" behind it. */
static void plain_name(const char *path, char out[256])
{
	while (path[0] == '.' && path[1] == '/')
		path += 2 + strspn(path + 2, "/");
	size_t n = (size_t)snprintf(out, 256, "%s", path);
	for (n = n < 255 ? n : 255; n > 0 && out[n - 1] == '/';)
		out[--n] = '\0';
}

static int open_tar(const struct store *st, struct part *p, struct error *e)
{
	if (stream_file(&p->file, st->input, e) < 0 ||
	    stream_plain(&p->plain, &p->file, st->most, e) < 0)
		return -1;
	return stream_tar(&p->plain, &p->archive, e);
}

struct member {
	char name[256], link[256]; /* link: where a link leads, as it stands there */
	mode_t type;               /* S_IFLNK: a symbolic link */
	bool hard;                 /* a hard link: @link is the name of a member */
};

/* The next member.  Return: 1, 0 at the end, or -1 with @e. */
static int next_member(struct part *p, struct member *m, struct error *e)
{
	struct archive_entry *entry;
	int r = archive_read_next_header(p->archive, &entry);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r < ARCHIVE_WARN)
		return error_set(e, FAIL_USAGE, WHAT, "its tar can not be read: %s",
				 archive_error_string(p->archive));
	const char *path = archive_entry_pathname(entry), *hard = archive_entry_hardlink(entry),
		   *soft = archive_entry_symlink(entry);
	plain_name(path ? path : "", m->name);
	plain_name(hard ? hard : "", m->link);
	if (!hard && soft)
		(void)snprintf(m->link, sizeof(m->link), "%s", soft);
	m->hard = hard != NULL;
	m->type = archive_entry_filetype(entry);
	return 1;
}

/* Write the name of the member that the link @m leads to.  Return: false: it leads out of the
 * archive, or is too long. */
static bool follow(const struct member *m, char name[256])
{
	const char *to = m->link, *slash = strrchr(m->name, '/');
	size_t n = m->hard || !slash ? 0 : (size_t)(slash - m->name);

	for (; strncmp(to, "../", 3) == 0 || strncmp(to, "./", 2) == 0; to = strchr(to, '/') + 1) {
		if (to[1] != '.')
			continue;
		if (n == 0)
			return false;
		while (n > 0 && m->name[--n] != '/')
			;
	}
	return *to && *to != '/' &&
	       snprintf(name, 256, "%.*s%s%s", (int)n, m->name, n ? "/" : "", to) < 256;
}

/* Find a member.  Return: 1 and its data is read next; 0: there is none; or -1 with @e.  @m: the
 * member that has the name. */
static int find_once(const struct store *st, const char *name, struct part *p, struct member *m,
		     struct error *e)
{
	int r;

	if (open_tar(st, p, e) < 0)
		return -1;
	while ((r = next_member(p, m, e)) > 0)
		if (strcmp(m->name, name) == 0 && (m->hard || S_ISREG(m->type) || S_ISLNK(m->type)))
			return 1;
	return r;
}

/* Old archives of `docker save` have a layer that occurs twice as a link to the first one. */
static int find_member(const struct store *st, const char *name, struct part *p, struct error *e)
{
	char now[256];
	struct member m;

	(void)snprintf(now, sizeof(now), "%s", name);
	for (int i = 0; i <= LINKS_MOST; i++) {
		int r = find_once(st, now, p, &m, e);
		if (r < 0)
			return -1;
		if (r == 0)
			return error_set(e, FAIL_USAGE, name, "the archive has no such file");
		if (S_ISREG(m.type) && !m.hard) {
			stream_member(&p->s, p->archive);
			return 0;
		}
		part_end(p);
		if (!follow(&m, now))
			return error_set(e, FAIL_USAGE, name, "it is a link out of the archive");
	}
	return error_set(e, FAIL_USAGE, name, "it is a link through more than %d others",
			 LINKS_MOST);
}

/* ---- files of a folder ---- */

/* Names come from this program, or are a digest's: they have no "..".  Landlock bounds them too. */
static int open_file(const struct store *st, const char *name, struct part *p, struct error *e)
{
	struct stat s;

	p->fd = openat(st->input, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (p->fd < 0 || fstat(p->fd, &s) < 0)
		return error_set(e, FAIL_USAGE, name, "%s", strerror(errno));
	if (!S_ISREG(s.st_mode))
		return error_set(e, FAIL_USAGE, name, "not a regular file");
	return stream_file(&p->s, p->fd, e);
}

/* ---- parts ---- */

int part_open(const struct store *st, const char *name, struct part *p, struct error *e)
{
	*p = (struct part){ .fd = -1 };
	return st->folder ? open_file(st, name, p, e) : find_member(st, name, p, e);
}

int part_verify(struct part *p, const char *name, const struct expected *x, struct error *e)
{
	char hex[DIGEST_HEX];

	if (stream_digest(&p->s, hex, e) < 0)
		return -1;
	if (x->size >= 0 && p->s.passed != (uint64_t)x->size)
		return error_set(e, FAIL_USAGE, name,
				 "it has %llu bytes, not %lld as its image says",
				 (unsigned long long)p->s.passed, (long long)x->size);
	if (x->hex && strcmp(hex, x->hex) != 0)
		return error_set(e, FAIL_USAGE, name, "its digest is sha256:%s, not %s", hex,
				 x->hex);
	return 0;
}

void part_end(struct part *p)
{
	stream_end(&p->s);
	if (p->archive)
		archive_read_free(p->archive);
	stream_end(&p->plain);
	stream_end(&p->file);
	close_and_reset(&p->fd);
	*p = (struct part){ .fd = -1 };
}

char *store_text(const struct store *st, const char *name, const struct expected *x,
		 struct error *e)
{
	struct part p;
	char *text = NULL;

	if (part_open(st, name, &p, e) == 0)
		text = stream_text(&p.s, TEXT_MOST, e);
	if (text && part_verify(&p, name, x, e) < 0) {
		free(text);
		text = NULL;
	}
	part_end(&p);
	return text;
}

/* ---- what is it? ---- */

/* Return: true if an archive of an image may have a member of this name. */
static bool is_of_archive(const char *name)
{
	static const char *const names[] = {
		"",      "oci-layout",  "index.json", "manifest.json", "repositories",
		"blobs", "blobs/sha256"
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	if (strncmp(name, "blobs/sha256/", 13) == 0)
		name += 13;
	size_t n = strspn(name, HEX);
	return n == 64 && (name[n] == '\0' || name[n] == '/' || strcmp(name + n, ".json") == 0 ||
			   strcmp(name + n, ".tar") == 0);
}

static int look_into_tar(const struct store *st, struct part *p, enum store_kind *kind,
			 struct error *e)
{
	struct member m;
	int r;

	if (open_tar(st, p, e) < 0)
		return -1;
	*kind = STORE_TAR;
	while ((r = next_member(p, &m, e)) > 0) {
		const char *name = m.name;
		if (!is_of_archive(strcmp(name, ".") == 0 ? "" : name)) {
			*kind = STORE_TAR;
			return 0;
		}
		if (strcmp(name, "oci-layout") == 0)
			*kind = STORE_OCI;
		if (strcmp(name, "manifest.json") == 0 && *kind == STORE_TAR)
			*kind = STORE_DOCKER;
	}
	return r;
}

int store_kind(const struct store *st, enum store_kind *kind, struct error *e)
{
	struct part p = { .fd = -1 };

	*kind = STORE_OCI;
	if (st->folder)
		return 0;
	int r = look_into_tar(st, &p, kind, e);
	part_end(&p);
	return r;
}
