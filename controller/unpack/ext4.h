/* ext4.h - writes an image's file system: inodes, bytes and attributes, by libext2fs. */
#ifndef BANGER_UNPACK_EXT4_H
#define BANGER_UNPACK_EXT4_H

#include <ext2fs/ext2fs.h>
#include <stdbool.h>
#include <stdint.h>

#include "controller/unpack/tree.h"

/* What an entry says about its inode. */
struct meta {
	mode_t mode; /* with its type */
	uint32_t uid, gid;
	int64_t mtime; /* seconds; a time that ext4 does not have becomes the next that it has */
	uint32_t mtime_ns;
	uint32_t major, minor; /* of a device */
};

struct ext4 {
	ext2_filsys fs;
	uint16_t *links; /* names of each inode that is no folder */
	/* the file that is written */
	ext2_file_t file;
	uint32_t file_ino;
};

/* Open the empty file system in descriptor @fd, which mke2fs(8) has made; the descriptor stays the
 * caller's.  Return: 0, or -1 with @e. */
int ext4_open(struct ext4 *x, int fd, struct error *e);
/* Release what ext4_open() took, without writing. */
void ext4_abandon(struct ext4 *x);

/* Make an inode beside the folder @near.  @target: of a symbolic link.  Return: 0, or -1 with @e.
 */
int ext4_new(struct ext4 *x, uint32_t near, const struct meta *m, const char *target, uint32_t *ino,
	     struct error *e);
/* Give the folder @ino new owners, modes and times; its attributes are gone. */
int ext4_set_folder(struct ext4 *x, uint32_t ino, const struct meta *m, struct error *e);
/* Set an extended attribute. */
int ext4_attribute(struct ext4 *x, uint32_t ino, const char *name, const void *value, size_t n,
		   struct error *e);

/* Write bytes of a regular file.  Blocks of zeros become holes. */
int ext4_file_begin(struct ext4 *x, uint32_t ino, struct error *e);
int ext4_file_write(struct ext4 *x, const void *data, size_t n, uint64_t offset, struct error *e);
int ext4_file_end(struct ext4 *x, uint64_t size, struct error *e);

/* One name more of an inode that is no folder.  Return: 0, or -1 with @e: it has too many. */
int ext4_hold(struct ext4 *x, uint32_t ino, struct error *e);
/* One name less; without names the inode and its blocks are free.  A folder has one name. */
int ext4_drop(struct ext4 *x, uint32_t ino, mode_t type, struct error *e);

/* Write the folders of @t and the counts of links, and close the file system.  Return: 0, or -1
 * with @e; in both cases @x is released. */
int ext4_finish(struct ext4 *x, const struct tree *t, struct error *e);

#endif
