/* agent.c - the codec of the stream between the command line and the agent in a guest. */
#include "proto/agent.h"

#include <string.h>

static const uint8_t mark[AGENT_MARK_LEN + 1] = AGENT_MARK;

struct row {
	const char *name;
	enum agent_side from;
	size_t min, max;
};

static const struct row rows[] = {
#define FRAME(NAME, name, type, side, min, max) [type] = { #name, AGENT_##side, min, max },
#include "proto/agent.def"
};

static const struct row *row_of(unsigned type)
{
	return type < sizeof(rows) / sizeof(rows[0]) && rows[type].name ? &rows[type] : NULL;
}

const char *agent_frame_name(unsigned type)
{
	const struct row *r = row_of(type);

	return r ? r->name : NULL;
}

uint8_t *agent_room(struct agent_reader *r, size_t *size)
{
	if (r->used) {
		memmove(r->buf, r->buf + r->used, r->have - r->used);
		r->have -= r->used;
		r->searched -= r->used;
		r->used = 0;
	}
	*size = sizeof(r->buf) - r->have;
	return r->buf + r->have;
}

/* Drop the first @n bytes that are not decoded. */
static void drop(struct agent_reader *r, size_t n)
{
	r->used += n;
	if (r->searched < r->used)
		r->searched = r->used;
}

/* Search for the end of AGENT_MARK from r->searched on.  The mark may have begun in bytes that are
 * decoded already.  Return: true with r->searched behind it. */
static bool find_mark(struct agent_reader *r)
{
	while (r->searched < r->have) {
		uint8_t b = r->buf[r->searched++];
		r->matched = b == mark[r->matched] ? r->matched + 1 : b == mark[0];
		if (r->matched < AGENT_MARK_LEN)
			continue;
		r->matched = 0;
		return true;
	}
	return false;
}

/* Find a mark with all of its nonce.  Return: true with all up to the nonce's end removed. */
static bool find_greeting(struct agent_reader *r, uint8_t nonce[AGENT_NONCE])
{
	r->marked = false;
	if (!find_mark(r))
		return false;
	if (r->have - r->searched < AGENT_NONCE) {
		/* Found once more when the rest is there. */
		r->searched--;
		r->matched = AGENT_MARK_LEN - 1;
		r->marked = true;
		return false;
	}
	memcpy(nonce, r->buf + r->searched, AGENT_NONCE);
	drop(r, r->searched - r->used + AGENT_NONCE);
	return true;
}

bool agent_greeting(struct agent_reader *r, uint8_t nonce[AGENT_NONCE])
{
	bool found = false;

	/* The last one counts: sessions before it are over. */
	while (find_greeting(r, nonce))
		found = true;
	return found;
}

void agent_discard(struct agent_reader *r)
{
	drop(r, r->searched - r->used);
}

bool agent_answered(struct agent_reader *r, const uint8_t nonce[AGENT_NONCE])
{
	uint8_t got[AGENT_NONCE];

	while (find_greeting(r, got))
		if (memcmp(got, nonce, AGENT_NONCE) == 0)
			return true;
	agent_discard(r);
	return false;
}

/* Return: the number of bytes before the mark whose nonce is incomplete. */
static size_t before_mark(const struct agent_reader *r)
{
	size_t begun = AGENT_MARK_LEN - 1;

	return r->searched - r->used > begun ? r->searched - r->used - begun : 0;
}

int agent_next(struct agent_reader *r, struct agent_msg *m)
{
	const uint8_t *p = r->buf + r->used;
	size_t have = r->marked ? before_mark(r) : r->have - r->used;

	if (have && p[0] == mark[0])
		return have < AGENT_MARK_LEN && memcmp(p, mark, have) == 0 ? 0 : -1;
	if (have < AGENT_HEAD)
		return 0;
	const struct row *row = row_of(p[0]);
	size_t n = agent_u16(p + 2);
	if (!row || !(row->from & r->from) || p[1] || n < row->min || n > row->max)
		return -1;
	if (have - AGENT_HEAD < n)
		return 0;
	*m = (struct agent_msg){ (enum agent_frame)p[0], n, p + AGENT_HEAD };
	drop(r, AGENT_HEAD + n);
	return 1;
}

size_t agent_put(uint8_t *out, enum agent_frame type, const void *data, size_t n)
{
	out[0] = (uint8_t)type;
	out[1] = 0;
	agent_set16(out + 2, (unsigned)n);
	if (data && n)
		memcpy(out + AGENT_HEAD, data, n);
	return AGENT_HEAD + n;
}

size_t agent_cut(const uint8_t *data, size_t n)
{
	const uint8_t *found;

	if (n > AGENT_CHUNK)
		n = AGENT_CHUNK;
	found = memmem(data, n, AGENT_MARK, AGENT_MARK_LEN);
	return found ? (size_t)(found - data) + AGENT_MARK_LEN / 2 : n;
}
