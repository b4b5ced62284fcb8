/* images.c - lists and deletes images and kernels, and passes finished image files on. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/cleanup.h"
#include "controller/cli/cli.h"
#include "controller/cli/conn.h"
#include "controller/cli/each.h"
#include "controller/cli/images.h"
#include "controller/cli/out.h"
#include "controller/cli/proc.h"

/* ---- lists ---- */

/* The differences between the list of images and that of kernels. */
struct list_kind {
	enum call_id call;
	enum event_id event;
	const char *head[TABLE_COLUMNS];
};

struct list {
	struct listing all;
	const struct list_kind *kind;
};

/* The members that a row of the table shows. */
struct row {
	const char *name, *kernel, *created, *digest; /* kernel: "" in the list of kernels */
	uint64_t size, used_by;
};

#define ROW(ev, of) \
	((struct row){ (ev)->name, (of), (ev)->created, (ev)->digest, (ev)->size, (ev)->used_by })

static struct row row_of(enum event_id id, const union control_body *body)
{
	return id == EVENT_IMAGE ? ROW(&body->ev_image, body->ev_image.kernel)
				 : ROW(&body->ev_kernel, "");
}

static void add_row(struct table *t, const struct row *r, enum event_id id)
{
	const char *cells[TABLE_COLUMNS] = { r->name };
	char size[16], age[16], used[24];
	size_t n = 1;

	format_size(r->size, size);
	format_age(r->created, age);
	(void)snprintf(used, sizeof(used), "%u", (unsigned)r->used_by);
	if (id == EVENT_IMAGE)
		cells[n++] = r->kernel;
	cells[n++] = size;
	cells[n++] = used;
	cells[n++] = age;
	cells[n] = r->digest;
	(void)table_add(t, cells);
}

static int list_one(void *arg, const struct event *event, const union control_body *body,
		    struct error *e)
{
	struct list *l = arg;

	(void)e;
	if (event->id != l->kind->event)
		return 0;
	const struct row row = row_of(event->id, body);
	if (listing_take(&l->all, event, body, row.name))
		add_row(&l->all.table, &row, event->id);
	return 0;
}

static int list(struct cli *c, const struct list_kind *kind)
{
	struct list l = { .all = { .c = c, .json = json_array() }, .kind = kind };
	const struct reply_to to = { .event = list_one, .arg = &l };
	union control_body r;
	struct error e;

	memcpy(l.all.table.head, kind->head, sizeof(l.all.table.head));
	return listing_end(&l.all, conn_call(c, kind->call, NULL, NULL, &to, &r, &e), &e);
}

int cmd_image_list(struct cli *c)
{
	static const struct list_kind images = {
		CALL_IMAGE_LIST,
		EVENT_IMAGE,
		{ "NAME", "KERNEL", "SIZE", "VMS", "AGE", "DIGEST" },
	};

	return list(c, &images);
}

int cmd_kernel_list(struct cli *c)
{
	static const struct list_kind kernels = {
		CALL_KERNEL_LIST,
		EVENT_KERNEL,
		{ "NAME", "SIZE", "IMAGES", "AGE", "DIGEST" },
	};

	return list(c, &kernels);
}

/* ---- defaults ---- */

bool goes_by_name(uint64_t owner)
{
	return owner == 0 || owner == geteuid();
}

void names_add(struct names *l, const char *name)
{
	size_t at = strlen(l->list), room = sizeof(l->list) - at;

	if (l->n && strcmp(l->last, name) == 0)
		return;
	(void)snprintf(l->last, sizeof(l->last), "%s", name);
	if (l->n++ == 0)
		(void)snprintf(l->first, sizeof(l->first), "%s", name);
	if (snprintf(l->list + at, room, "%s%s", at ? ", " : "", name) >= (int)room)
		(void)strcpy(l->list + at, room > 4 ? "..." : ""); /* never a part of a name */
}

static int note_kernel(void *arg, const struct event *event, const union control_body *body,
		       struct error *e)
{
	(void)e;
	if (event->id == EVENT_KERNEL && goes_by_name(body->ev_kernel.owner))
		names_add(arg, body->ev_kernel.name);
	return 0;
}

#define KERNEL "debian" /* the name of the first kernel */

int need_kernel(struct cli *c, struct error *e)
{
	struct names l = { 0 };
	const struct reply_to to = { .event = note_kernel, .arg = &l };
	union control_body r;

	if (c->opt.kernel)
		return 0;
	if (conn_call(c, CALL_KERNEL_LIST, NULL, NULL, &to, &r, e) < 0)
		return -1;
	if (l.n == 1) {
		(void)strcpy(c->only_kernel, l.first);
		c->opt.kernel = c->only_kernel;
		return 0;
	}
	if (l.n) {
		error_set(e, FAIL_USAGE, "image", "there are %zu kernels; name one of them: %s",
			  l.n, l.list);
		error_hint(e, "--kernel %s", l.first);
		return -1;
	}
	out_note(c, "there is no kernel yet: importing Debian's");
	if (kernel_fetch(c, KERNEL, e) < 0)
		return -1;
	c->opt.kernel = KERNEL;
	return 0;
}

/* ---- delete ---- */

static int delete_one(struct cli *c, enum call_id id, const union control_body *a, json_t **result,
		      struct error *e)
{
	union control_body r;

	if (conn_call(c, id, a, NULL, NULL, &r, e) < 0)
		return -1;
	*result = out_fields_json(control_call(id)->result(), &r);
	return 0;
}

static int delete_image(struct cli *c, const char *ref, const char **said, json_t **result,
			struct error *e)
{
	union control_body a = { .image_delete = { "" } };
	char name[80];

	if (image_reference(c, ref, name, e) < 0 ||
	    text_put(a.image_delete.image, sizeof(a.image_delete.image), "image", name, e) < 0)
		return -1;
	*said = "deleted";
	return delete_one(c, CALL_IMAGE_DELETE, &a, result, e);
}

static int delete_kernel(struct cli *c, const char *ref, const char **said, json_t **result,
			 struct error *e)
{
	union control_body a = { .kernel_delete = { "" } };

	if (text_put(a.kernel_delete.kernel, sizeof(a.kernel_delete.kernel), "kernel", ref, e) < 0)
		return -1;
	*said = "deleted";
	return delete_one(c, CALL_KERNEL_DELETE, &a, result, e);
}

int cmd_image_delete(struct cli *c)
{
	return each_target(c, delete_image);
}

int cmd_kernel_delete(struct cli *c)
{
	return each_target(c, delete_kernel);
}

/* ---- files that the user names ---- */

int unnamed_file(struct error *e)
{
	char dir[4096];

	if (tempdir_make(dir, sizeof(dir), e) < 0)
		return -1;
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int err = errno;
	(void)rmdir(dir); /* the file stays until its descriptor is closed */
	return fd < 0 ? error_set(e, FAIL_GENERAL, dir, "%s", strerror(err)) : fd;
}

int reopen_input(int fd)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return open(name, O_RDONLY | O_CLOEXEC);
}

/* Write @n bytes.  A block of zeros becomes a hole: images have many. */
static int append(int fd, const char *data, size_t n)
{
	static const char zeros[65536];

	if (n == sizeof(zeros) && memcmp(data, zeros, n) == 0)
		return lseek(fd, (off_t)n, SEEK_CUR) < 0 ? -1 : 0;
	return fdio_write_all(fd, data, n);
}

static int copy_pipe(struct cli *c, int from, int to)
{
	static char buf[65536];
	size_t have = 0;
	ssize_t n;

	while ((n = read(from, buf + have, sizeof(buf) - have)) != 0) {
		if (n < 0 && errno != EINTR)
			return -1;
		if (signals_pending(c)) {
			errno = EINTR;
			return -1;
		}
		have += n > 0 ? (size_t)n : 0;
		if (have < sizeof(buf))
			continue;
		if (append(to, buf, have) < 0)
			return -1;
		have = 0;
	}
	if (append(to, buf, have) < 0)
		return -1;
	return ftruncate(to, lseek(to, 0, SEEK_CUR)); /* the file may end with a hole */
}

static int spool(struct cli *c, int fd, const char *path, struct error *e)
{
	_cleanup_close_ int file = unnamed_file(e);

	if (file < 0)
		return -1;
	out_note(c, "reading %s to its end", path);
	if (fcntl(fd, F_SETFL, 0) < 0 || copy_pipe(c, fd, file) < 0)
		return c->signal ? signals_error(c, "import", e)
				 : error_set(e, FAIL_GENERAL, path, "%s", strerror(errno));
	int again = reopen_input(file);
	return again < 0 ? error_set(e, FAIL_GENERAL, path, "%s", strerror(errno)) : again;
}

/* Return: true if the pipe @fd has no name.  The writer of an unnamed pipe already has it open; a
 * writer of a FIFO may never come. */
static bool is_unnamed_pipe(int fd)
{
	char name[32], target[16] = "";

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return readlink(name, target, sizeof(target) - 1) > 0 && strncmp(target, "pipe:", 5) == 0;
}

int open_input(struct cli *c, const char *path, struct error *e)
{
	bool std = strcmp(path, "-") == 0;
	/* O_NONBLOCK: the open of a FIFO does not wait for its other end (fifo(7)). */
	_cleanup_close_ int fd = std ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
				     : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(e, errno == ENOENT ? FAIL_NOT_FOUND : FAIL_GENERAL, path, "%s",
				 strerror(errno));
	if (S_ISFIFO(st.st_mode) && (std || is_unnamed_pipe(fd)))
		return spool(c, fd, path, e);
	if (!S_ISREG(st.st_mode)) {
		error_set(e, FAIL_USAGE, path, "not a regular file");
		if (S_ISFIFO(st.st_mode))
			error_hint(e, "use a pipe instead of a FIFO, as in <(zcat FILE.gz)");
		return -1;
	}
	return steal_fd(&fd);
}

/* ---- ext4 ---- */

/* Offsets in the superblock, which begins at byte 1024, and features (fs/ext4/ext4.h). */
enum {
	SB_BLOCKS_LO = 0x4,
	SB_LOG_BLOCK = 0x18,
	SB_MAGIC = 0x38,
	SB_INCOMPAT = 0x60,
	SB_RO_COMPAT = 0x64,
	SB_BLOCKS_HI = 0x150,
	INCOMPAT_64BIT = 0x80,
	/* filetype, recover, meta_bg, extents, 64bit, mmp, flex_bg, ea_inode, csum_seed, largedir,
	   inline_data, encrypt, casefold */
	INCOMPAT_KNOWN = 0x2 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 |
			 0x8000 | 0x10000 | 0x20000,
	/* sparse_super, large_file, btree_dir, huge_file, gdt_csum, dir_nlink, extra_isize, quota,
	 * bigalloc, metadata_csum, readonly, project, verity, orphan_present */
	RO_COMPAT_KNOWN = 0x77f | 0x1000 | 0x2000 | 0x8000 | 0x10000
};

int image_check(int fd, const char *path, struct error *e)
{
	uint8_t sb[1024];
	struct stat st;

	if (fstat(fd, &st) < 0 || pread(fd, sb, sizeof(sb), 1024) != (ssize_t)sizeof(sb) ||
	    sb[SB_MAGIC] != 0x53 || sb[SB_MAGIC + 1] != 0xef || le32(sb + SB_LOG_BLOCK) > 6)
		return 0;
	uint32_t incompat = le32(sb + SB_INCOMPAT) & ~(uint32_t)INCOMPAT_KNOWN,
		 ro = le32(sb + SB_RO_COMPAT) & ~(uint32_t)RO_COMPAT_KNOWN;
	uint64_t blocks = le32(sb + SB_BLOCKS_LO);
	if (le32(sb + SB_INCOMPAT) & INCOMPAT_64BIT)
		blocks |= (uint64_t)le32(sb + SB_BLOCKS_HI) << 32;
	uint64_t size = blocks << (10 + le32(sb + SB_LOG_BLOCK));
	if ((uint64_t)st.st_size < size)
		return error_set(e, FAIL_USAGE, path,
				 "the file has %llu bytes, but the file system in it %llu: a part "
				 "is missing",
				 (unsigned long long)st.st_size, (unsigned long long)size);
	if (incompat || ro) {
		error_set(e, FAIL_USAGE, path,
			  "its ext4 has features that Linux 6.1 does not know (incompat 0x%x, "
			  "ro_compat 0x%x)",
			  incompat, ro);
		error_hint(e, "dumpe2fs -h names them; remake the file system with mke2fs -O "
			      "^FEATURE");
		return -1;
	}
	return 0;
}

/* ---- import ---- */

int image_send(struct cli *c, const struct image_made *m, int fd, json_t **result, struct error *e)
{
	struct call_image_import a = { 0 };
	struct res_image_import r;

	if (text_put(a.name, sizeof(a.name), "name", m->name, e) < 0 ||
	    text_put(a.kernel, sizeof(a.kernel), "kernel", c->opt.kernel, e) < 0 ||
	    text_put(a.origin, sizeof(a.origin), "origin", m->origin, e) < 0 ||
	    text_put(a.config, sizeof(a.config), "config", m->config, e) < 0 ||
	    text_put(a.layers, sizeof(a.layers), "layers", m->layers, e) < 0 ||
	    conn_call(c, CALL_IMAGE_IMPORT, &a, &fd, NULL, &r, e) < 0)
		return -1;
	*result = out_fields_json(control_call(CALL_IMAGE_IMPORT)->result(), &r);
	return 0;
}

int print_import(struct cli *c, const char *name, json_t *result)
{
	if (c->opt.format == FORMAT_JSON) {
		json_object_set_new(result, "name", json_string(name));
		return out_json(c, result);
	}
	json_decref(result);
	fprintf(c->out, "%s\n", name);
	return 0;
}
