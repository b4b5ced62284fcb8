/* wire.h - the msgpack subset of the helper protocol, by hand: no allocation, no recursion, no text.
 *
 * Types (msgpack specification): positive integers, true, false, bin 8, fixarray and array 16.  Each value has
 * exactly one encoding, the shortest; the reader refuses every other byte.  Both cursors are sticky: after the
 * first fault they do nothing and stay bad, so a caller checks once, at the end. */
#ifndef BANGER_PROTO_WIRE_H
#define BANGER_PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_writer {
	uint8_t *p, *end;
	bool bad;
};

struct wire_reader {
	const uint8_t *p, *end;
	bool bad;
};

void wire_put_uint(struct wire_writer *w, uint64_t v);
void wire_put_bool(struct wire_writer *w, bool v);
void wire_put_bin(struct wire_writer *w, const void *bytes, size_t n);
void wire_put_array(struct wire_writer *w, size_t n);

/* Each returns the value, or 0 with r->bad set. */
uint64_t wire_get_uint(struct wire_reader *r, uint64_t min, uint64_t max);
bool wire_get_bool(struct wire_reader *r);
void wire_get_bin(struct wire_reader *r, void *out, size_t n); /* exactly @n bytes */
size_t wire_get_array(struct wire_reader *r, size_t max);

#endif
