/* tree.h - the names of an image while its layers are applied, in memory.
 *
 * A path is resolved in this tree alone, never in the host's files: a link of a layer leads to
 * another place of the image.  Another part of the program has the inodes (struct tree_inodes). */
#ifndef BANGER_UNPACK_TREE_H
#define BANGER_UNPACK_TREE_H

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "common/error.h"

#define TREE_PATH 4096 /* bytes of a path or of a link's target, with its NUL */
#define TREE_NAME 255  /* bytes of a name (ext4) */
#define TREE_DEPTH 512 /* folders in one another */
#define TREE_LINKS 40  /* links that a path may lead through, as in the kernel */

struct node {
	struct node *parent;       /* of the root: itself */
	struct node *first, *last; /* of a folder: its entries, in the order of their arrival */
	struct node *next, *prev;
	char *target; /* of a symbolic link */
	uint32_t ino;
	uint32_t layer; /* the last layer that has an entry for it; 0: none */
	mode_t type;    /* S_IFMT bits */
	unsigned depth;
	size_t len;
	char name[]; /* @len bytes, which need not be UTF-8, and a NUL */
};

/* Calls of the tree into the part that has the inodes. */
struct tree_inodes {
	void *arg;
	/* Make a folder with mode 0755 that no layer describes.  Return: 0, or -1 with @e. */
	int (*folder)(void *arg, uint32_t parent, uint32_t *ino, struct error *e);
	/* A name of the inode is gone. */
	int (*drop)(void *arg, uint32_t ino, mode_t type, struct error *e);
};

struct tree {
	struct node *root;
	void *index; /* of tsearch(3) */
	struct tree_inodes inodes;
};

/* Make a tree that has its root alone.  Return: 0, or -1 (out of memory). */
int tree_init(struct tree *t, uint32_t root_ino, const struct tree_inodes *inodes);
void tree_free(struct tree *t);

/* The parts of a path. */
struct tree_place {
	struct node *folder;
	const char *name; /* into the path; empty: the path is that of the root */
	size_t len;
};

/**
 * tree_place() - find the folder of @path, and the last name in it
 *
 * Leading slashes are dropped.  Links in the folder's path are followed within the tree, the last
 * name is not looked at.  Missing folders are made.  Refused: "..", names that are too long, and a
 * folder's path that leads to something else.
 * Return: 0, or -1 with @e.
 */
int tree_place(struct tree *t, const char *path, struct tree_place *place, struct error *e);

/* Return: the entry @name of @folder, or NULL. */
struct node *tree_find(const struct tree *t, const struct node *folder, const char *name,
		       size_t len);

/* Add a name.  @target: of a symbolic link, else NULL; copied.  Return: the node, or NULL with @e.
 */
struct node *tree_add(struct tree *t, const struct tree_place *place, uint32_t ino, mode_t type,
		      const char *target, struct error *e);

/* Remove @node and everything below it.  Return: 0, or -1 with @e. */
int tree_remove(struct tree *t, struct node *node, struct error *e);

/* Remove from @node what layers before @layer have brought: all of it, but for entries of @layer
 * and the folders that lead to them.  Return: 0, or -1 with @e. */
int tree_whiteout(struct tree *t, struct node *node, uint32_t layer, struct error *e);

/* Do that with each entry of @folder. */
int tree_opaque(struct tree *t, struct node *folder, uint32_t layer, struct error *e);

/* Return: the node behind @node in a walk through the tree, a folder before its entries; NULL: it
 * was the last one. */
struct node *tree_next(const struct node *node);

#endif
