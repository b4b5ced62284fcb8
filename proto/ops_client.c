/* ops_client.c - the controller's half of the codec: encodes requests, decodes answers.  No role is
 * linked with it. */
#include <errno.h>
#include <string.h>

#include "proto/ops_codec.h"

const char *object_name(enum object o)
{
	static const char *const names[OBJ_COUNT] = { "?",         "tap",      "guest", "nat",
						      "loop-base", "loop-cow", "dm",    "vmm" };

	return (unsigned)o < OBJ_COUNT ? names[o] : "?";
}

int ops_encode_request(const struct request *r, uint8_t buf[OPS_PACKET_MAX])
{
	struct wire_writer w = { buf, buf + OPS_PACKET_MAX, false };

	wire_put_array(&w, REQUEST_HEAD + ops_count(r->op->args()));
	wire_put_uint(&w, OPS_VERSION);
	wire_put_uint(&w, r->seq);
	wire_put_uint(&w, r->op->code);
	wire_put_uint(&w, r->slot);
	wire_put_uint(&w, r->generation);
	wire_put_bin(&w, r->op_id, ID_LEN);
	wire_put_bin(&w, r->vm, ID_LEN);
	wire_put_uint(&w, r->owner);
	for (const struct field *f = r->op->args(); f->name; f++)
		ops_put_uint(&w, f, &r->hello);
	return ops_written(&w, buf);
}

static void get_list(struct wire_reader *r, const struct field *f, void *base)
{
	struct uints *a = (void *)((char *)base + f->offset);

	a->n = wire_get_array(r, f->max);
	for (size_t i = 0; i < a->n; i++)
		a->v[i] = wire_get_uint(r, 0, UINT64_MAX);
}

int ops_decode_reply(const struct op *op, const uint8_t *buf, size_t len, struct reply *r)
{
	struct wire_reader rd = { buf, buf + len, len > OPS_PACKET_MAX };

	memset(r, 0, sizeof(*r));
	size_t n = wire_get_array(&rd, UINT16_MAX);
	(void)wire_get_uint(&rd, OPS_VERSION, OPS_VERSION);
	r->seq = wire_get_uint(&rd, 1, UINT64_MAX);
	r->status = (enum status)wire_get_uint(&rd, 0, ST_COUNT - 1);
	size_t values = r->status == ST_OK ? ops_count(op->reply()) : 0;
	if (n != REPLY_HEAD + values)
		rd.bad = true;
	for (const struct field *f = op->reply(); f < op->reply() + values && !rd.bad; f++)
		if (f->type == FIELD_A)
			get_list(&rd, f, &r->hello);
		else
			ops_get_uint(&rd, f, &r->hello);
	return ops_consumed(&rd);
}
