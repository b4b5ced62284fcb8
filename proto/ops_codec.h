/* ops_codec.h - what the two halves of the helper protocol's codec share; included by ops.c and
 * ops_client.c alone. */
#ifndef BANGER_PROTO_OPS_CODEC_H
#define BANGER_PROTO_OPS_CODEC_H

#include "proto/ops.h"
#include "proto/wire.h"

#define REQUEST_HEAD 8 /* version, seq, op, slot, generation, op_id, vm, owner */
#define REPLY_HEAD 3   /* version, seq, status */

/* The layout of every UINTS(n). */
struct uints {
	size_t n;
	uint64_t v[];
};

/* Return: the number of fields in a list. */
size_t ops_count(const struct field *f);

/* Write or read the field of type FIELD_U in the struct @base.  A value out of its bounds spoils
 * the packet. */
void ops_put_uint(struct wire_writer *w, const struct field *f, const void *base);
void ops_get_uint(struct wire_reader *r, const struct field *f, void *base);

/* Return: the length of the packet in @buf, or -1 with EINVAL: it is spoilt. */
int ops_written(const struct wire_writer *w, const uint8_t *buf);
/* Return: 0, or -1 with EBADMSG: the packet is spoilt, or longer than what was read. */
int ops_consumed(const struct wire_reader *r);

#endif
