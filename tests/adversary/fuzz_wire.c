/* Both directions of the helper protocol.  The first byte says whose packet follows: 0 a request, n
 * the answer to the operation of row n - 1, 255 values that no packet holds.  A version of 0
 * stands for OPS_VERSION, so that the inputs outlive it.
 *
 * Checked: each accepted packet has the one encoding of its values, and its values are within the
 * bounds of the table; the audit text fits where the request log puts it. */
#include "proto/ops.h"
#include "tests/adversary/fuzz.h"

#define AUDIT_MAX 1024 /* MEMBERS_MAX of reqlog.c */

static void check_audit(const struct field *fields, const void *base)
{
	char text[AUDIT_MAX];

	MUST(ops_audit(fields, base, text, sizeof(text)) >= 0);
	for (const char *c = text; *c; c++)
		MUST(*c >= ' ' && *c <= '~');
}

static void check_bounds(const struct field *fields, const void *base)
{
	for (const struct field *f = fields; f->name; f++) {
		const void *at = (const char *)base + f->offset;
		if (f->type == FIELD_U)
			MUST(*(const uint64_t *)at >= f->min && *(const uint64_t *)at <= f->max);
		if (f->type == FIELD_A)
			MUST(*(const size_t *)at <= f->max);
	}
}

static void request(const uint8_t *data, size_t size)
{
	uint8_t again[OPS_PACKET_MAX];
	struct request q;

	if (ops_decode_request(data, size, &q) < 0)
		return;
	MUST(q.slot < SLOT_MAX && q.owner != UINT32_MAX && q.seq);
	check_bounds(q.op->args(), &q.hello);
	MUST(ops_encode_request(&q, again) == (int)size);
	MUST(memcmp(again, data, size) == 0);
	check_audit(q.op->args(), &q.hello);
}

static void reply(const struct op *op, const uint8_t *data, size_t size)
{
	uint8_t again[OPS_PACKET_MAX];
	struct reply r;

	if (ops_decode_reply(op, data, size, &r) < 0)
		return;
	MUST((unsigned)r.status < ST_COUNT);
	if (r.status == ST_OK)
		check_bounds(op->reply(), &r.hello);
	MUST(ops_encode_reply(op, &r, again) == (int)size);
	MUST(memcmp(again, data, size) == 0);
	MUST(status_name(r.status)[0] != '?');
	/* The log has the number of a list's objects only. */
	if (r.status == ST_OK && op->code != OP_LIST)
		check_audit(op->reply(), &r.hello);
}

/* Values that no packet holds, and a text that does not fit. */
static void refusals(size_t size)
{
	struct request q = { .op = op_each(size % 20) };
	uint8_t out[OPS_PACKET_MAX];

	memset(&q.hello, 0xff, sizeof(q) - offsetof(struct request, hello));
	if (q.op && q.op->args()->name)
		MUST(ops_encode_request(&q, out) < 0);
	MUST(ops_audit(op_find(OP_HELLO)->args(), &q.hello, (char *)out, size % 20) < 0);
	for (unsigned i = 0; i < 9; i++)
		MUST(*object_name((enum object)i) && *role_name((enum role_id)i) &&
		     *status_name((enum status)i));
}

static void packet(uint8_t whose, const uint8_t *bytes, size_t size)
{
	const struct op *op = whose ? op_each(whose - 1u) : NULL;

	if (whose == UINT8_MAX)
		refusals(size);
	else if (op)
		reply(op, bytes, size);
	else
		request(bytes, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	uint8_t *bytes = malloc(size - 1);
	const size_t version = data[1] == 0xdc ? 3 : 1; /* behind the head of an array */
	MUST(bytes);
	memcpy(bytes, data + 1, size - 1);
	if (version < size - 1 && bytes[version] == 0)
		bytes[version] = OPS_VERSION;
	packet(data[0], bytes, size - 1);
	free(bytes);
	return 0;
}
