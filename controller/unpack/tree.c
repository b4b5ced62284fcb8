#include "controller/unpack/tree.h"

#include <search.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define REST (2 * TREE_PATH) /* of a path, with the targets of links in place of their names */

/* ---- the index: by folder and name ---- */

static int order(const void *va, const void *vb)
{
	const struct node *a = va, *b = vb;

	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(a->name, b->name, a->len);
}

static struct node *node_new(struct node *parent, const char *name, size_t len)
{
	struct node *n = calloc(1, sizeof(*n) + len + 1);

	if (!n)
		return NULL;
	n->parent = parent ? parent : n;
	n->depth = parent ? parent->depth + 1 : 0;
	n->len = len;
	memcpy(n->name, name, len);
	return n;
}

static void node_free(struct node *n)
{
	free(n->target);
	free(n);
}

struct node *tree_find(const struct tree *t, const struct node *folder, const char *name,
		       size_t len)
{
	_Alignas(struct node) char room[sizeof(struct node) + TREE_NAME + 1];
	struct node *key = (struct node *)room;

	if (len > TREE_NAME)
		return NULL;
	key->parent = (struct node *)folder;
	key->len = len;
	memcpy(room + offsetof(struct node, name), name, len);
	struct node **found = tfind(key, &t->index, order);
	return found ? *found : NULL;
}

static int no_memory(struct error *e)
{
	return error_set(e, FAIL_LIMIT, "image", "out of memory");
}

static struct node *attach(struct tree *t, struct node *folder, struct node *n, struct error *e)
{
	if (!tsearch(n, &t->index, order)) {
		node_free(n);
		(void)no_memory(e);
		return NULL;
	}
	n->prev = folder->last;
	if (folder->last)
		folder->last->next = n;
	else
		folder->first = n;
	folder->last = n;
	return n;
}

static void detach(struct tree *t, struct node *n)
{
	struct node *folder = n->parent;

	(void)tdelete(n, &t->index, order);
	*(n->prev ? &n->prev->next : &folder->first) = n->next;
	*(n->next ? &n->next->prev : &folder->last) = n->prev;
	node_free(n);
}

struct node *tree_add(struct tree *t, const struct tree_place *place, uint32_t ino, mode_t type,
		      const char *target, struct error *e)
{
	struct node *n = node_new(place->folder, place->name, place->len);

	if (n && target && !(n->target = strdup(target))) {
		node_free(n);
		n = NULL;
	}
	if (!n) {
		(void)no_memory(e);
		return NULL;
	}
	n->ino = ino;
	n->type = type & S_IFMT;
	return attach(t, place->folder, n, e);
}

/* ---- paths ---- */

static bool is_dots(const char *name, size_t len)
{
	return (len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.');
}

static int check_name(const char *path, const char *name, size_t len, struct error *e)
{
	if (len == 2 && name[0] == '.' && name[1] == '.')
		return error_set(e, FAIL_USAGE, path, "the path of an entry has \"..\" in it");
	if (len > TREE_NAME)
		return error_set(e, FAIL_USAGE, path, "a name in it has more than %d bytes",
				 TREE_NAME);
	return 0;
}

/* Cut the last name off.  Return: 0, or -1 with @e. */
static int split(const char *path, struct tree_place *place, size_t *folder_len, struct error *e)
{
	if (strlen(path) >= TREE_PATH)
		return error_set(e, FAIL_USAGE, "image", "an entry's path has more than %d bytes",
				 TREE_PATH - 1);
	place->name = path;
	place->len = *folder_len = 0;
	for (const char *p = path + strspn(path, "/"); *p; p += strspn(p, "/")) {
		size_t len = strcspn(p, "/");
		if (check_name(path, p, len, e) < 0)
			return -1;
		if (!is_dots(p, len)) {
			place->name = p;
			place->len = len;
			*folder_len = (size_t)(p - path);
		}
		p += len;
	}
	return 0;
}

/* A folder that no layer has an entry for. */
static struct node *make_folder(struct tree *t, const struct tree_place *at, struct error *e)
{
	uint32_t ino;

	if (at->folder->depth >= TREE_DEPTH) {
		(void)error_set(e, FAIL_USAGE, "image", "more than %d folders in one another",
				TREE_DEPTH);
		return NULL;
	}
	if (t->inodes.folder(t->inodes.arg, at->folder->ino, &ino, e) < 0)
		return NULL;
	return tree_add(t, at, ino, S_IFDIR, NULL, e);
}

/* Put a link's target in front of what is left of the path.  Return: 0, or -1 with @e. */
static int follow(const struct node *link, char rest[REST], struct error *e)
{
	size_t n = strlen(link->target), left = strlen(rest);

	if (n + 1 + left >= REST)
		return error_set(e, FAIL_USAGE, link->name, "a path through it is too long");
	memmove(rest + n + 1, rest, left + 1);
	memcpy(rest, link->target, n);
	rest[n] = '/';
	return 0;
}

/* Take the first name from @rest.  Return: its length; 0: there is none. */
static size_t next_name(char rest[REST], char name[TREE_PATH])
{
	size_t slashes = strspn(rest, "/"), len = strcspn(rest + slashes, "/");

	memcpy(name, rest + slashes, len);
	name[len] = '\0';
	memmove(rest, rest + slashes + len, strlen(rest + slashes + len) + 1);
	return len;
}

/* One step from @at.  Return: the next folder, or NULL with @e. */
static struct node *step(struct tree *t, struct node *at, const char *name, char rest[REST],
			 struct error *e)
{
	const struct tree_place place = { at, name, strlen(name) };

	if (strcmp(name, "..") == 0)
		return at->parent;
	if (check_name(name, name, place.len, e) < 0)
		return NULL;
	struct node *n = tree_find(t, at, name, place.len);
	if (!n)
		return make_folder(t, &place, e);
	if (S_ISLNK(n->type)) {
		if (follow(n, rest, e) < 0)
			return NULL;
		return n->target[0] == '/' ? t->root : at;
	}
	if (!S_ISDIR(n->type)) {
		(void)error_set(e, FAIL_USAGE, n->name,
				"an entry of the image lies below it, but it is no folder");
		return NULL;
	}
	return n;
}

int tree_place(struct tree *t, const char *path, struct tree_place *place, struct error *e)
{
	char rest[REST], name[TREE_PATH];
	struct node *at = t->root;
	unsigned links = 0;
	size_t n = 0;

	if (split(path, place, &n, e) < 0)
		return -1;
	memcpy(rest, path, n);
	rest[n] = '\0';
	while (next_name(rest, name) > 0) {
		if (strcmp(name, ".") == 0)
			continue;
		struct node *was = tree_find(t, at, name, strlen(name));
		if (was && S_ISLNK(was->type) && ++links > TREE_LINKS)
			return error_set(e, FAIL_USAGE, path, "its path leads through %d links",
					 TREE_LINKS);
		if (!(at = step(t, at, name, rest, e)))
			return -1;
	}
	place->folder = at;
	if (at->depth >= TREE_DEPTH)
		return error_set(e, FAIL_USAGE, path, "more than %d folders in one another",
				 TREE_DEPTH);
	return 0;
}

/* ---- removal ---- */

int tree_remove(struct tree *t, struct node *node, struct error *e)
{
	while (node->first)
		if (tree_remove(t, node->first, e) < 0)
			return -1;
	uint32_t ino = node->ino;
	mode_t type = node->type;
	detach(t, node);
	return t->inodes.drop(t->inodes.arg, ino, type, e);
}

int tree_opaque(struct tree *t, struct node *folder, uint32_t layer, struct error *e)
{
	for (struct node *n = folder->first, *next; n; n = next) {
		next = n->next;
		if (tree_whiteout(t, n, layer, e) < 0)
			return -1;
	}
	return 0;
}

int tree_whiteout(struct tree *t, struct node *node, uint32_t layer, struct error *e)
{
	if (tree_opaque(t, node, layer, e) < 0)
		return -1;
	return node->layer >= layer || node->first ? 0 : tree_remove(t, node, e);
}

struct node *tree_next(const struct node *node)
{
	if (node->first)
		return node->first;
	while (!node->next && node->parent != node)
		node = node->parent;
	return node->next;
}

/* ---- its begin and end ---- */

int tree_init(struct tree *t, uint32_t root_ino, const struct tree_inodes *inodes)
{
	*t = (struct tree){ .root = node_new(NULL, "", 0), .inodes = *inodes };
	if (!t->root)
		return -1;
	t->root->ino = root_ino;
	t->root->type = S_IFDIR;
	return 0;
}

void tree_free(struct tree *t)
{
	while (t->root && t->root->first) {
		struct node *n = t->root->first;
		while (n->first)
			n = n->first;
		detach(t, n);
	}
	if (t->root)
		node_free(t->root);
	t->root = NULL;
}
