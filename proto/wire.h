/* wire.h - reads and writes the msgpack subset of the helper protocol, without allocation,
 * recursion or text.
 *
 * Types (msgpack specification): positive integers, bin 8, fixarray and array 16.
 * Each value has exactly one encoding, the shortest; the reader refuses every other byte.  After
 * the first error a writer or reader does nothing and `bad` stays set, so a caller checks it once,
 * at the end. */
#ifndef BANGER_PROTO_WIRE_H
#define BANGER_PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The buffer between @p, the next byte, and @end. */
struct wire_writer {
	uint8_t *p, *end;
	bool bad;
};

struct wire_reader {
	const uint8_t *p, *end;
	bool bad;
};

/* Write a value.  w->bad is set if it does not fit: bin has at most 255 bytes, an array 65,535
 * elements, which follow. */
void wire_put_uint(struct wire_writer *w, uint64_t v);
void wire_put_bin(struct wire_writer *w, const void *bytes, size_t n);
void wire_put_array(struct wire_writer *w, size_t n);

/* Read a value of one type: a number in @min..@max, exactly @n bytes, or the head of an array of at
 * most @max elements.
 * Return: the value or the number of elements; 0 with r->bad set on error. */
uint64_t wire_get_uint(struct wire_reader *r, uint64_t min, uint64_t max);
void wire_get_bin(struct wire_reader *r, void *out, size_t n);
size_t wire_get_array(struct wire_reader *r, size_t max);

#endif
