/* ops.c - the table, the codec and the audit text of the helper protocol. */
#include "proto/ops.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/wire.h"

/* Each list of fields is in a function of its own, where S can name the struct for offsetof(). */
#define ARGS(...) __VA_ARGS__
#define U(f, lo, hi) { #f, FIELD_U, offsetof(S, f), lo, hi },
#define F(f) { #f, FIELD_F, offsetof(S, f), 0, 1 },
#define B(f, n) { #f, FIELD_B, offsetof(S, f), n, n },
#define A(f, n) { #f, FIELD_A, offsetof(S, f), 0, n },
#define OP(NAME, name, code, role, phases, scope, effect, in, out, args, reply) \
	static const struct field *args_##name(void)                            \
	{                                                                       \
		typedef struct req_##name S __attribute__((unused));            \
		static const struct field f[] = { args{ NULL, 0, 0, 0, 0 } };   \
		return f;                                                       \
	}
#include "proto/ops.def"

#define REPLY(...) __VA_ARGS__
#define U(f, lo, hi) { #f, FIELD_U, offsetof(S, f), lo, hi },
#define F(f) { #f, FIELD_F, offsetof(S, f), 0, 1 },
#define B(f, n) { #f, FIELD_B, offsetof(S, f), n, n },
#define A(f, n) { #f, FIELD_A, offsetof(S, f), 0, n },
#define OP(NAME, name, code, role, phases, scope, effect, in, out, args, reply) \
	static const struct field *reply_##name(void)                           \
	{                                                                       \
		typedef struct rep_##name S __attribute__((unused));            \
		static const struct field f[] = { reply{ NULL, 0, 0, 0, 0 } };  \
		return f;                                                       \
	}
#include "proto/ops.def"

static const struct op table[] = {
#define OP(NAME, name, code, role, phases, scope, effect, in, out, args, reply) \
	{ #name,           OP_##NAME, ROLE_##role, phases,      SCOPE_##scope,  \
	  EFFECT_##effect, in,        out,         args_##name, reply_##name },
#include "proto/ops.def"
};

const struct op *op_each(size_t i)
{
	return i < sizeof(table) / sizeof(table[0]) ? &table[i] : NULL;
}

const struct op *op_find(uint64_t code)
{
	const struct op *op;

	for (size_t i = 0; (op = op_each(i)); i++)
		if (op->code == code)
			return op;
	return NULL;
}

const char *status_name(enum status s)
{
	static const char *const names[ST_COUNT] = { "ok",     "absent", "busy",  "limit",
						     "denied", "nolog",  "kernel" };

	return (unsigned)s < ST_COUNT ? names[s] : "?";
}

const char *object_name(enum object o)
{
	static const char *const names[OBJ_COUNT] = { "?",         "tap",      "guest", "nat",
						      "loop-base", "loop-cow", "dm",    "vmm" };

	return (unsigned)o < OBJ_COUNT ? names[o] : "?";
}

const char *role_name(enum role_id r)
{
	static const char *const names[ROLE_COUNT] = { "any", "net", "blk", "spawn" };

	return (unsigned)r < ROLE_COUNT ? names[r] : "?";
}

static size_t count(const struct field *f)
{
	size_t n = 0;

	while (f[n].name)
		n++;
	return n;
}

/* The layout of every UINTS(n). */
struct uints {
	size_t n;
	uint64_t v[];
};

static void put_field(struct wire_writer *w, const struct field *f, const void *base)
{
	const void *at = (const char *)base + f->offset;
	const struct uints *a = at;

	switch (f->type) {
	case FIELD_U:
		if (*(const uint64_t *)at < f->min || *(const uint64_t *)at > f->max)
			w->bad = true;
		wire_put_uint(w, *(const uint64_t *)at);
		break;
	case FIELD_F:
		wire_put_bool(w, *(const bool *)at);
		break;
	case FIELD_B:
		wire_put_bin(w, at, f->max);
		break;
	case FIELD_A:
		if (a->n > f->max) {
			w->bad = true;
			break;
		}
		wire_put_array(w, a->n);
		for (size_t i = 0; i < a->n; i++)
			wire_put_uint(w, a->v[i]);
		break;
	case FIELD_S:
	case FIELD_V:
		w->bad = true;
	}
}

static void get_field(struct wire_reader *r, const struct field *f, void *base)
{
	void *at = (char *)base + f->offset;
	struct uints *a = at;

	switch (f->type) {
	case FIELD_U:
		*(uint64_t *)at = wire_get_uint(r, f->min, f->max);
		break;
	case FIELD_F:
		*(bool *)at = wire_get_bool(r);
		break;
	case FIELD_B:
		wire_get_bin(r, at, f->max);
		break;
	case FIELD_A:
		a->n = wire_get_array(r, f->max);
		for (size_t i = 0; i < a->n; i++)
			a->v[i] = wire_get_uint(r, 0, UINT64_MAX);
		break;
	case FIELD_S:
	case FIELD_V:
		r->bad = true;
	}
}

static int written(const struct wire_writer *w, const uint8_t *buf)
{
	if (!w->bad)
		return (int)(w->p - buf);
	errno = EINVAL;
	return -1;
}

static int consumed(const struct wire_reader *r)
{
	if (!r->bad && r->p == r->end)
		return 0;
	errno = EBADMSG;
	return -1;
}

#define REQUEST_HEAD 8 /* version, seq, op, slot, generation, op_id, vm, owner */
#define REPLY_HEAD 3   /* version, seq, status */

int ops_encode_request(const struct request *r, uint8_t buf[OPS_PACKET_MAX])
{
	struct wire_writer w = { buf, buf + OPS_PACKET_MAX, false };

	wire_put_array(&w, REQUEST_HEAD + count(r->op->args()));
	wire_put_uint(&w, OPS_VERSION);
	wire_put_uint(&w, r->seq);
	wire_put_uint(&w, r->op->code);
	wire_put_uint(&w, r->slot);
	wire_put_uint(&w, r->generation);
	wire_put_bin(&w, r->op_id, ID_LEN);
	wire_put_bin(&w, r->vm, ID_LEN);
	wire_put_uint(&w, r->owner);
	for (const struct field *f = r->op->args(); f->name; f++)
		put_field(&w, f, &r->hello);
	return written(&w, buf);
}

/* A SCOPE_HOST request names no VM: its fields must be 0, so that each request has one encoding. */
static bool host_is_blank(const struct request *r)
{
	static const uint8_t none[ID_LEN];

	return !r->slot && !r->generation && !r->owner && memcmp(r->vm, none, ID_LEN) == 0;
}

int ops_decode_request(const uint8_t *buf, size_t len, struct request *r)
{
	struct wire_reader rd = { buf, buf + len, len > OPS_PACKET_MAX };

	memset(r, 0, sizeof(*r));
	size_t n = wire_get_array(&rd, UINT16_MAX);
	(void)wire_get_uint(&rd, OPS_VERSION, OPS_VERSION);
	r->seq = wire_get_uint(&rd, 1, UINT64_MAX);
	r->op = op_find(wire_get_uint(&rd, 1, UINT8_MAX));
	if (rd.bad || !r->op || n != REQUEST_HEAD + count(r->op->args())) {
		errno = EBADMSG;
		return -1;
	}
	bool slotted = r->op->scope == SCOPE_SLOT;
	r->slot = (uint32_t)wire_get_uint(&rd, 0, SLOT_MAX - 1);
	r->generation = (uint32_t)wire_get_uint(&rd, slotted, UINT32_MAX);
	wire_get_bin(&rd, r->op_id, ID_LEN);
	wire_get_bin(&rd, r->vm, ID_LEN);
	r->owner = (uint32_t)wire_get_uint(&rd, 0, UINT32_MAX - 1);
	if (!slotted && !host_is_blank(r))
		rd.bad = true;
	for (const struct field *f = r->op->args(); f->name; f++)
		get_field(&rd, f, &r->hello);
	return consumed(&rd);
}

int ops_encode_reply(const struct op *op, const struct reply *r, uint8_t buf[OPS_PACKET_MAX])
{
	struct wire_writer w = { buf, buf + OPS_PACKET_MAX, false };
	size_t values = r->status == ST_OK ? count(op->reply()) : 0;

	wire_put_array(&w, REPLY_HEAD + values);
	wire_put_uint(&w, OPS_VERSION);
	wire_put_uint(&w, r->seq);
	wire_put_uint(&w, r->status);
	for (size_t i = 0; i < values; i++)
		put_field(&w, &op->reply()[i], &r->hello);
	return written(&w, buf);
}

int ops_decode_reply(const struct op *op, const uint8_t *buf, size_t len, struct reply *r)
{
	struct wire_reader rd = { buf, buf + len, len > OPS_PACKET_MAX };

	memset(r, 0, sizeof(*r));
	size_t n = wire_get_array(&rd, UINT16_MAX);
	(void)wire_get_uint(&rd, OPS_VERSION, OPS_VERSION);
	r->seq = wire_get_uint(&rd, 1, UINT64_MAX);
	r->status = (enum status)wire_get_uint(&rd, 0, ST_COUNT - 1);
	size_t values = r->status == ST_OK ? count(op->reply()) : 0;
	if (n != REPLY_HEAD + values)
		rd.bad = true;
	for (size_t i = 0; i < values && !rd.bad; i++)
		get_field(&rd, &op->reply()[i], &r->hello);
	return consumed(&rd);
}

/* A bounded string under construction; n is the length that it would have without a bound. */
struct text {
	char *out;
	size_t size, n;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int w = vsnprintf(t->n < t->size ? t->out + t->n : NULL,
			  t->n < t->size ? t->size - t->n : 0, fmt, ap);
	va_end(ap);
	t->n += w > 0 ? (size_t)w : 0;
}

static void audit_field(struct text *t, const struct field *f, const void *base)
{
	const void *at = (const char *)base + f->offset;
	const struct uints *a = at;

	add(t, "\"%s\":", f->name);
	switch (f->type) {
	case FIELD_U:
		add(t, "%llu", (unsigned long long)*(const uint64_t *)at);
		break;
	case FIELD_F:
		add(t, "%s", *(const bool *)at ? "true" : "false");
		break;
	case FIELD_A:
		for (size_t i = 0; i < a->n; i++)
			add(t, "%c%llu", i ? ',' : '[', (unsigned long long)a->v[i]);
		add(t, a->n ? "]" : "[]");
		break;
	case FIELD_B:
		add(t, "\"");
		for (size_t i = 0; i < f->max; i++)
			add(t, "%02x", ((const uint8_t *)at)[i]);
		add(t, "\"");
		break;
	case FIELD_S:
	case FIELD_V:
		break;
	}
}

int ops_audit(const struct field *fields, const void *base, char *out, size_t size)
{
	struct text t = { out, size, 0 };

	if (size)
		out[0] = '\0';
	for (const struct field *f = fields; f->name; f++) {
		if (f != fields)
			add(&t, ",");
		audit_field(&t, f, base);
	}
	if (t.n < size)
		return (int)t.n;
	errno = EMSGSIZE;
	return -1;
}
