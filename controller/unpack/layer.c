/* layer.c - applies the tar of one layer to an image.
 *
 * An entry says what is below a path from now on.  Its folder is looked up in the image
 * (tree_place()), with links followed there; its last name is replaced, whatever it was, but a
 * folder by a folder.  A whiteout acts on the layers before alone, wherever it stands in its layer:
 * each node has the number of the last layer that had an entry for it. */
#include "controller/unpack/layer.h"

#include <string.h>

#define WHAT "image"
#define WHITEOUT ".wh."
#define LOST_FOUND "lost+found"
#define OPAQUE ".wh..wh..opq"
#define FIXED_TIME 946684800

static int tar_failed(struct archive *a, struct error *e)
{
	const char *why = archive_error_string(a);

	return error_set(e, FAIL_USAGE, WHAT, "its tar can not be read: %s", why ? why : "unknown");
}

/* ---- whiteouts ---- */

static bool is_whiteout(const struct tree_place *p)
{
	return p->len >= sizeof(WHITEOUT) - 1 &&
	       memcmp(p->name, WHITEOUT, sizeof(WHITEOUT) - 1) == 0;
}

/* Apply a name that begins with ".wh.".  Names that begin with ".wh..wh." belong to AUFS. */
static int white_out(struct image *im, const struct tree_place *p, struct error *e)
{
	const char *name = p->name + sizeof(WHITEOUT) - 1;
	size_t len = p->len - (sizeof(WHITEOUT) - 1);

	if (p->len == sizeof(OPAQUE) - 1 && memcmp(p->name, OPAQUE, p->len) == 0)
		return tree_opaque(&im->tree, p->folder, im->layer, e);
	if (len >= sizeof(WHITEOUT) - 1 && memcmp(name, WHITEOUT, sizeof(WHITEOUT) - 1) == 0)
		return 0;
	if (len == 0 || (len == 1 && name[0] == '.') || (len == 2 && memcmp(name, "..", 2) == 0))
		return error_set(e, FAIL_USAGE, WHAT, "a whiteout of no name");
	struct node *n = tree_find(&im->tree, p->folder, name, len);
	return n ? tree_whiteout(&im->tree, n, im->layer, e) : 0;
}

/* ---- one entry ---- */

static bool is_kept(const char *attribute)
{
	return strncmp(attribute, "user.", 5) == 0 ||
	       strcmp(attribute, "security.capability") == 0 ||
	       strcmp(attribute, "system.posix_acl_access") == 0 ||
	       strcmp(attribute, "system.posix_acl_default") == 0;
}

static int put_attributes(struct image *im, uint32_t ino, struct archive_entry *entry,
			  struct error *e)
{
	const char *name;
	const void *value;
	size_t n;

	(void)archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &n) == ARCHIVE_OK)
		if (name && is_kept(name) && ext4_attribute(&im->ext4, ino, name, value, n, e) < 0)
			return -1;
	return 0;
}

static int put_bytes(struct image *im, uint32_t ino, struct archive *a, struct archive_entry *entry,
		     struct error *e)
{
	uint64_t size = (uint64_t)archive_entry_size(entry);
	la_int64_t offset;
	const void *data;
	size_t n;
	int r;

	if (ext4_file_begin(&im->ext4, ino, e) < 0)
		return -1;
	while ((r = archive_read_data_block(a, &data, &n, &offset)) == ARCHIVE_OK) {
		if (offset < 0 || (uint64_t)offset > size || n > size - (uint64_t)offset)
			return error_set(e, FAIL_USAGE, WHAT, "a file has more bytes than it says");
		if (ext4_file_write(&im->ext4, data, n, (uint64_t)offset, e) < 0)
			return -1;
	}
	if (r != ARCHIVE_EOF)
		return tar_failed(a, e);
	return ext4_file_end(&im->ext4, size, e);
}

static int get_meta(struct archive_entry *entry, struct meta *m, struct error *e)
{
	int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);

	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return error_set(e, FAIL_USAGE, WHAT,
				 "the owner of a file is no number of an owner");
	*m = (struct meta){
		.mode = archive_entry_mode(entry),
		.uid = (uint32_t)uid,
		.gid = (uint32_t)gid,
		.mtime = archive_entry_mtime(entry),
		.mtime_ns = (uint32_t)archive_entry_mtime_nsec(entry) % 1000000000u,
		.major = (uint32_t)archive_entry_rdevmajor(entry) & 0xfff,
		.minor = (uint32_t)archive_entry_rdevminor(entry) & 0xfffff,
	};
	return 0;
}

/* The name gets another inode, or loses the one that it has. */
static struct node *take_name(struct image *im, const struct tree_place *p, uint32_t ino,
			      mode_t type, const char *target, struct error *e)
{
	struct node *old = tree_find(&im->tree, p->folder, p->name, p->len);

	if (old && tree_remove(&im->tree, old, e) < 0)
		return NULL;
	struct node *n = tree_add(&im->tree, p, ino, type, target, e);
	if (n)
		n->layer = im->layer;
	return n;
}

static int make_hard_link(struct image *im, const struct tree_place *p, const char *target,
			  struct error *e)
{
	struct tree_place to;

	if (tree_place(&im->tree, target, &to, e) < 0)
		return -1;
	struct node *n = to.len ? tree_find(&im->tree, to.folder, to.name, to.len) : NULL;
	if (!n || S_ISDIR(n->type))
		return error_set(e, FAIL_USAGE, target,
				 "a hard link leads there, but no file is there");
	if (n == tree_find(&im->tree, p->folder, p->name, p->len)) {
		n->layer = im->layer;
		return 0;
	}
	/* The link holds the inode, should its name's removal take the target with it. */
	uint32_t ino = n->ino;
	mode_t type = n->type;
	char text[TREE_PATH] = "";
	if (n->target)
		(void)snprintf(text, sizeof(text), "%s", n->target);
	if (ext4_hold(&im->ext4, ino, e) < 0)
		return -1;
	return take_name(im, p, ino, type, S_ISLNK(type) ? text : NULL, e) ? 0 : -1;
}

static int make_folder(struct image *im, const struct tree_place *p, const struct meta *m,
		       uint32_t *ino, struct error *e)
{
	struct node *old = p->len ? tree_find(&im->tree, p->folder, p->name, p->len)
				  : im->tree.root;

	if (old && S_ISDIR(old->type)) {
		*ino = old->ino;
		old->layer = im->layer;
		return ext4_set_folder(&im->ext4, *ino, m, e);
	}
	if (ext4_new(&im->ext4, p->folder->ino, m, NULL, ino, e) < 0)
		return -1;
	return take_name(im, p, *ino, S_IFDIR, NULL, e) ? 0 : -1;
}

static int make_other(struct image *im, const struct tree_place *p, const struct meta *m,
		      const char *target, uint32_t *ino, struct error *e)
{
	if (!p->len)
		return error_set(e, FAIL_USAGE, WHAT, "its root is no folder");
	if (S_ISLNK(m->mode) && (!target || !*target || strlen(target) >= TREE_PATH))
		return error_set(e, FAIL_USAGE, WHAT, "the target of a link is empty or too long");
	if (ext4_new(&im->ext4, p->folder->ino, m, target, ino, e) < 0)
		return -1;
	return take_name(im, p, *ino, m->mode, target, e) ? 0 : -1;
}

static bool is_taken(mode_t mode)
{
	return S_ISREG(mode) || S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode);
}

/* The folder itself stays as mke2fs has made it; e2fsck would miss it. */
static bool is_lost_found(const struct image *im, const struct tree_place *p)
{
	return p->folder == im->tree.root && p->len == sizeof(LOST_FOUND) - 1 &&
	       memcmp(p->name, LOST_FOUND, p->len) == 0;
}

static int make_inode(struct image *im, const struct tree_place *p, struct archive *a,
		      struct archive_entry *entry, struct error *e)
{
	struct meta m;
	uint32_t ino;
	int r;

	if (get_meta(entry, &m, e) < 0)
		return -1;
	if (S_ISDIR(m.mode))
		r = make_folder(im, p, &m, &ino, e);
	else if (is_taken(m.mode))
		r = make_other(im, p, &m, archive_entry_symlink(entry), &ino, e);
	else
		return 0; /* a socket, or what no file system has */
	if (r == 0 && S_ISREG(m.mode))
		r = put_bytes(im, ino, a, entry, e);
	return r < 0 ? -1 : put_attributes(im, ino, entry, e);
}

static int apply_entry(struct image *im, struct archive *a, struct archive_entry *entry,
		       struct error *e)
{
	const char *path = archive_entry_pathname(entry), *link = archive_entry_hardlink(entry);
	struct tree_place p;

	if (++im->entries > ENTRIES_MOST)
		return error_set(e, FAIL_LIMIT, WHAT, "it has more than %d entries", ENTRIES_MOST);
	if (!path || !*path)
		return error_set(e, FAIL_USAGE, WHAT, "an entry has no name");
	if (tree_place(&im->tree, path, &p, e) < 0)
		return -1;
	if (is_lost_found(im, &p))
		return 0;
	if (is_whiteout(&p))
		return white_out(im, &p, e);
	if (!link)
		return make_inode(im, &p, a, entry, e);
	return p.len ? make_hard_link(im, &p, link, e)
		     : error_set(e, FAIL_USAGE, WHAT, "its root is no folder");
}

int layer_apply(struct image *im, struct stream *tar, struct error *e)
{
	struct archive_entry *entry;
	struct archive *a;
	int r, ret = 0;

	if (stream_tar(tar, &a, e) < 0)
		return -1;
	im->layer++;
	while (ret == 0 && (r = archive_read_next_header(a, &entry)) != ARCHIVE_EOF)
		ret = r < ARCHIVE_WARN ? tar_failed(a, e) : apply_entry(im, a, entry, e);
	archive_read_free(a);
	return ret;
}

/* ---- the image ---- */

static int implied_folder(void *arg, uint32_t parent, uint32_t *ino, struct error *e)
{
	static const struct meta m = { .mode = S_IFDIR | 0755, .mtime = FIXED_TIME };
	struct image *im = arg;

	return ext4_new(&im->ext4, parent, &m, NULL, ino, e);
}

static int drop(void *arg, uint32_t ino, mode_t type, struct error *e)
{
	struct image *im = arg;

	return ext4_drop(&im->ext4, ino, type, e);
}

int image_begin(struct image *im, int fd, uint64_t most, struct error *e)
{
	const struct tree_inodes inodes = { im, implied_folder, drop };

	*im = (struct image){ .left = most };
	if (ext4_open(&im->ext4, fd, e) < 0)
		return -1;
	if (tree_init(&im->tree, EXT2_ROOT_INO, &inodes) < 0) {
		image_abandon(im);
		return error_set(e, FAIL_LIMIT, WHAT, "out of memory");
	}
	const struct tree_place p = { im->tree.root, LOST_FOUND, sizeof(LOST_FOUND) - 1 };
	struct node *n = tree_add(&im->tree, &p, EXT2_GOOD_OLD_FIRST_INO, S_IFDIR, NULL, e);
	if (!n) {
		image_abandon(im);
		return -1;
	}
	n->layer = UINT32_MAX; /* no whiteout removes it */
	return 0;
}

int image_file(struct image *im, const char *path, const void *data, size_t n, struct error *e)
{
	static const struct meta m = { .mode = S_IFREG | 0644, .mtime = FIXED_TIME };
	struct tree_place p;
	uint32_t ino;

	if (tree_place(&im->tree, path, &p, e) < 0 || make_other(im, &p, &m, NULL, &ino, e) < 0 ||
	    ext4_file_begin(&im->ext4, ino, e) < 0 || ext4_file_write(&im->ext4, data, n, 0, e) < 0)
		return -1;
	return ext4_file_end(&im->ext4, n, e);
}

int image_finish(struct image *im, struct error *e)
{
	int r = ext4_finish(&im->ext4, &im->tree, e);

	image_abandon(im);
	return r;
}

void image_abandon(struct image *im)
{
	ext4_abandon(&im->ext4);
	tree_free(&im->tree);
}
