/* stream.c - reads and writes a stream of records with calls that wait; paths for messages. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "controller/copy/copy.h"

int copy_flush(struct copy_out *o)
{
	for (size_t at = 0; at < o->have;) {
		ssize_t n = write(o->fd, o->buf + at, o->have - at);
		if (n < 0 && errno != EINTR)
			return -1;
		at += n > 0 ? (size_t)n : 0;
	}
	o->have = 0;
	return 0;
}

/* Make room for @n bytes. */
static int make_room(struct copy_out *o, size_t n)
{
	return sizeof(o->buf) - o->have < n ? copy_flush(o) : 0;
}

int copy_put(struct copy_out *o, enum tree_type type)
{
	if (make_room(o, TREE_HEAD) < 0)
		return -1;
	o->have += tree_put(o->buf + o->have, type, NULL, 0);
	return 0;
}

int copy_put_entry(struct copy_out *o, const struct tree_entry *e)
{
	if (make_room(o, TREE_ENTRY_MAX) < 0)
		return -1;
	o->have += tree_put_entry(o->buf + o->have, e);
	return 0;
}

int copy_put_data(struct copy_out *o, const uint8_t *data, size_t n)
{
	for (size_t part; n > 0; n -= part, data += part) {
		part = n < TREE_CHUNK ? n : TREE_CHUNK;
		if (make_room(o, TREE_HEAD + part) < 0)
			return -1;
		o->have += tree_put(o->buf + o->have, TREE_DATA, data, part);
	}
	return 0;
}

int copy_put_hole(struct copy_out *o, uint64_t n)
{
	if (n == 0)
		return 0;
	if (make_room(o, TREE_HEAD + 8) < 0)
		return -1;
	o->have += tree_put_hole(o->buf + o->have, n);
	return 0;
}

int copy_next(int fd, struct tree_reader *r, struct tree_record *out)
{
	int got;

	while ((got = tree_next(r, out)) == 0) {
		size_t size;
		uint8_t *at = tree_room(r, &size);
		ssize_t n = read(fd, at, size);
		if (n < 0 && errno != EINTR)
			return -1;
		if (n == 0)
			return 0;
		r->have += n > 0 ? (size_t)n : 0;
	}
	if (got < 0)
		errno = EBADMSG;
	return got;
}

/* ---- paths ---- */

size_t copy_path_add(struct copy_path *p, const char *name)
{
	size_t before = p->n, n = strlen(name);
	bool slash = p->n && n && p->v[p->n - 1] != '/';

	if (n + slash >= sizeof(p->v) - p->n)
		return before;
	if (slash)
		p->v[p->n++] = '/';
	memcpy(p->v + p->n, name, n + 1);
	p->n += n;
	return before;
}

void copy_path_cut(struct copy_path *p, size_t n)
{
	p->n = n;
	p->v[n] = '\0';
}

const char *copy_name(const char *path, char name[TREE_NAME + 1])
{
	size_t end = strlen(path), begin;

	while (end > 0 && path[end - 1] == '/')
		end--;
	for (begin = end; begin > 0 && path[begin - 1] != '/';)
		begin--;
	if (end - begin > TREE_NAME)
		return NULL;
	memcpy(name, path + begin, end - begin);
	name[end - begin] = '\0';
	if (!tree_is_name(name))
		name[0] = '\0';
	return name;
}

bool copy_expected(const char *const *names, size_t *seen, const char *name)
{
	while (names && names[*seen] && strcmp(names[*seen], name) != 0)
		++*seen;
	if (names && !names[*seen])
		return false;
	++*seen;
	return true;
}
