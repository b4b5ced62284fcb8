/* What a stranger's image brings: tars of layers, in a small file system in memory, and the JSON
 * and names of layouts and archives.
 *
 * The first byte says what the input is: a tar of files, an archive, or several tars, each behind
 * two bytes with its length, as layers of one image.  In all of them bytes are taken as they are,
 * so that the corpus has tars.
 *
 * Checked: no path leads out of the tree, and the file system that a finished import leaves has
 * the number of free blocks and inodes that its bitmaps say. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "controller/unpack/layout.h"
#include "tests/adversary/fuzz.h"

#define BLOCKS 256
#define MOST (8u << 20)

/* An empty file system, as of mke2fs. */
static int empty_image(void)
{
	struct ext2_super_block sb = { 0 };
	const int fd = memfd_create("image", MFD_CLOEXEC);
	char name[16];
	ext2_filsys fs;

	(void)snprintf(name, sizeof(name), "%d", dup(fd)); /* libext2fs closes it */
	sb.s_rev_level = EXT2_DYNAMIC_REV;
	sb.s_log_block_size = 2;
	sb.s_inode_size = 256;
	ext2fs_blocks_count_set(&sb, BLOCKS);
	ext2fs_set_feature_extents(&sb);
	ext2fs_set_feature_filetype(&sb);
	ext2fs_set_feature_xattr(&sb);
	ext2fs_set_feature_extra_isize(&sb);
	ext2fs_set_feature_metadata_csum(&sb);
	MUST(fd >= 0 && ftruncate(fd, (off_t)BLOCKS * 4096) == 0);
	MUST(ext2fs_initialize(name, EXT2_FLAG_64BITS, &sb, unixfd_io_manager, &fs) == 0);
	fs->super->s_checksum_type = EXT2_CRC32C_CHKSUM;
	ext2fs_init_csum_seed(fs);
	MUST(ext2fs_allocate_tables(fs) == 0);
	MUST(ext2fs_mkdir(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, NULL) == 0);
	for (ext2_ino_t i = 1; i < EXT2_FIRST_INO(fs->super); i++)
		if (i != EXT2_ROOT_INO)
			ext2fs_inode_alloc_stats2(fs, i, +1, 0);
	MUST(ext2fs_mkdir(fs, EXT2_ROOT_INO, 0, "lost+found") == 0);
	MUST(ext2fs_close_free(&fs) == 0);
	return fd;
}

static int copy_of(int from)
{
	static char buf[BLOCKS * 4096];
	const int fd = memfd_create("copy", MFD_CLOEXEC);

	MUST(fd >= 0 && pread(from, buf, sizeof(buf), 0) == (ssize_t)sizeof(buf));
	MUST(pwrite(fd, buf, sizeof(buf), 0) == (ssize_t)sizeof(buf));
	return fd;
}

static int file_of(const uint8_t *data, size_t size)
{
	const int fd = memfd_create("input", MFD_CLOEXEC);

	MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	return fd;
}

static void check_tree(const struct tree *t)
{
	for (const struct node *n = t->root; n; n = tree_next(n)) {
		MUST(n == t->root || (n->len > 0 && n->len <= TREE_NAME));
		MUST(!memchr(n->name, '/', n->len) && strcmp(n->name, "..") != 0);
		MUST(n->depth <= TREE_DEPTH + 1 && (n->first == NULL || S_ISDIR(n->type)));
	}
}

/* Return: the number of inodes that are in use, with those that are reserved. */
static uint32_t count_inodes(const struct tree *t, const struct ext4 *x)
{
	static uint8_t seen[65536];
	uint32_t n = EXT2_GOOD_OLD_FIRST_INO - 2; /* the reserved ones, but the root */

	memset(seen, 0, sizeof(seen));
	for (const struct node *i = t->root; i; i = tree_next(i)) {
		MUST(i->ino < sizeof(seen) && i->ino <= x->fs->super->s_inodes_count);
		n += !seen[i->ino];
		seen[i->ino] = 1;
	}
	return n;
}

static void finish(struct image *im)
{
	const uint32_t used = im->ext4.fs->super->s_inodes_count -
			      im->ext4.fs->super->s_free_inodes_count;
	struct error e;

	check_tree(&im->tree);
	MUST(used == count_inodes(&im->tree, &im->ext4));
	(void)image_finish(im, &e);
}

static int apply_one(struct image *im, const uint8_t *data, size_t size)
{
	const int fd = file_of(data, size);
	struct stream file = { 0 }, plain = { 0 };
	struct error e;

	int r = stream_file(&file, fd, &e) < 0 || stream_plain(&plain, &file, im->left, &e) < 0
			? -1
			: layer_apply(im, &plain, &e);
	stream_end(&plain);
	stream_end(&file);
	(void)close(fd);
	return r;
}

static int apply_layers(struct image *im, const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };

	while (in.p < in.end) {
		size_t n = input_word(&in), left = (size_t)(in.end - in.p);
		n = n < left ? n : left;
		if (apply_one(im, in.p, n) < 0)
			return -1;
		in.p += n;
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int empty = -1;
	struct image im = { 0 };
	struct error e;

	if (size < 2)
		return 0;
	if (empty < 0)
		empty = empty_image();
	const int fd = copy_of(empty), input = file_of(data + 1, size - 1);
	MUST(image_begin(&im, fd, MOST, &e) == 0);
	const int r = data[0] % 2 ? apply_layers(&im, data + 1, size - 1)
				  : layout_apply(&im, input, "", &e);
	if (r == 0)
		finish(&im);
	else
		image_abandon(&im);
	(void)close(fd);
	(void)close(input);
	return 0;
}
