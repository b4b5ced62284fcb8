/* cow.c - reads the exceptions of a CoW store. */
#include "controller/cli/cow.h"

#include <stdlib.h>

#include "common/bytes.h"

#define MAGIC 0x70416e53u /* "SnAp" */
#define VERSION 1
#define CHUNK_SECTORS (COW_CHUNK / 512)
#define EXCEPTION 16u
#define EXCEPTIONS (COW_CHUNK / EXCEPTION) /* of an area */
/* The first chunk that can have data: behind the header and the first metadata. */
#define FIRST 2u

static int damaged(const char *why, struct error *e)
{
	return error_set(e, FAIL_GENERAL, "disk", "its CoW store is damaged: %s", why);
}

/* Return: 1, 0 for a store that no start has used, or -1. */
static int check_header(const struct cow_store *s, struct error *e)
{
	uint8_t h[EXCEPTION]; /* magic, valid, version, chunk size in sectors */

	if (s->size < FIRST * COW_CHUNK)
		return damaged("it is too short", e);
	if (s->read(s->arg, 0, h, sizeof(h), e) < 0)
		return -1;
	if (le32(h) == 0)
		return 0;
	if (le32(h) != MAGIC)
		return damaged("it does not begin as one", e);
	if (le32(h + 8) != VERSION || le32(h + 12) != CHUNK_SECTORS)
		return damaged("it has another version or size of chunks", e);
	return 1;
}

static int add(struct cow *w, struct cow_exception x, struct error *e)
{
	if (w->n == w->room) {
		size_t room = w->room ? 2 * w->room : EXCEPTIONS;
		struct cow_exception *v = reallocarray(w->v, room, sizeof(*v));
		if (!v)
			return error_set(e, FAIL_GENERAL, "disk", "out of memory");
		w->v = v;
		w->room = room;
	}
	w->v[w->n++] = x;
	return 0;
}

/* The last one may be a part of one. */
static uint64_t chunks_of_disk(const struct cow_store *s)
{
	return s->origin / COW_CHUNK + (s->origin % COW_CHUNK != 0);
}

static int check(const struct cow_store *s, const struct cow_exception *x, struct error *e)
{
	if (x->old >= chunks_of_disk(s))
		return damaged("a chunk lies behind the end of the disk", e);
	if (x->new >= s->size / COW_CHUNK)
		return damaged("a chunk lies behind its end", e);
	if (x->new < FIRST || (x->new - 1) % (EXCEPTIONS + 1) == 0)
		return damaged("a chunk lies in its metadata", e);
	return 0;
}

/* Take the exceptions of one area.  Return: 1 when it is full, so that another one follows; 0; or
 * -1. */
static int take_area(struct cow *w, const struct cow_store *s, const uint8_t *area, struct error *e)
{
	for (const uint8_t *p = area; p < area + COW_CHUNK; p += EXCEPTION) {
		const struct cow_exception x = { le64(p), le64(p + 8) };
		if (x.new == 0)
			return 0;
		if (check(s, &x, e) < 0 || add(w, x, e) < 0)
			return -1;
	}
	return 1;
}

static int read_areas(struct cow *w, const struct cow_store *s, struct error *e)
{
	const uint64_t chunks = s->size / COW_CHUNK;
	uint8_t area[COW_CHUNK];
	int more = 1;

	for (uint64_t at = 1; more > 0; at += EXCEPTIONS + 1) {
		if (at >= chunks)
			return damaged("its list has no end", e);
		if (w->n > chunks_of_disk(s))
			return damaged("it has more chunks than the disk", e);
		if (s->read(s->arg, at * COW_CHUNK, area, sizeof(area), e) < 0)
			return -1;
		more = take_area(w, s, area, e);
	}
	return more;
}

static int by_old(const void *a, const void *b)
{
	const struct cow_exception *x = a, *y = b;

	return (x->old > y->old) - (x->old < y->old);
}

int cow_read(struct cow *w, const struct cow_store *s, struct error *e)
{
	*w = (struct cow){ 0 };
	int r = check_header(s, e);
	if (r <= 0 || read_areas(w, s, e) < 0)
		return r > 0 ? -1 : r;
	if (w->n)
		qsort(w->v, w->n, sizeof(*w->v), by_old);
	for (size_t i = 1; i < w->n; i++)
		if (w->v[i].old == w->v[i - 1].old)
			return damaged("it has a chunk twice", e);
	return 0;
}

void cow_free(struct cow *w)
{
	free(w->v);
	*w = (struct cow){ 0 };
}
