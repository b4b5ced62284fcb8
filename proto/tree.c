/* tree.c - the codec of a stream of files and folders. */
#include "proto/tree.h"

#include <string.h>

struct row {
	const char *name;
	size_t min, max;
};

static const struct row rows[] = {
#define RECORD(NAME, name, type, min, max) [type] = { #name, min, max },
#include "proto/tree.def"
};

static const struct row *row_of(unsigned type)
{
	return type < sizeof(rows) / sizeof(rows[0]) && rows[type].name ? &rows[type] : NULL;
}

const char *tree_record_name(unsigned type)
{
	const struct row *r = row_of(type);

	return r ? r->name : NULL;
}

/* ---- integers ---- */

static uint64_t get(const uint8_t *p, size_t bytes)
{
	uint64_t v = 0;

	for (size_t i = bytes; i > 0; i--)
		v = v << 8 | p[i - 1];
	return v;
}

static uint8_t *set(uint8_t *p, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++, v >>= 8)
		*p++ = (uint8_t)v;
	return p;
}

/* ---- names ---- */

static bool is_component(const char *s, size_t n)
{
	return n > 0 && n <= TREE_NAME && !memchr(s, '/', n) && !(n == 1 && s[0] == '.') &&
	       !(n == 2 && s[0] == '.' && s[1] == '.');
}

bool tree_is_name(const char *name)
{
	return is_component(name, strlen(name));
}

bool tree_is_path(const char *path)
{
	const char *end;

	for (; (end = strchr(path, '/')); path = end + 1)
		if (!is_component(path, (size_t)(end - path)))
			return false;
	return tree_is_name(path);
}

/* ---- decoding ---- */

uint8_t *tree_room(struct tree_reader *r, size_t *size)
{
	memmove(r->buf, r->buf + r->used, r->have - r->used);
	r->have -= r->used;
	r->used = 0;
	*size = sizeof(r->buf) - r->have;
	return r->buf + r->have;
}

/* Copy the name, and behind a NUL the target.  Return: false if they do not fit. */
static bool take_texts(struct tree_entry *e, const char *p, size_t n)
{
	const char *nul = memchr(p, '\0', n);
	size_t name = nul ? (size_t)(nul - p) : n, target = nul ? n - name - 1 : 0;

	if (name > TREE_NAME || target > TREE_TARGET ||
	    (nul && (!target || memchr(nul + 1, '\0', target))))
		return false;
	memcpy(e->name, p, name);
	e->name[name] = '\0';
	if (target)
		memcpy(e->target, nul + 1, target);
	e->target[target] = '\0';
	return true;
}

/* Return: true if the entry may stand where it does. */
static bool is_placed(const struct tree_reader *r, const struct tree_entry *e)
{
	bool top = r->depth == 0;

	if (!tree_is_name(e->name) && !(top && e->type == TREE_FOLDER && !e->name[0]))
		return false;
	switch (e->type) {
	case TREE_FOLDER:
		return !e->target[0] && e->size == 0 && r->depth < TREE_DEPTH;
	case TREE_SYMLINK:
		return e->target[0] && e->size == 0;
	case TREE_LINK:
		return !top && e->size == 0 && tree_is_path(e->target);
	default:
		return !e->target[0];
	}
}

static bool take_entry(struct tree_reader *r, struct tree_entry *e, const uint8_t *p, size_t n)
{
	e->mode = (unsigned)get(p, 2);
	e->uid = (uint32_t)get(p + 2, 4);
	e->gid = (uint32_t)get(p + 6, 4);
	e->mtime = (int64_t)get(p + 10, 8);
	e->mtime_ns = (uint32_t)get(p + 18, 4);
	e->size = get(p + 22, 8);
	if (e->mode > 07777 || e->uid == UINT32_MAX || e->gid == UINT32_MAX ||
	    e->mtime_ns > 999999999 || e->size > INT64_MAX ||
	    !take_texts(e, (const char *)p + TREE_META, n - TREE_META) || !is_placed(r, e))
		return false;
	r->depth += e->type == TREE_FOLDER;
	r->in_file = e->type == TREE_FILE && e->size;
	r->left = e->size;
	return true;
}

static bool take_content(struct tree_reader *r, uint64_t n)
{
	if (!r->in_file || n == 0 || n > r->left)
		return false;
	r->left -= n;
	r->in_file = r->left > 0;
	return true;
}

static bool take(struct tree_reader *r, struct tree_record *out, const uint8_t *p, size_t n)
{
	switch (out->type) {
	case TREE_DATA:
		out->data = p;
		out->n = n;
		return take_content(r, out->n);
	case TREE_HOLE:
		out->n = get(p, 8);
		return take_content(r, out->n);
	case TREE_SPOILT:
		if (!r->in_file)
			return false;
		r->in_file = false;
		return true;
	case TREE_LEAVE:
		return !r->in_file && r->depth-- > 0;
	case TREE_END:
		r->ended = true;
		return !r->in_file && r->depth == 0;
	default:
		out->entry.type = out->type;
		return !r->in_file && take_entry(r, &out->entry, p, n);
	}
}

int tree_next(struct tree_reader *r, struct tree_record *out)
{
	const uint8_t *p = r->buf + r->used;
	size_t have = r->have - r->used;

	if (have && r->ended)
		return -1;
	if (have < TREE_HEAD)
		return 0;
	const struct row *row = row_of(p[0]);
	size_t n = (size_t)get(p + 2, 2);
	if (!row || p[1] || n < row->min || n > row->max)
		return -1;
	if (have - TREE_HEAD < n)
		return 0;
	out->type = (enum tree_type)p[0];
	if (!take(r, out, p + TREE_HEAD, n))
		return -1;
	r->used += TREE_HEAD + n;
	return 1;
}

/* ---- encoding ---- */

static uint8_t *put_head(uint8_t *out, enum tree_type type, size_t n)
{
	out[0] = (uint8_t)type;
	out[1] = 0;
	return set(out + 2, n, 2);
}

size_t tree_put(uint8_t *out, enum tree_type type, const void *data, size_t n)
{
	uint8_t *p = put_head(out, type, n);

	if (n)
		memcpy(p, data, n);
	return TREE_HEAD + n;
}

size_t tree_put_hole(uint8_t *out, uint64_t n)
{
	(void)set(put_head(out, TREE_HOLE, 8), n, 8);
	return TREE_HEAD + 8;
}

size_t tree_put_entry(uint8_t *out, const struct tree_entry *e)
{
	size_t name = strlen(e->name), target = strlen(e->target);
	size_t n = TREE_META + name + (target ? 1 + target : 0);
	uint8_t *p = put_head(out, e->type, n);

	p = set(p, e->mode, 2);
	p = set(p, e->uid, 4);
	p = set(p, e->gid, 4);
	p = set(p, (uint64_t)e->mtime, 8);
	p = set(p, e->mtime_ns, 4);
	p = set(p, e->size, 8);
	memcpy(p, e->name, name);
	if (target) {
		p[name] = '\0';
		memcpy(p + name + 1, e->target, target);
	}
	return TREE_HEAD + n;
}
