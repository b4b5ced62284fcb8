/* ops.c - the table of the helper protocol, a role's half of the codec, and the audit text.
 *
 * The arguments of each request are integers alone, and so are the values of each answer but LIST's
 * (tests/unit/test_proto_ops.c, table_is_whole).  The controller's half is in ops_client.c. */
#include "proto/ops_codec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Each list of fields is in a function of its own, where S can name the struct for offsetof(). */
#define ARGS(...) __VA_ARGS__
#define U(f, lo, hi) { #f, FIELD_U, offsetof(S, f), lo, hi },
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

const char *role_name(enum role_id r)
{
	static const char *const names[ROLE_COUNT] = { "any", "net", "blk", "spawn" };

	return (unsigned)r < ROLE_COUNT ? names[r] : "?";
}

size_t ops_count(const struct field *f)
{
	size_t n = 0;

	while (f[n].name)
		n++;
	return n;
}

int ops_consumed(const struct wire_reader *r)
{
	if (!r->bad && r->p == r->end)
		return 0;
	errno = EBADMSG;
	return -1;
}

int ops_written(const struct wire_writer *w, const uint8_t *buf)
{
	if (!w->bad)
		return (int)(w->p - buf);
	errno = EINVAL;
	return -1;
}

/* The integer that is a field of the struct @base. */
static uint64_t *number(const struct field *f, const void *base)
{
	return (uint64_t *)((char *)base + f->offset);
}

void ops_put_uint(struct wire_writer *w, const struct field *f, const void *base)
{
	uint64_t v = *number(f, base);

	if (v < f->min || v > f->max)
		w->bad = true;
	wire_put_uint(w, v);
}

void ops_get_uint(struct wire_reader *r, const struct field *f, void *base)
{
	*number(f, base) = wire_get_uint(r, f->min, f->max);
}

static void put_list(struct wire_writer *w, const struct field *f, const void *base)
{
	const struct uints *a = (const void *)((const char *)base + f->offset);

	if (a->n > f->max) {
		w->bad = true;
		return;
	}
	wire_put_array(w, a->n);
	for (size_t i = 0; i < a->n; i++)
		wire_put_uint(w, a->v[i]);
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
	if (rd.bad || !r->op || n != REQUEST_HEAD + ops_count(r->op->args())) {
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
		ops_get_uint(&rd, f, &r->hello);
	return ops_consumed(&rd);
}

int ops_encode_reply(const struct op *op, const struct reply *r, uint8_t buf[OPS_PACKET_MAX])
{
	struct wire_writer w = { buf, buf + OPS_PACKET_MAX, false };
	size_t values = r->status == ST_OK ? ops_count(op->reply()) : 0;

	wire_put_array(&w, REPLY_HEAD + values);
	wire_put_uint(&w, OPS_VERSION);
	wire_put_uint(&w, r->seq);
	wire_put_uint(&w, r->status);
	for (const struct field *f = op->reply(); f < op->reply() + values; f++)
		if (f->type == FIELD_A)
			put_list(&w, f, &r->hello);
		else
			ops_put_uint(&w, f, &r->hello);
	return ops_written(&w, buf);
}

int ops_audit(const struct field *fields, const void *base, char *out, size_t size)
{
	size_t n = 0;

	if (size)
		out[0] = '\0';
	for (const struct field *f = fields; f->name && n < size; f++)
		n += (size_t)snprintf(out + n, size - n, "%s\"%s\":%llu", f == fields ? "" : ",",
				      f->name, (unsigned long long)*number(f, base));
	if (n < size)
		return (int)n;
	errno = EMSGSIZE;
	return -1;
}
