/* The stream between the command line and the agent in a guest, as either side receives it, and the
 * stream of records that a copy of files has in it.  The first byte names the receiver and how many
 * bytes come at a time.
 *
 * Checked: a frame is one of agent.def for its sender, with a length in its bounds; bytes split at
 * other places are the same frames; the mark of a session is never in what a client sends.  A
 * record has names of one component, in folders that are open, and files of the size that was
 * announced; encoded again it is the same bytes. */
#include "proto/agent.h"
#include "proto/tree.h"
#include "tests/adversary/fuzz.h"

static const struct row {
	enum agent_side side;
	size_t min, max;
} rows[] = {
#define FRAME(NAME, name, type, side, min, max) [type] = { AGENT_##side, min, max },
#include "proto/agent.def"
};

static const uint8_t nonce[AGENT_NONCE] = "nonce of a test";

static void check(const struct agent_reader *r, const struct agent_msg *m)
{
	MUST(agent_frame_name(m->type));
	MUST(rows[m->type].side & r->from);
	MUST(m->n >= rows[m->type].min && m->n <= rows[m->type].max);
	MUST(m->data >= r->buf && m->data + m->n <= r->buf + r->have);
}

/* Mix what is received into a sum, which does not depend on how the bytes were split. */
static uint64_t mix(uint64_t sum, const struct agent_msg *m)
{
	sum = sum * 31 + m->type;
	for (size_t i = 0; i < m->n; i++)
		sum = sum * 31 + m->data[i];
	return sum;
}

/* Return: the sum of all frames up to the first that is refused.  @step: bytes at a time. */
static uint64_t receive(enum agent_side from, const uint8_t *data, size_t size, size_t step)
{
	static struct agent_reader r;
	bool begun = from == AGENT_CLIENT;
	uint8_t got[AGENT_NONCE];
	struct agent_msg m;
	uint64_t sum = 0;

	memset(&r, 0, sizeof(r));
	r.from = from;
	for (size_t at = 0; at < size;) {
		size_t room, n = size - at < step ? size - at : step;
		uint8_t *to = agent_room(&r, &room);
		MUST(room > 0);
		n = n < room ? n : room;
		memcpy(to, data + at, n);
		r.have += n;
		at += n;
		if (from == AGENT_CLIENT && agent_greeting(&r, got))
			sum = 0;
		if (!begun)
			begun = agent_answered(&r, nonce);
		int more = 0;
		while (begun && (more = agent_next(&r, &m)) == 1) {
			check(&r, &m);
			sum = mix(sum, &m);
		}
		if (more < 0 && from == AGENT_GUEST)
			return sum;
		if (more < 0)
			agent_discard(&r);
		MUST(r.used <= r.searched || from == AGENT_GUEST);
		MUST(r.searched <= r.have && r.used <= r.have);
	}
	return sum;
}

static void cut(const uint8_t *data, size_t size)
{
	static uint8_t stream[4 * 65536];
	size_t n = 0;

	for (size_t at = 0; at < size && n < sizeof(stream) - 20000;) {
		size_t part = agent_cut(data + at, size - at);
		MUST(part > 0 && part <= AGENT_CHUNK);
		n += agent_put(stream + n, AGENT_INPUT, data + at, part);
		at += part;
	}
	MUST(!memmem(stream, n, AGENT_MARK, AGENT_MARK_LEN));
}

/* ---- records ---- */

/* What a receiver relies on, counted here once more. */
struct place {
	unsigned depth;
	uint64_t left;
	bool ended;
};

static void check_entry(const struct tree_entry *e, struct place *p)
{
	bool top = p->depth == 0;

	MUST(p->left == 0);
	MUST(tree_is_name(e->name) || (top && e->type == TREE_FOLDER && !e->name[0]));
	MUST(!strchr(e->name, '/') && strcmp(e->name, "..") != 0);
	MUST(e->mode <= 07777 && e->uid != UINT32_MAX && e->gid != UINT32_MAX);
	MUST(e->mtime_ns < 1000000000 && e->size <= INT64_MAX);
	MUST(e->type == TREE_FILE || e->size == 0);
	MUST((e->type == TREE_SYMLINK || e->type == TREE_LINK) == (e->target[0] != '\0'));
	MUST(e->type != TREE_LINK || (!top && tree_is_path(e->target) && e->target[0] != '/'));
	p->depth += e->type == TREE_FOLDER;
	MUST(p->depth <= TREE_DEPTH);
	p->left = e->size;
}

static void check_record(const struct tree_record *m, struct place *p)
{
	MUST(tree_record_name(m->type) && !p->ended);
	if (m->type <= TREE_LINK) {
		check_entry(&m->entry, p);
	} else if (m->type == TREE_DATA || m->type == TREE_HOLE) {
		MUST(m->n > 0 && m->n <= p->left);
		p->left -= m->n;
	} else if (m->type == TREE_SPOILT) {
		MUST(p->left > 0);
		p->left = 0;
	} else if (m->type == TREE_LEAVE) {
		MUST(p->left == 0 && p->depth-- > 0);
	} else {
		MUST(p->left == 0 && p->depth == 0);
		p->ended = true;
	}
}

static size_t encode(uint8_t *out, const struct tree_record *m)
{
	return m->type <= TREE_LINK   ? tree_put_entry(out, &m->entry)
	       : m->type == TREE_HOLE ? tree_put_hole(out, m->n)
	       : m->type == TREE_DATA ? tree_put(out, m->type, m->data, (size_t)m->n)
				      : tree_put(out, m->type, NULL, 0);
}

/* Return: the bytes of all records up to the first that is refused.  @step: bytes at a time. */
static size_t take_records(const uint8_t *data, size_t size, size_t step)
{
	static struct tree_reader r;
	static struct tree_record m;
	static uint8_t again[TREE_HEAD + TREE_CHUNK];
	struct place p = { 0 };
	size_t taken = 0;

	memset(&r, 0, sizeof(r));
	for (size_t at = 0; at < size;) {
		size_t room, n = size - at < step ? size - at : step;
		uint8_t *to = tree_room(&r, &room);
		int got;
		MUST(room > 0);
		n = n < room ? n : room;
		memcpy(to, data + at, n);
		r.have += n;
		at += n;
		while ((got = tree_next(&r, &m)) == 1) {
			check_record(&m, &p);
			n = encode(again, &m);
			MUST(taken + n <= size && memcmp(again, data + taken, n) == 0);
			taken += n;
		}
		if (got < 0)
			break;
	}
	return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	const size_t step = (data[0] >> 1) + 1;
	MUST(take_records(data + 1, size - 1, step) == take_records(data + 1, size - 1, size));
	if (data[0] & 1) {
		uint64_t whole = receive(AGENT_GUEST, data + 1, size - 1, size);
		MUST(receive(AGENT_GUEST, data + 1, size - 1, step) == whole);
	} else {
		(void)receive(AGENT_CLIENT, data + 1, size - 1, size);
		(void)receive(AGENT_CLIENT, data + 1, size - 1, step);
		cut(data + 1, size - 1);
	}
	return 0;
}
