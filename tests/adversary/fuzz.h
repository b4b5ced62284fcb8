/* fuzz.h - what each fuzz target shares: its entry, its checks, and a reader of its input.
 *
 * A target is one file, fuzz_NAME.c.  Clang links it with libFuzzer (MODE=fuzz); gcc links it with
 * replay.c, which runs the inputs of corpus/NAME (MODE=check, MODE=cov). */
#ifndef BANGER_TESTS_FUZZ_H
#define BANGER_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The entry of a target; the name is libFuzzer's.  It ends the process by abort() when a check
 * fails.  Return: 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A check of a target.  It is no assert(3), because it has to stay in every build. */
#define MUST(condition)                                                                           \
	do {                                                                                      \
		if (!(condition)) {                                                               \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                  \
		}                                                                                 \
	} while (0)

/* The part of an input that is not read yet.  Past the end there are zeros. */
struct input {
	const uint8_t *p, *end;
};

/* Copy the next @n bytes to @out.  Return: the number of them that the input had. */
static inline size_t input_take(struct input *in, void *out, size_t n)
{
	const size_t left = (size_t)(in->end - in->p), have = left < n ? left : n;

	memset(out, 0, n);
	if (have)
		memcpy(out, in->p, have);
	in->p += have;
	return have;
}

static inline uint8_t input_byte(struct input *in)
{
	uint8_t b;

	(void)input_take(in, &b, 1);
	return b;
}

/* Return: the next two bytes, big-endian. */
static inline unsigned input_word(struct input *in)
{
	const unsigned high = input_byte(in);

	return high << 8 | input_byte(in);
}

#endif
