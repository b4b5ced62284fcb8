/* wire.c - reads and writes the msgpack subset of the helper protocol. */
#include "proto/wire.h"

#include <string.h>

enum {
	FIXARRAY = 0x90,
	BIN8 = 0xc4,
	UINT8 = 0xcc,
	UINT16 = 0xcd,
	UINT32 = 0xce,
	UINT64 = 0xcf,
	ARRAY16 = 0xdc,
};

/* Write a head byte and the @n low bytes of @v, big-endian. */
static void put(struct wire_writer *w, uint8_t head, uint64_t v, unsigned n)
{
	if (w->bad || (size_t)(w->end - w->p) < n + 1) {
		w->bad = true;
		return;
	}
	*w->p++ = head;
	while (n--)
		*w->p++ = (uint8_t)(v >> 8 * n);
}

void wire_put_uint(struct wire_writer *w, uint64_t v)
{
	if (v < 0x80)
		put(w, (uint8_t)v, 0, 0);
	else if (v <= UINT8_MAX)
		put(w, UINT8, v, 1);
	else if (v <= UINT16_MAX)
		put(w, UINT16, v, 2);
	else if (v <= UINT32_MAX)
		put(w, UINT32, v, 4);
	else
		put(w, UINT64, v, 8);
}

void wire_put_bin(struct wire_writer *w, const void *bytes, size_t n)
{
	put(w, BIN8, n, 1);
	if (w->bad || n > UINT8_MAX || (size_t)(w->end - w->p) < n) {
		w->bad = true;
		return;
	}
	memcpy(w->p, bytes, n);
	w->p += n;
}

void wire_put_array(struct wire_writer *w, size_t n)
{
	if (n < 16)
		put(w, (uint8_t)(FIXARRAY | n), 0, 0);
	else if (n <= UINT16_MAX)
		put(w, ARRAY16, n, 2);
	else
		w->bad = true;
}

static uint64_t get(struct wire_reader *r, unsigned n)
{
	uint64_t v = 0;

	if (r->bad || (size_t)(r->end - r->p) < n) {
		r->bad = true;
		return 0;
	}
	while (n--)
		v = v << 8 | *r->p++;
	return v;
}

/* Check that @v lies in @min..@max and is not below @least, for which a shorter encoding exists. */
static uint64_t checked(struct wire_reader *r, uint64_t v, uint64_t least, uint64_t min,
			uint64_t max)
{
	if (v < least || v < min || v > max)
		r->bad = true;
	return r->bad ? 0 : v;
}

uint64_t wire_get_uint(struct wire_reader *r, uint64_t min, uint64_t max)
{
	uint64_t head = get(r, 1);

	switch (head) {
	case UINT8:
		return checked(r, get(r, 1), 0x80, min, max);
	case UINT16:
		return checked(r, get(r, 2), UINT8_MAX + 1u, min, max);
	case UINT32:
		return checked(r, get(r, 4), UINT16_MAX + 1u, min, max);
	case UINT64:
		return checked(r, get(r, 8), UINT32_MAX + UINT64_C(1), min, max);
	default:
		if (head >= 0x80)
			r->bad = true;
		return checked(r, head, 0, min, max);
	}
}

void wire_get_bin(struct wire_reader *r, void *out, size_t n)
{
	if (get(r, 1) != BIN8 || get(r, 1) != n || (size_t)(r->end - r->p) < n)
		r->bad = true;
	if (r->bad) {
		memset(out, 0, n);
		return;
	}
	memcpy(out, r->p, n);
	r->p += n;
}

size_t wire_get_array(struct wire_reader *r, size_t max)
{
	uint64_t head = get(r, 1);

	if (head == ARRAY16)
		return (size_t)checked(r, get(r, 2), 16, 0, max);
	if (head < FIXARRAY || head > (FIXARRAY | 15))
		r->bad = true;
	return (size_t)checked(r, head & 15, 0, 0, max);
}
