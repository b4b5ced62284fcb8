/* Tests the helper protocol, for every operation of ops.def: round trip, every truncation, surplus,
 * wrong type, out of bounds, non-shortest integers and lengths, wrong arity, and agreement with
 * msgpack-c.  msgpack-c builds each packet of this test as a list of pieces, one for each element,
 * so that one piece at a time can be spoiled. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <msgpack.h>
#include <stdio.h>
#include <string.h>

#include "common/fdio.h"
#include "proto/ops.h"

#define PIECES 24

struct piece {
	uint8_t b[300];
	size_t n;
	bool uint;
	uint64_t value, min, max;
};

struct packet {
	struct piece p[PIECES];
	size_t n;
};

typedef int (*check_fn)(const uint8_t *buf, size_t len, const struct op *op);

static struct piece *append(struct packet *k, const msgpack_sbuffer *s)
{
	struct piece *p = &k->p[k->n++];

	memset(p, 0, sizeof(*p));
	assert_true(k->n <= PIECES && s->size <= sizeof(p->b));
	memcpy(p->b, s->data, s->size);
	p->n = s->size;
	return p;
}

static void add_uint(struct packet *k, uint64_t v, uint64_t min, uint64_t max)
{
	msgpack_sbuffer s;
	msgpack_packer pk;

	msgpack_sbuffer_init(&s);
	msgpack_packer_init(&pk, &s, msgpack_sbuffer_write);
	msgpack_pack_uint64(&pk, v);
	struct piece *p = append(k, &s);
	p->uint = true;
	p->value = v;
	p->min = min;
	p->max = max;
	msgpack_sbuffer_destroy(&s);
}

static void add_bin(struct packet *k, const uint8_t *b, size_t n)
{
	msgpack_sbuffer s;
	msgpack_packer pk;

	msgpack_sbuffer_init(&s);
	msgpack_packer_init(&pk, &s, msgpack_sbuffer_write);
	msgpack_pack_bin_with_body(&pk, b, n);
	append(k, &s);
	msgpack_sbuffer_destroy(&s);
}

static void add_list(struct packet *k, const uint64_t *v, size_t n)
{
	msgpack_sbuffer s;
	msgpack_packer pk;

	msgpack_sbuffer_init(&s);
	msgpack_packer_init(&pk, &s, msgpack_sbuffer_write);
	msgpack_pack_array(&pk, n);
	for (size_t i = 0; i < n; i++)
		msgpack_pack_uint64(&pk, v[i]);
	append(k, &s);
	msgpack_sbuffer_destroy(&s);
}

/* Join the pieces after an array head by msgpack-c.  Return: the length of @out. */
static size_t join(const struct packet *k, uint8_t *out)
{
	msgpack_sbuffer s;
	msgpack_packer pk;
	size_t at;

	msgpack_sbuffer_init(&s);
	msgpack_packer_init(&pk, &s, msgpack_sbuffer_write);
	msgpack_pack_array(&pk, k->n);
	memcpy(out, s.data, s.size);
	at = s.size;
	msgpack_sbuffer_destroy(&s);
	for (size_t i = 0; i < k->n; i++) {
		memcpy(out + at, k->p[i].b, k->p[i].n);
		at += k->p[i].n;
	}
	return at;
}

static uint64_t pick(const struct field *f, unsigned which)
{
	const uint64_t span = f->max - f->min;

	return which == 0 ? f->min : which == 1 ? f->max : f->min + span / (which + 1);
}

/* Fill the struct of @fields with choice @which, and append the same values to @k. */
static void fill(const struct field *fields, void *base, struct packet *k, unsigned which)
{
	for (const struct field *f = fields; f->name; f++) {
		uint8_t *at = (uint8_t *)base + f->offset;
		struct {
			size_t n;
			uint64_t v[];
		} *list = (void *)at;
		switch (f->type) {
		case FIELD_U:
			*(uint64_t *)at = pick(f, which);
			add_uint(k, *(uint64_t *)at, f->min, f->max);
			break;
		case FIELD_A:
			list->n = which == 0 ? 0 : which == 1 ? 17 : 5;
			for (size_t i = 0; i < list->n; i++)
				list->v[i] = i * 99991u * which;
			add_list(k, list->v, list->n);
			break;
		default:
			fail_msg("%s: a type that the helper protocol does not have", f->name);
		}
	}
}

static void make_request(const struct op *op, unsigned which, struct request *r, struct packet *k)
{
	bool slot = op->scope == SCOPE_SLOT;

	memset(r, 0, sizeof(*r));
	memset(k, 0, sizeof(*k));
	r->op = op;
	r->seq = which == 1 ? UINT64_MAX : 1 + which * 70000u;
	r->slot = slot ? (which == 1 ? SLOT_MAX - 1 : which * 7) : 0;
	r->generation = slot ? (which == 1 ? UINT32_MAX : 1 + which * 300) : 0;
	r->owner = slot ? (which == 1 ? UINT32_MAX - 1 : which * 1000) : 0;
	memset(r->op_id, 0x11 + (int)which, ID_LEN);
	if (slot)
		memset(r->vm, 0x77, ID_LEN);
	add_uint(k, OPS_VERSION, OPS_VERSION, OPS_VERSION);
	add_uint(k, r->seq, 1, UINT64_MAX);
	add_uint(k, op->code, op->code, op->code);
	add_uint(k, r->slot, 0, slot ? SLOT_MAX - 1 : 0);
	add_uint(k, r->generation, slot, slot ? UINT32_MAX : 0);
	add_bin(k, r->op_id, ID_LEN);
	add_bin(k, r->vm, ID_LEN);
	add_uint(k, r->owner, 0, slot ? UINT32_MAX - 1 : 0);
	fill(op->args(), &r->hello, k, which);
}

static void make_reply(const struct op *op, unsigned which, struct reply *r, struct packet *k)
{
	memset(r, 0, sizeof(*r));
	memset(k, 0, sizeof(*k));
	r->seq = 5 + which;
	add_uint(k, OPS_VERSION, OPS_VERSION, OPS_VERSION);
	add_uint(k, r->seq, 1, UINT64_MAX);
	add_uint(k, ST_OK, ST_OK, ST_OK);
	fill(op->reply(), &r->hello, k, which);
}

static int check_request(const uint8_t *buf, size_t len, const struct op *op)
{
	struct request r;

	errno = 0;
	return ops_decode_request(buf, len, &r) == 0 && r.op == op ? 0 : -1;
}

static int check_reply(const uint8_t *buf, size_t len, const struct op *op)
{
	struct reply r;

	errno = 0;
	return ops_decode_reply(op, buf, len, &r) == 0 && r.status == ST_OK ? 0 : -1;
}

static void refused(const struct packet *k, check_fn check, const struct op *op, const char *why,
		    size_t piece)
{
	uint8_t buf[2048];
	size_t n = join(k, buf);

	if (check(buf, n, op) == 0)
		fail_msg("%s: accepted with element %zu %s", op->name, piece, why);
	if (errno != EBADMSG && errno != 0)
		fail_msg("%s: element %zu %s: errno %d", op->name, piece, why, errno);
}

/* Encode @v in @width bytes, whatever its size. */
static void widen(struct piece *p, unsigned width, uint64_t v)
{
	static const uint8_t head[] = { [1] = 0xcc, [2] = 0xcd, [4] = 0xce, [8] = 0xcf };

	p->b[0] = head[width];
	for (unsigned i = 0; i < width; i++)
		p->b[1 + i] = (uint8_t)(v >> 8 * (width - 1 - i));
	p->n = 1 + width;
}

static void spoil_uint(struct packet *k, size_t i, check_fn check, const struct op *op)
{
	static const unsigned widths[] = { 1, 2, 4, 8 };
	static const uint64_t needs[] = { 0x80, 0x100, 0x10000, UINT64_C(0x100000000) };
	const struct piece whole = k->p[i];

	for (size_t w = 0; w < 4; w++)
		if (whole.value < needs[w]) {
			widen(&k->p[i], widths[w], whole.value);
			refused(k, check, op, "in a longer form than needed", i);
		}
	k->p[i] = whole;
}

static void bounds_uint(struct packet *k, size_t i, check_fn check, const struct op *op)
{
	const struct piece whole = k->p[i];
	const size_t n = k->n;
	const uint64_t out[2] = { whole.max + 1, whole.min - 1 };
	const bool has[2] = { whole.max<UINT64_MAX, whole.min> 0 };

	for (size_t o = 0; o < 2; o++) {
		if (!has[o])
			continue;
		k->n = i;
		add_uint(k, out[o], 0, 0);
		k->n = n;
		refused(k, check, op, "out of bounds", i);
	}
	k->p[i] = whole;
}

static void spoil_types(struct packet *k, size_t i, check_fn check, const struct op *op)
{
	/* nil, false, -1, float 32, an empty string, a map, an empty array, bin 8 of none, bin 16,
	 * str 8, ext, the unused byte */
	static const struct {
		uint8_t b[6];
		size_t n;
	} other[] = {
		{ { 0xc0 }, 1 },
		{ { 0xc2 }, 1 },
		{ { 0xff }, 1 },
		{ { 0xca, 0, 0, 0, 0 }, 5 },
		{ { 0xa0 }, 1 },
		{ { 0x80 }, 1 },
		{ { 0x90 }, 1 },
		{ { 0xc4, 0 }, 2 },
		{ { 0xc5, 0, 0 }, 3 },
		{ { 0xd9, 0 }, 2 },
		{ { 0xd4, 0, 0 }, 3 },
		{ { 0xc1 }, 1 },
		{ { 0xd0, 5 }, 2 },
		{ { 0xdc, 0, 0 }, 3 },
		{ { 0xdd, 0, 0, 0, 0 }, 5 },
	};
	const struct piece whole = k->p[i];
	const bool list = (whole.b[0] & 0xf0) == 0x90 || whole.b[0] == 0xdc;

	for (size_t o = 0; o < sizeof(other) / sizeof(other[0]); o++) {
		if (list && other[o].b[0] == 0x90)
			continue; /* an empty list is a list */
		memcpy(k->p[i].b, other[o].b, other[o].n);
		k->p[i].n = other[o].n;
		refused(k, check, op, "of another type", i);
	}
	k->p[i] = whole;
}

static void spoil_everything(struct packet *k, check_fn check, const struct op *op)
{
	uint8_t buf[2048];
	size_t n = join(k, buf);

	if (check(buf, n, op) != 0)
		fail_msg("%s: the packet that msgpack-c made is refused", op->name);
	for (size_t cut = 0; cut < n; cut++) {
		/* A heap copy of exactly this size, so that the sanitizer sees a read past the
		 * end. */
		uint8_t *part = malloc(cut + 1);
		memcpy(part, buf, cut);
		part = realloc(part, cut ? cut : 1);
		if (check(part, cut, op) == 0)
			fail_msg("%s: accepted when cut to %zu of %zu bytes", op->name, cut, n);
		free(part);
	}
	for (unsigned extra = 0; extra < 256; extra++) {
		buf[n] = (uint8_t)extra;
		assert_int_equal(check(buf, n + 1, op), -1);
	}
	for (size_t i = 0; i < k->n; i++) {
		spoil_types(k, i, check, op);
		if (k->p[i].uint) {
			spoil_uint(k, i, check, op);
			bounds_uint(k, i, check, op);
		}
	}
	k->n--;
	refused(k, check, op, "missing", k->n);
	k->n++;
	add_uint(k, 0, 0, 0);
	refused(k, check, op, "too many", k->n);
	k->n--;
}

static const struct op *op_of(void **state)
{
	return *state;
}

static void request_is_msgpack_and_round_trips(void **state)
{
	for (unsigned which = 0; which < 4; which++) {
		struct request in, out;
		struct packet k;
		uint8_t mine[OPS_PACKET_MAX], theirs[2048];

		make_request(op_of(state), which, &in, &k);
		int n = ops_encode_request(&in, mine);
		assert_int_equal(n, join(&k, theirs));
		assert_memory_equal(mine, theirs, n);
		assert_int_equal(ops_decode_request(mine, (size_t)n, &out), 0);
		assert_memory_equal(&in, &out, sizeof(in));
	}
}

static void reply_is_msgpack_and_round_trips(void **state)
{
	for (unsigned which = 0; which < 4; which++) {
		struct reply in, out;
		struct packet k;
		uint8_t mine[OPS_PACKET_MAX], theirs[2048];

		make_reply(op_of(state), which, &in, &k);
		int n = ops_encode_reply(op_of(state), &in, mine);
		assert_int_equal(n, join(&k, theirs));
		assert_memory_equal(mine, theirs, n);
		assert_int_equal(ops_decode_reply(op_of(state), mine, (size_t)n, &out), 0);
		assert_memory_equal(&in, &out, sizeof(in));
	}
	for (unsigned s = ST_OK + 1; s < ST_COUNT; s++) {
		struct reply in = { .seq = 3, .status = s }, out;
		uint8_t mine[OPS_PACKET_MAX];
		int n = ops_encode_reply(op_of(state), &in, mine);
		assert_int_equal(n, 4);
		assert_int_equal(ops_decode_reply(op_of(state), mine, 4, &out), 0);
		assert_int_equal(out.status, s);
	}
}

static void request_refuses_every_spoilt_form(void **state)
{
	for (unsigned which = 0; which < 4; which++) {
		struct request r;
		struct packet k;

		make_request(op_of(state), which, &r, &k);
		spoil_everything(&k, check_request, op_of(state));
	}
}

static void reply_refuses_every_spoilt_form(void **state)
{
	for (unsigned which = 0; which < 4; which++) {
		struct reply r;
		struct packet k;

		make_reply(op_of(state), which, &r, &k);
		spoil_everything(&k, check_reply, op_of(state));
	}
}

static void encoder_refuses_what_the_decoder_would(void **state)
{
	const struct op *op = op_of(state);
	struct request r;
	struct packet k;
	uint8_t buf[OPS_PACKET_MAX];

	for (const struct field *f = op->args(); f->name; f++) {
		if (f->type != FIELD_U || f->max == UINT64_MAX)
			continue;
		make_request(op, 0, &r, &k);
		*(uint64_t *)((char *)&r.hello + f->offset) = f->max + 1;
		assert_int_equal(ops_encode_request(&r, buf), -1);
	}
}

/* msgpack-c must accept every random message that we accept, and give the same values. */
static void random_bytes_agree_with_msgpack_c(void **state)
{
	(void)state;
	uint64_t x = 88172645463325252u;
	unsigned taken = 0;

	for (unsigned round = 0; round < 200000; round++) {
		const struct op *op = op_each(round % 12);
		struct request r, again;
		struct packet k;
		uint8_t buf[2048], out[OPS_PACKET_MAX];

		make_request(op, round % 4, &r, &k);
		size_t n = join(&k, buf);
		for (unsigned flips = 1 + round % 3; flips--;) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			buf[x % n] ^= (uint8_t)(1u << (x >> 32) % 8);
		}
		if (ops_decode_request(buf, n, &again) < 0)
			continue;
		taken++;
		msgpack_unpacked u;
		size_t off = 0;
		msgpack_unpacked_init(&u);
		assert_int_equal(msgpack_unpack_next(&u, (char *)buf, n, &off),
				 MSGPACK_UNPACK_SUCCESS);
		assert_int_equal(off, n);
		assert_int_equal(u.data.via.array.ptr[1].via.u64, again.seq);
		assert_int_equal(u.data.via.array.ptr[3].via.u64, again.slot);
		msgpack_unpacked_destroy(&u);
		/* One encoding a message: what we took is what we would have written. */
		assert_int_equal(ops_encode_request(&again, out), n);
		assert_memory_equal(out, buf, n);
	}
	assert_true(taken > 1000);
}

static void table_is_whole(void **state)
{
	(void)state;
	const struct op *op;

	for (size_t i = 0; (op = op_each(i)); i++) {
		assert_ptr_equal(op_find(op->code), op);
		assert_in_range(op->code, 1, 127);
		assert_true(op->fds_in <= FDIO_MAX && op->fds_out <= FDIO_MAX);
		/* Only a helper in service makes objects.  The names of the operations show their
		 * effect. */
		if (op->effect == EFFECT_CREATE) {
			assert_int_equal(op->phases, P_RUN);
			assert_int_equal(op->scope, SCOPE_SLOT);
			assert_true(op->role != ROLE_ANY);
		}
		if (op->effect == EFFECT_REMOVE)
			assert_int_equal(op->phases, P_RECONCILE | P_RUN);
		for (const struct field *f = op->args(); f->name; f++)
			assert_int_equal(f->type, FIELD_U);
		for (const struct field *f = op->reply(); f->name; f++)
			assert_int_equal(f->type, op->code == OP_LIST && f > op->reply() ? FIELD_A
											 : FIELD_U);
	}
	assert_null(op_find(127));
}

static void audit_names_every_argument(void **state)
{
	const struct op *op = op_of(state);
	struct request r;
	struct packet k;
	char text[512], tiny[4];

	make_request(op, 2, &r, &k);
	int len = ops_audit(op->args(), &r.hello, text, sizeof(text));
	assert_int_equal(len, strlen(text));
	for (const struct field *f = op->args(); f->name; f++) {
		char want[80];
		(void)snprintf(want, sizeof(want), "\"%s\":", f->name);
		assert_non_null(strstr(text, want));
	}
	if (strlen(text) >= sizeof(tiny))
		assert_int_equal(ops_audit(op->args(), &r.hello, tiny, sizeof(tiny)), -1);
}

int main(void)
{
	static const struct {
		const char *name;
		CMUnitTestFunction fn;
	} kinds[] = {
		{ "request is msgpack and round trips", request_is_msgpack_and_round_trips },
		{ "reply is msgpack and round trips", reply_is_msgpack_and_round_trips },
		{ "request refuses every spoilt form", request_refuses_every_spoilt_form },
		{ "reply refuses every spoilt form", reply_refuses_every_spoilt_form },
		{ "encoder refuses what the decoder would",
		  encoder_refuses_what_the_decoder_would },
		{ "audit names every argument", audit_names_every_argument },
	};
	enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };
	static struct CMUnitTest tests[64 * KINDS + 2];
	static char names[64 * KINDS][80];
	size_t n = 0;

	for (size_t i = 0; op_each(i); i++)
		for (size_t j = 0; j < KINDS; j++, n++) {
			(void)snprintf(names[n], sizeof(names[n]), "%s: %s", op_each(i)->name,
				       kinds[j].name);
			tests[n] = (struct CMUnitTest){ names[n], kinds[j].fn, NULL, NULL,
							(void *)op_each(i) };
		}
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(table_is_whole);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(random_bytes_agree_with_msgpack_c);
	return _cmocka_run_group_tests("helper protocol", tests, n, NULL, NULL);
}
