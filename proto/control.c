/* control.c - the codec of the control protocol.
 *
 * Theory of operation.  A message is one msgpack array: [0, id, method, [args...]], [1, id, error
 * or nil, result or nil], or [2, event, [fields...]].  A row of control.def describes the C struct
 * of the last array.  pack_fields() and take_fields() walk through the row, so no message has code
 * of its own.  msgpack-c reads and writes the bytes. */
#include "proto/control.h"

#include <errno.h>
#include <msgpack.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ARGS(...) __VA_ARGS__
#define FIELDS(...) __VA_ARGS__
#define U(f, lo, hi) { #f, FIELD_U, offsetof(S_, f), lo, hi },
#define F(f) { #f, FIELD_F, offsetof(S_, f), 0, 1 },
#define B(f, n) { #f, FIELD_B, offsetof(S_, f), n, n },
#define S(f, n) { #f, FIELD_S, offsetof(S_, f), 0, n },
#define V(f, n) { #f, FIELD_V, offsetof(S_, f), 0, n },
#define LIST_OF(fn, strct, ...)                                                      \
	static const struct field *fn(void)                                          \
	{                                                                            \
		typedef struct strct S_ __attribute__((unused));                     \
		static const struct field f[] = { __VA_ARGS__{ NULL, 0, 0, 0, 0 } }; \
		return f;                                                            \
	}
#define CALL(NAME, name, in, out, args, result) LIST_OF(args_##name, call_##name, args)
#define EVENT(NAME, name, fields) LIST_OF(fields_##name, ev_##name, fields)
#include "proto/control.def"

#define RESULT(...) __VA_ARGS__
#define U(f, lo, hi) { #f, FIELD_U, offsetof(S_, f), lo, hi },
#define F(f) { #f, FIELD_F, offsetof(S_, f), 0, 1 },
#define B(f, n) { #f, FIELD_B, offsetof(S_, f), n, n },
#define S(f, n) { #f, FIELD_S, offsetof(S_, f), 0, n },
#define V(f, n) { #f, FIELD_V, offsetof(S_, f), 0, n },
#define CALL(NAME, name, in, out, args, result) LIST_OF(result_##name, res_##name, result)
#include "proto/control.def"

static const struct call calls[] = {
#define CALL(NAME, name, in, out, args, result) \
	{ #name,                                \
	  CALL_##NAME,                          \
	  in,                                   \
	  out,                                  \
	  args_##name,                          \
	  result_##name,                        \
	  sizeof(struct call_##name),           \
	  sizeof(struct res_##name) },
#include "proto/control.def"
};

static const struct event events[] = {
#define EVENT(NAME, name, fields) { #name, EVENT_##NAME, fields_##name, sizeof(struct ev_##name) },
#include "proto/control.def"
};

/* The layout of every V field. */
struct bytes {
	size_t n;
	uint8_t v[];
};

enum { TYPE_REQUEST, TYPE_RESPONSE, TYPE_NOTIFY };

const struct call *control_call(enum call_id id)
{
	return (unsigned)id < CALL_COUNT ? &calls[id] : NULL;
}

const struct event *control_event(enum event_id id)
{
	return (unsigned)id < EVENT_COUNT ? &events[id] : NULL;
}

void control_init(struct control *c, int fd)
{
	memset(c, 0, sizeof(*c));
	c->fd = fd;
}

void control_close(struct control *c)
{
	fdio_close_all(c->fds, c->nfds);
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
	c->have = c->nfds = 0;
}

static size_t count(const struct field *f)
{
	size_t n = 0;

	while (f[n].name)
		n++;
	return n;
}

/* Return: the length of a char[max + 1] member, which may lack its NUL after a bug. */
static size_t text_len(const struct field *f, const void *at)
{
	return strnlen(at, f->max + 1);
}

static int pack_field(msgpack_packer *p, const struct field *f, const void *base)
{
	const void *at = (const char *)base + f->offset;
	const struct bytes *b = at;
	uint64_t u = f->type == FIELD_U ? *(const uint64_t *)at : 0;

	switch (f->type) {
	case FIELD_U:
		return u < f->min || u > f->max ? -1 : msgpack_pack_uint64(p, u);
	case FIELD_F:
		return *(const bool *)at ? msgpack_pack_true(p) : msgpack_pack_false(p);
	case FIELD_B:
		return msgpack_pack_bin_with_body(p, at, f->max);
	case FIELD_S:
		return text_len(f, at) > f->max
			       ? -1
			       : msgpack_pack_str_with_body(p, at, text_len(f, at));
	case FIELD_V:
		return b->n > f->max ? -1 : msgpack_pack_bin_with_body(p, b->v, b->n);
	case FIELD_A:
		break;
	}
	return -1;
}

static int pack_fields(msgpack_packer *p, const struct field *f, const void *base)
{
	int r = msgpack_pack_array(p, count(f));

	for (; f->name && r == 0; f++)
		r = pack_field(p, f, base);
	return r;
}

static int pack_text(msgpack_packer *p, const char *s)
{
	return msgpack_pack_str_with_body(p, s, strlen(s));
}

/* Send the packed message, unless packing failed (@bad) or the message is too long. */
static int send_packed(int fd, msgpack_sbuffer *b, int bad, const int *fds, size_t nfds)
{
	int r = -1;

	if (bad || b->size > CONTROL_MESSAGE_MAX)
		errno = bad ? EINVAL : EMSGSIZE;
	else
		r = fdio_send(fd, b->data, b->size, fds, nfds);
	msgpack_sbuffer_destroy(b);
	return r;
}

int control_send_request(int fd, uint64_t id, const struct call *call, const void *args,
			 const int *fds, size_t nfds)
{
	msgpack_sbuffer b;
	msgpack_packer p;

	msgpack_sbuffer_init(&b);
	msgpack_packer_init(&p, &b, msgpack_sbuffer_write);
	int bad = msgpack_pack_array(&p, 4) | msgpack_pack_int(&p, TYPE_REQUEST) |
		  msgpack_pack_uint64(&p, id) | pack_text(&p, call->name) |
		  pack_fields(&p, call->args(), args);
	return send_packed(fd, &b, bad, fds, nfds);
}

int control_send_result(int fd, uint64_t id, const struct call *call, const void *result,
			const int *fds, size_t nfds)
{
	msgpack_sbuffer b;
	msgpack_packer p;

	msgpack_sbuffer_init(&b);
	msgpack_packer_init(&p, &b, msgpack_sbuffer_write);
	int bad = msgpack_pack_array(&p, 4) | msgpack_pack_int(&p, TYPE_RESPONSE) |
		  msgpack_pack_uint64(&p, id) | msgpack_pack_nil(&p) |
		  pack_fields(&p, call->result(), result);
	return send_packed(fd, &b, bad, fds, nfds);
}

#define ERROR_FIELDS 5 /* code, what, why, hint, op */

int control_send_error(int fd, uint64_t id, const struct error *e)
{
	msgpack_sbuffer b;
	msgpack_packer p;

	msgpack_sbuffer_init(&b);
	msgpack_packer_init(&p, &b, msgpack_sbuffer_write);
	int bad = msgpack_pack_array(&p, 4) | msgpack_pack_int(&p, TYPE_RESPONSE) |
		  msgpack_pack_uint64(&p, id) | msgpack_pack_array(&p, ERROR_FIELDS) |
		  msgpack_pack_uint64(&p, e->code) | pack_text(&p, e->what) |
		  pack_text(&p, e->why) | pack_text(&p, e->hint) | pack_text(&p, e->op) |
		  msgpack_pack_nil(&p);
	return send_packed(fd, &b, bad, NULL, 0);
}

int control_send_event(int fd, const struct event *event, const void *fields)
{
	msgpack_sbuffer b;
	msgpack_packer p;

	msgpack_sbuffer_init(&b);
	msgpack_packer_init(&p, &b, msgpack_sbuffer_write);
	int bad = msgpack_pack_array(&p, 3) | msgpack_pack_int(&p, TYPE_NOTIFY) |
		  pack_text(&p, event->name) | pack_fields(&p, event->fields(), fields);
	return send_packed(fd, &b, bad, NULL, 0);
}

int control_fill(struct control *c)
{
	size_t nfds;

	if (c->have == sizeof(c->buf)) {
		errno = EBADMSG;
		return -1;
	}
	ssize_t n = fdio_recv_room(c->fd, c->buf + c->have, sizeof(c->buf) - c->have,
				   c->fds + c->nfds, FDIO_ROOM_MAX, &nfds);
	c->nfds += nfds; /* after an error too: control_close() closes them */
	if (n < 0)
		return -1;
	if (c->nfds > FDIO_MAX) {
		errno = EBADMSG;
		return -1;
	}
	c->have += (size_t)n;
	return n > 0;
}

/* True for UTF-8 (RFC 3629) without NUL. */
static bool is_text(const uint8_t *s, size_t n)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };

	for (size_t i = 0; i < n;) {
		unsigned more = s[i] < 0x80       ? 0
				: s[i] >> 5 == 6  ? 1
				: s[i] >> 4 == 14 ? 2
				: s[i] >> 3 == 30 ? 3
						  : 4;
		uint32_t v = more ? s[i] & (0x3fu >> more) : s[i];
		if (!s[i++] || more > 3 || more > n - i)
			return false;
		for (unsigned k = 0; k < more; k++, i++) {
			if (s[i] >> 6 != 2)
				return false;
			v = v << 6 | (s[i] & 0x3f);
		}
		if (v < least[more] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
			return false;
	}
	return true;
}

static int take_text(const msgpack_object *o, char *out, size_t max)
{
	if (o->type != MSGPACK_OBJECT_STR || o->via.str.size > max ||
	    !is_text((const uint8_t *)o->via.str.ptr, o->via.str.size))
		return -1;
	if (o->via.str.size)
		memcpy(out, o->via.str.ptr, o->via.str.size);
	out[o->via.str.size] = '\0';
	return 0;
}

static int take_uint(const msgpack_object *o, uint64_t min, uint64_t max, uint64_t *out)
{
	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 < min || o->via.u64 > max)
		return -1;
	*out = o->via.u64;
	return 0;
}

static int take_field(const msgpack_object *o, const struct field *f, void *base)
{
	void *at = (char *)base + f->offset;
	struct bytes *b = at;

	switch (f->type) {
	case FIELD_U:
		return take_uint(o, f->min, f->max, at);
	case FIELD_F:
		if (o->type != MSGPACK_OBJECT_BOOLEAN)
			return -1;
		*(bool *)at = o->via.boolean;
		return 0;
	case FIELD_S:
		return take_text(o, at, f->max);
	case FIELD_B:
		if (o->type != MSGPACK_OBJECT_BIN || o->via.bin.size != f->max)
			return -1;
		memcpy(at, o->via.bin.ptr, f->max);
		return 0;
	case FIELD_V:
		if (o->type != MSGPACK_OBJECT_BIN || o->via.bin.size > f->max)
			return -1;
		b->n = o->via.bin.size;
		if (b->n)
			memcpy(b->v, o->via.bin.ptr, b->n);
		return 0;
	case FIELD_A:
		break;
	}
	return -1;
}

static int take_fields(const msgpack_object *o, const struct field *f, void *base)
{
	if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != count(f))
		return -1;
	for (size_t i = 0; f[i].name; i++)
		if (take_field(&o->via.array.ptr[i], &f[i], base) < 0)
			return -1;
	return 0;
}

static bool is_name(const msgpack_object *o, const char *name)
{
	return o->type == MSGPACK_OBJECT_STR && o->via.str.size == strlen(name) &&
	       memcmp(o->via.str.ptr, name, o->via.str.size) == 0;
}

static int take_request(const msgpack_object *a, struct message *m)
{
	m->kind = MSG_REQUEST;
	for (size_t i = 0; i < CALL_COUNT; i++)
		if (is_name(&a[2], calls[i].name))
			m->call = &calls[i];
	if (!m->call || take_uint(&a[1], 0, UINT64_MAX, &m->id) < 0)
		return -1;
	return take_fields(&a[3], m->call->args(), &m->body);
}

static int take_event(const msgpack_object *a, struct message *m)
{
	m->kind = MSG_EVENT;
	for (size_t i = 0; i < EVENT_COUNT; i++)
		if (is_name(&a[1], events[i].name))
			m->event = &events[i];
	return m->event ? take_fields(&a[2], m->event->fields(), &m->body) : -1;
}

static int take_error(const msgpack_object *o, struct error *e)
{
	const msgpack_object *f = o->via.array.ptr;
	uint64_t code;

	if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != ERROR_FIELDS ||
	    take_uint(&f[0], 1, FAIL_COUNT - 1, &code) < 0)
		return -1;
	e->code = (enum fail)code;
	if (take_text(&f[1], e->what, sizeof(e->what) - 1) < 0 ||
	    take_text(&f[2], e->why, sizeof(e->why) - 1) < 0 ||
	    take_text(&f[3], e->hint, sizeof(e->hint) - 1) < 0 ||
	    take_text(&f[4], e->op, sizeof(e->op) - 1) < 0)
		return -1;
	return 0;
}

static int take_response(const msgpack_object *a, const struct call *expect, struct message *m)
{
	m->call = expect;
	if (!expect || take_uint(&a[1], 0, UINT64_MAX, &m->id) < 0)
		return -1;
	if (a[2].type != MSGPACK_OBJECT_NIL) {
		m->kind = MSG_ERROR;
		return a[3].type == MSGPACK_OBJECT_NIL ? take_error(&a[2], &m->error) : -1;
	}
	m->kind = MSG_RESULT;
	return take_fields(&a[3], expect->result(), &m->body);
}

/* A server (no @expect) accepts requests alone, a client answers and events alone. */
static int take_message(const msgpack_object *o, const struct call *expect, struct message *m)
{
	const msgpack_object *a = o->via.array.ptr;
	uint64_t type;

	if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size < 3 ||
	    take_uint(&a[0], 0, 2, &type) < 0)
		return -1;
	if (type == TYPE_NOTIFY)
		return expect && o->via.array.size == 3 ? take_event(a, m) : -1;
	if (o->via.array.size != 4 || (type == TYPE_REQUEST) != !expect)
		return -1;
	return type == TYPE_REQUEST ? take_request(a, m) : take_response(a, expect, m);
}

/* Big-endian integer of @n bytes. */
static uint64_t big(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

/* The meaning of a head byte (msgpack specification, "Formats"): it is followed by @size bytes, of
 * a length or a value. */
struct head {
	uint8_t size;
	enum { PLAIN, BYTES, EXT, ARRAY, MAP } kind;
	uint8_t fixed; /* the length of BYTES, ARRAY, MAP with size 0 */
};

static struct head head_of(uint8_t h)
{
	static const struct head long_forms[32] = {
		{ 0, PLAIN, 0 },  { 0, PLAIN, 0 }, { 0, PLAIN, 0 }, { 0, PLAIN, 0 },
		{ 1, BYTES, 0 },  { 2, BYTES, 0 }, { 4, BYTES, 0 }, { 1, EXT, 0 },
		{ 2, EXT, 0 },    { 4, EXT, 0 },   { 4, PLAIN, 0 }, { 8, PLAIN, 0 },
		{ 1, PLAIN, 0 },  { 2, PLAIN, 0 }, { 4, PLAIN, 0 }, { 8, PLAIN, 0 },
		{ 1, PLAIN, 0 },  { 2, PLAIN, 0 }, { 4, PLAIN, 0 }, { 8, PLAIN, 0 },
		{ 2, PLAIN, 0 },  { 3, PLAIN, 0 }, { 5, PLAIN, 0 }, { 9, PLAIN, 0 },
		{ 17, PLAIN, 0 }, { 1, BYTES, 0 }, { 2, BYTES, 0 }, { 4, BYTES, 0 },
		{ 2, ARRAY, 0 },  { 4, ARRAY, 0 }, { 2, MAP, 0 },   { 4, MAP, 0 },
	};

	if (h >= 0xc0 && h < 0xe0)
		return long_forms[h - 0xc0];
	if (h >= 0xa0 && h < 0xc0)
		return (struct head){ 0, BYTES, h & 31 };
	if (h >= 0x80 && h < 0xa0)
		return (struct head){ 0, h < 0x90 ? MAP : ARRAY, h & 15 };
	return (struct head){ 0, PLAIN, 0 };
}

/* Check for a complete message at @p.  msgpack-c reserves memory for every element that a list
 * claims to have, so it gets only messages with all their elements.  Return: 1, 0: not complete
 * yet, -1: it can never fit. */
static int is_whole(const uint8_t *p, size_t n)
{
	size_t at = 0;
	uint64_t need = 1; /* elements still to come */

	while (need) {
		if (at >= n)
			return 0;
		struct head h = head_of(p[at++]);
		if (h.size > n - at)
			return 0;
		uint64_t v = h.kind == PLAIN ? 0 : h.size ? big(p + at, h.size) : h.fixed;
		at += h.size;
		need += h.kind == ARRAY ? v : h.kind == MAP ? 2 * v : 0;
		need--;
		uint64_t skip = h.kind == BYTES ? v : h.kind == EXT ? v + 1 : 0;
		if (need > CONTROL_MESSAGE_MAX || skip > CONTROL_MESSAGE_MAX)
			return -1;
		if (skip > n - at)
			return 0;
		at += skip;
	}
	return 1;
}

int control_next(struct control *c, const struct call *expect, struct message *m)
{
	msgpack_unpacked u;
	size_t used = 0;
	int r = -1;

	int whole = is_whole(c->buf, c->have);
	if (whole == 0 && c->have < sizeof(c->buf))
		return 0;
	memset(m, 0, sizeof(*m));
	msgpack_unpacked_init(&u);
	msgpack_unpack_return got = whole == 1 ? msgpack_unpack_next(&u, (const char *)c->buf,
								     c->have, &used)
					       : MSGPACK_UNPACK_PARSE_ERROR;
	if (got == MSGPACK_UNPACK_SUCCESS || got == MSGPACK_UNPACK_EXTRA_BYTES) {
		r = take_message(&u.data, expect, m) < 0 ? -1 : 1;
		memmove(c->buf, c->buf + used, c->have - used);
		c->have -= used;
	}
	msgpack_unpacked_destroy(&u);
	if (r < 0)
		errno = EBADMSG;
	return r;
}
