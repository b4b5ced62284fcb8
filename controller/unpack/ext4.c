/* ext4.c - writes an image's file system: inodes, bytes and attributes, by libext2fs.
 *
 * The folders exist in memory alone until ext4_finish() writes each of them at once.  So a name is
 * never looked up in the file system, and the time for a folder does not grow by the square of its
 * entries.  All times that no entry gives are FIXED_TIME: the same input makes the same bytes. */
#include "controller/unpack/ext4.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define WHAT "image"
#define FIXED_TIME 946684800 /* 2000-01-01, as of mke2fs in cli/import.c */
#define LINKS_MOST 65000     /* EXT4_LINK_MAX, fs/ext4/ext4.h */
#define FAST_LINK 60         /* a shorter target is in the inode itself */
#define INODE_MOST 1024

/* An inode with everything behind it. */
union full {
	struct ext2_inode_large i;
	char raw[INODE_MOST];
};

#define SMALL(f) ((struct ext2_inode *)&(f)->i)

static int failed(errcode_t err, struct error *e)
{
	switch (err) {
	case EXT2_ET_BLOCK_ALLOC_FAIL:
		(void)error_set(e, FAIL_LIMIT, WHAT, "its files do not fit into the file system");
		break;
	case EXT2_ET_INODE_ALLOC_FAIL:
		(void)error_set(e, FAIL_LIMIT, WHAT,
				"it has more files than the file system has inodes");
		break;
	case EXT2_ET_EA_NO_SPACE:
		return error_set(e, FAIL_USAGE, WHAT,
				 "the extended attributes of a file are too long");
	case ENOSPC:
		return error_set(e, FAIL_LIMIT, WHAT, "%s", strerror(ENOSPC));
	default:
		return error_set(e, FAIL_GENERAL, WHAT, "the file system: error %ld of libext2fs",
				 (long)err);
	}
	error_hint(e, "a larger one: --size 8G");
	return -1;
}

/* ---- inodes ---- */

/* ext4 has 34 bits for the seconds since 1970, with a sign (fs/ext4/ext4.h). */
static void set_time(const struct meta *m, uint32_t *low, uint32_t *extra)
{
	int64_t most = ((int64_t)3 << 32) + INT32_MAX, t = m->mtime;

	t = t < INT32_MIN ? INT32_MIN : t > most ? most : t;
	*low = (uint32_t)t;
	*extra = (uint32_t)(((t - (int32_t)t) >> 32) & 3) | m->mtime_ns << 2;
}

static void set_meta(union full *f, const struct meta *m)
{
	uint32_t low, extra;

	set_time(m, &low, &extra);
	f->i.i_mode = (uint16_t)m->mode;
	f->i.i_uid = (uint16_t)m->uid;
	f->i.osd2.linux2.l_i_uid_high = (uint16_t)(m->uid >> 16);
	f->i.i_gid = (uint16_t)m->gid;
	f->i.osd2.linux2.l_i_gid_high = (uint16_t)(m->gid >> 16);
	f->i.i_links_count = 1;
	f->i.i_extra_isize = sizeof(f->i) - EXT2_GOOD_OLD_INODE_SIZE;
	f->i.i_atime = f->i.i_ctime = f->i.i_mtime = f->i.i_crtime = low;
	f->i.i_atime_extra = f->i.i_ctime_extra = f->i.i_mtime_extra = f->i.i_crtime_extra = extra;
}

/* The two encodings of include/linux/kdev_t.h, as fs/ext4/inode.c chooses them. */
static void set_device(union full *f, const struct meta *m)
{
	if (m->major < 256 && m->minor < 256)
		f->i.i_block[0] = m->major << 8 | m->minor;
	else
		f->i.i_block[1] = (m->minor & 0xff) | m->major << 8 | (m->minor & ~0xffu) << 12;
}

/* An empty tree of extents.  Return: 0, or an error of libext2fs. */
static errcode_t set_extents(struct ext4 *x, uint32_t ino, union full *f)
{
	ext2_extent_handle_t h;
	errcode_t err = ext2fs_extent_open2(x->fs, ino, SMALL(f), &h);

	if (!err)
		ext2fs_extent_free(h);
	return err;
}

static errcode_t put_inode(struct ext4 *x, uint32_t ino, union full *f)
{
	return ext2fs_write_inode_full(x->fs, ino, SMALL(f), (int)EXT2_INODE_SIZE(x->fs->super));
}

static int write_bytes(struct ext4 *x, uint32_t ino, const char *data, size_t n, struct error *e)
{
	if (ext4_file_begin(x, ino, e) < 0 || ext4_file_write(x, data, n, 0, e) < 0)
		return -1;
	return ext4_file_end(x, n, e);
}

int ext4_new(struct ext4 *x, uint32_t near, const struct meta *m, const char *target, uint32_t *ino,
	     struct error *e)
{
	union full f = { 0 };
	size_t n = target ? strlen(target) : 0;
	bool fast = target && n < FAST_LINK, slow = target && !fast;
	errcode_t err = ext2fs_new_inode(x->fs, near, (int)m->mode, NULL, ino);

	if (err)
		return failed(err, e);
	ext2fs_inode_alloc_stats2(x->fs, *ino, +1, S_ISDIR(m->mode));
	set_meta(&f, m);
	if (fast) {
		memcpy(f.i.i_block, target, n);
		f.i.i_size = (uint32_t)n;
	} else if (S_ISCHR(m->mode) || S_ISBLK(m->mode)) {
		set_device(&f, m);
	} else if (S_ISREG(m->mode) || S_ISDIR(m->mode) || slow) {
		err = set_extents(x, *ino, &f);
	}
	if (!err)
		err = put_inode(x, *ino, &f);
	if (err)
		return failed(err, e);
	x->links[*ino] = 1;
	return slow ? write_bytes(x, *ino, target, n, e) : 0;
}

/* Release the block of attributes of an inode. */
static errcode_t free_attributes(struct ext4 *x, uint32_t ino, union full *f)
{
	return ext2fs_file_acl_block(x->fs, SMALL(f)) ? ext2fs_free_ext_attr(x->fs, ino, &f->i) : 0;
}

static errcode_t get_inode(struct ext4 *x, uint32_t ino, union full *f)
{
	memset(f, 0, sizeof(*f));
	return ext2fs_read_inode_full(x->fs, ino, SMALL(f), (int)EXT2_INODE_SIZE(x->fs->super));
}

int ext4_set_folder(struct ext4 *x, uint32_t ino, const struct meta *m, struct error *e)
{
	union full f;
	errcode_t err = get_inode(x, ino, &f);

	if (!err)
		err = free_attributes(x, ino, &f);
	memset(&f, 0, sizeof(f));
	set_meta(&f, m);
	if (!err)
		err = set_extents(x, ino, &f);
	if (!err)
		err = put_inode(x, ino, &f);
	return err ? failed(err, e) : 0;
}

int ext4_hold(struct ext4 *x, uint32_t ino, struct error *e)
{
	if (x->links[ino] >= LINKS_MOST)
		return error_set(e, FAIL_USAGE, WHAT, "a file has more than %d hard links",
				 LINKS_MOST);
	x->links[ino]++;
	return 0;
}

int ext4_drop(struct ext4 *x, uint32_t ino, mode_t type, struct error *e)
{
	union full f;
	errcode_t err;

	if (--x->links[ino] > 0)
		return 0;
	err = get_inode(x, ino, &f);
	if (!err && ext2fs_inode_has_valid_blocks2(x->fs, SMALL(&f)))
		err = ext2fs_punch(x->fs, ino, SMALL(&f), NULL, 0, ~0ULL);
	if (!err)
		err = free_attributes(x, ino, &f);
	memset(&f, 0, sizeof(f));
	if (!err)
		err = put_inode(x, ino, &f);
	if (err)
		return failed(err, e);
	ext2fs_inode_alloc_stats2(x->fs, ino, -1, S_ISDIR(type));
	return 0;
}

int ext4_attribute(struct ext4 *x, uint32_t ino, const char *name, const void *value, size_t n,
		   struct error *e)
{
	struct ext2_xattr_handle *h;
	errcode_t err = ext2fs_xattrs_open(x->fs, ino, &h);

	if (err)
		return failed(err, e);
	err = ext2fs_xattrs_read(h);
	if (!err)
		err = ext2fs_xattr_set(h, name, value, n);
	(void)ext2fs_xattrs_close(&h);
	return err ? failed(err, e) : 0;
}

/* ---- bytes of a file ---- */

int ext4_file_begin(struct ext4 *x, uint32_t ino, struct error *e)
{
	errcode_t err = ext2fs_file_open(x->fs, ino, EXT2_FILE_WRITE, &x->file);

	x->file_ino = ino;
	return err ? failed(err, e) : 0;
}

static errcode_t write_at(struct ext4 *x, const char *p, size_t n, uint64_t offset)
{
	unsigned wrote;
	errcode_t err = ext2fs_file_llseek(x->file, offset, EXT2_SEEK_SET, NULL);

	while (!err && n > 0) {
		err = ext2fs_file_write(x->file, p, (unsigned)n, &wrote);
		p += wrote;
		n -= wrote;
	}
	return err;
}

int ext4_file_write(struct ext4 *x, const void *data, size_t n, uint64_t offset, struct error *e)
{
	static const char zeros[EXT2_MAX_BLOCK_SIZE];
	size_t block = x->fs->blocksize;

	for (const char *p = data; n > 0;) {
		size_t most = block - offset % block, now = n < most ? n : most;
		/* What is not written reads as zeros. */
		errcode_t err = memcmp(p, zeros, now) == 0 ? 0 : write_at(x, p, now, offset);
		if (err)
			return failed(err, e);
		p += now;
		n -= now;
		offset += now;
	}
	return 0;
}

int ext4_file_end(struct ext4 *x, uint64_t size, struct error *e)
{
	ext2_file_t file = steal_ptr(&x->file);
	errcode_t err = ext2fs_file_set_size2(file, size), end = ext2fs_file_close(file);

	return err || end ? failed(err ? err : end, e) : 0;
}

/* ---- folders ---- */

/* The blocks of one folder, one after another. */
struct folder {
	struct ext4 *x;
	const struct node *node;
	union full inode;
	char *block;
	size_t used, room; /* bytes of the block with entries, and that can have them */
	struct ext2_dir_entry *last;
	blk64_t n; /* blocks that are written */
};

static unsigned type_of(mode_t type)
{
	switch (type) {
	case S_IFREG:
		return EXT2_FT_REG_FILE;
	case S_IFDIR:
		return EXT2_FT_DIR;
	case S_IFLNK:
		return EXT2_FT_SYMLINK;
	case S_IFCHR:
		return EXT2_FT_CHRDEV;
	case S_IFBLK:
		return EXT2_FT_BLKDEV;
	case S_IFIFO:
		return EXT2_FT_FIFO;
	default:
		return EXT2_FT_UNKNOWN;
	}
}

static errcode_t end_block(struct folder *f)
{
	ext2_filsys fs = f->x->fs;
	blk64_t where;
	uint32_t ino = f->node->ino;

	(void)ext2fs_set_rec_len(fs, (unsigned)(f->room - (size_t)((char *)f->last - f->block)),
				 f->last);
	if (f->room < fs->blocksize)
		ext2fs_initialize_dirent_tail(fs,
					      (struct ext2_dir_entry_tail *)(f->block + f->room));
	errcode_t err = ext2fs_bmap2(fs, ino, SMALL(&f->inode), NULL, BMAP_ALLOC, f->n, NULL,
				     &where);
	if (!err)
		err = ext2fs_write_dir_block4(fs, where, f->block, 0, ino);
	f->n++;
	f->used = 0;
	memset(f->block, 0, fs->blocksize);
	return err;
}

static errcode_t put_entry(struct folder *f, const char *name, size_t len, uint32_t ino,
			   mode_t type)
{
	size_t need = (8 + len + 3) & ~(size_t)3;
	errcode_t err = f->used + need > f->room ? end_block(f) : 0;

	f->last = (struct ext2_dir_entry *)(f->block + f->used);
	f->last->inode = ino;
	(void)ext2fs_set_rec_len(f->x->fs, (unsigned)need, f->last);
	ext2fs_dirent_set_name_len(f->last, (int)len);
	ext2fs_dirent_set_file_type(f->last, (int)type_of(type));
	memcpy(f->last->name, name, len);
	f->used += need;
	return err;
}

static errcode_t put_entries(struct folder *f)
{
	const struct node *d = f->node;
	uint32_t links = 2;
	errcode_t err = put_entry(f, ".", 1, d->ino, S_IFDIR);

	if (!err)
		err = put_entry(f, "..", 2, d->parent->ino, S_IFDIR);
	for (const struct node *n = d->first; n && !err; n = n->next) {
		links += S_ISDIR(n->type);
		err = put_entry(f, n->name, n->len, n->ino, n->type);
	}
	if (!err)
		err = end_block(f);
	/* Of a folder with more folders the count is not kept (dir_nlink, ext4(5)). */
	f->inode.i.i_links_count = (uint16_t)(links > LINKS_MOST ? 1 : links);
	return err;
}

static errcode_t write_folder(struct ext4 *x, const struct node *d)
{
	size_t size = x->fs->blocksize;
	_cleanup_free_ char *block = calloc(1, size);
	struct folder f = { .x = x, .node = d, .block = block, .room = size };
	errcode_t err = block ? get_inode(x, d->ino, &f.inode) : ENOMEM;

	/* lost+found has blocks; without new entries they stay. */
	if (!err && f.inode.i.i_size) {
		if (!d->first)
			return 0;
		err = ext2fs_punch(x->fs, d->ino, SMALL(&f.inode), NULL, 0, ~0ULL);
	}
	if (ext2fs_has_feature_metadata_csum(x->fs->super))
		f.room -= sizeof(struct ext2_dir_entry_tail);
	if (!err)
		err = put_entries(&f);
	if (!err)
		err = ext2fs_inode_size_set(x->fs, SMALL(&f.inode), f.n * size);
	return err ? err : put_inode(x, d->ino, &f.inode);
}

/* Write the count of names, which ext4_new() has set to one. */
static errcode_t write_links(struct ext4 *x, uint32_t ino)
{
	union full f;
	errcode_t err = get_inode(x, ino, &f);

	f.i.i_links_count = x->links[ino];
	return err ? err : put_inode(x, ino, &f);
}

static errcode_t write_nodes(struct ext4 *x, const struct tree *t)
{
	errcode_t err = 0;

	for (const struct node *n = t->root; n && !err; n = tree_next(n)) {
		if (S_ISDIR(n->type))
			err = write_folder(x, n);
		else if (x->links[n->ino] > 1)
			err = write_links(x, n->ino);
	}
	return err;
}

/* ---- the file system ---- */

/* The root is written anew by ext4_finish(). */
static errcode_t empty_root(struct ext4 *x)
{
	static const struct meta root = { .mode = S_IFDIR | 0755, .mtime = FIXED_TIME };
	struct error ignored;
	errcode_t err = ext2fs_punch(x->fs, EXT2_ROOT_INO, NULL, NULL, 0, ~0ULL);

	if (!err && ext4_set_folder(x, EXT2_ROOT_INO, &root, &ignored) < 0)
		err = EXT2_ET_BAD_INODE_NUM;
	return err;
}

int ext4_open(struct ext4 *x, int fd, struct error *e)
{
	char name[16];

	memset(x, 0, sizeof(*x));
	/* libext2fs closes its descriptor at the end. */
	(void)snprintf(name, sizeof(name), "%d", fcntl(fd, F_DUPFD_CLOEXEC, 3));
	errcode_t err = ext2fs_open(name, EXT2_FLAG_RW | EXT2_FLAG_64BITS, 0, 0, unixfd_io_manager,
				    &x->fs);
	if (!err)
		err = ext2fs_read_bitmaps(x->fs);
	if (!err && EXT2_INODE_SIZE(x->fs->super) > INODE_MOST)
		err = EXT2_ET_CORRUPT_SUPERBLOCK;
	if (!err) {
		x->fs->now = FIXED_TIME;
		x->links = calloc((size_t)x->fs->super->s_inodes_count + 1, sizeof(*x->links));
		err = x->links ? empty_root(x) : ENOMEM;
	}
	if (!err)
		return 0;
	ext4_abandon(x);
	return failed(err, e);
}

void ext4_abandon(struct ext4 *x)
{
	if (x->file)
		(void)ext2fs_file_close(x->file);
	if (x->fs)
		ext2fs_free(x->fs);
	free(x->links);
	*x = (struct ext4){ 0 };
}

int ext4_finish(struct ext4 *x, const struct tree *t, struct error *e)
{
	errcode_t err = write_nodes(x, t);

	if (!err)
		err = ext2fs_close_free(&x->fs);
	ext4_abandon(x);
	return err ? failed(err, e) : 0;
}
