/* What a guest or a peer has written, before it reaches a terminal: clean_bytes() for a console,
 * text_clean() for names in tables.  The first byte is the size of the parts in which a console
 * arrives; the rest is the text.
 *
 * Checked: nothing comes out that moves a terminal (C0 but newline and tab, DEL, C1 in UTF-8); the
 * size of the parts does not matter; the buffer of one byte more than the input is enough; each
 * newline comes out, so that no line hides another. */
#include "controller/cli/out.h"
#include "tests/adversary/fuzz.h"

/* out.c prints quoted words by this function of cli.c, which no tested path calls. */
void text_printable(const char *src, char *dst, size_t size)
{
	(void)snprintf(dst, size, "%s", src);
}

static void check_text(const char *s, size_t n, int lines)
{
	for (size_t i = 0; i < n; i++) {
		const unsigned char b = (unsigned char)s[i];
		MUST(b >= ' ' || (lines && (b == '\n' || b == '\t')));
		MUST(b != 127);
		if (b == 0xc2 && i + 1 < n)
			MUST(((unsigned char)s[i + 1] & 0xe0) != 0x80);
	}
}

static size_t newlines(const char *s, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += s[i] == '\n';
	return count;
}

static size_t clean_in_parts(const char *in, size_t n, size_t step, char *out)
{
	struct clean s = { 0 };
	size_t have = 0;

	for (size_t at = 0, part; at < n; at += part) {
		part = n - at < step ? n - at : step;
		char *exact = malloc(part + 1); /* what vm.c offers for a part */
		MUST(exact);
		const size_t got = clean_bytes(&s, in + at, part, exact);
		MUST(got <= part + 1);
		memcpy(out + have, exact, got);
		have += got;
		free(exact);
	}
	return have;
}

static void check_console(const char *in, size_t n, size_t step)
{
	char *whole = malloc(2 * n + 1), *parts = malloc(2 * n + 1);

	MUST(whole && parts);
	const size_t a = clean_in_parts(in, n, n, whole), b = clean_in_parts(in, n, step, parts);
	MUST(a == b && memcmp(whole, parts, a) == 0);
	MUST(newlines(whole, a) == newlines(in, n));
	check_text(whole, a, 1);
	free(whole);
	free(parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	const char *in = (const char *)data + 1;
	const size_t n = size - 1;
	char *s = malloc(n + 1);

	MUST(s);
	memcpy(s, in, n);
	s[n] = '\0';
	text_clean(s);
	check_text(s, strlen(s), 0);
	free(s);
	check_console(in, n, data[0] ? data[0] : 1);
	return 0;
}
