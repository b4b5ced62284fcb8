/* The list of exceptions of a CoW store, as the command line reads it for `vm export`.
 *
 * An input is the size of the disk and that of the store (each 4 bytes, little-endian, in sectors,
 * cut to 20 bits), the 16 bytes of the header, then exceptions of 16 bytes.  Each 256 of them are
 * the metadata of one area; a store of an input has no other bytes.
 *
 * Checked: no byte behind the end of the store is asked for; what is accepted is what a plain
 * reader of the kernel's format finds, each chunk once, in order, and within disk and store. */
#include "common/bytes.h"
#include "controller/cli/cow.h"
#include "tests/adversary/fuzz.h"

#define SECTOR 512u
#define HEADER 16u
#define SIZES 8u
#define PER_AREA (COW_CHUNK / 16)

struct fake {
	const uint8_t *p; /* header and exceptions */
	size_t n;
	uint64_t size, disk;
};

static uint8_t byte_of(const struct fake *f, uint64_t at)
{
	const uint64_t chunk = at / COW_CHUNK;

	if (chunk == 0)
		return at < HEADER && at < f->n ? f->p[at] : 0;
	if ((chunk - 1) % (PER_AREA + 1) != 0)
		return 0;
	const uint64_t i = HEADER + (chunk - 1) / (PER_AREA + 1) * COW_CHUNK + at % COW_CHUNK;
	return i < f->n ? f->p[i] : 0;
}

static int read_fake(void *arg, uint64_t at, uint8_t *buf, size_t n, struct error *e)
{
	const struct fake *f = arg;

	(void)e;
	MUST(at <= f->size && n <= f->size - at);
	for (size_t i = 0; i < n; i++)
		buf[i] = byte_of(f, at + i);
	return 0;
}

/* Return: true if the list has this exception before its end. */
static bool has(const struct fake *f, const struct cow_exception *x)
{
	for (size_t i = HEADER; i + 16 <= f->n && le64(f->p + i + 8) != 0; i += 16)
		if (le64(f->p + i) == x->old && le64(f->p + i + 8) == x->new)
			return true;
	return false;
}

static size_t length(const struct fake *f)
{
	size_t n = 0;

	/* An exception that is cut off has zeros for the rest. */
	for (size_t i = HEADER; i < f->n; i += 16, n++) {
		uint8_t x[16] = { 0 };
		memcpy(x, f->p + i, f->n - i < 16 ? f->n - i : 16);
		if (le64(x + 8) == 0)
			break;
	}
	return n;
}

static void check(const struct fake *f, const struct cow *w)
{
	const bool used = f->n >= 4 && le32(f->p) != 0;
	const bool whole = (f->n - HEADER) % 16 == 0;

	MUST(w->n == (used ? length(f) : 0));
	for (size_t i = 0; i < w->n; i++) {
		const struct cow_exception *x = &w->v[i];
		MUST(i == 0 || w->v[i - 1].old < x->old);
		MUST(x->old * COW_CHUNK < f->disk);
		MUST((x->new + 1) * COW_CHUNK <= f->size);
		MUST(x->new >= 2 && (x->new - 1) % (PER_AREA + 1) != 0);
		MUST(!whole || i > 64 || has(f, x)); /* the search takes long */
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < SIZES + HEADER)
		return 0;
	struct fake f = {
		.p = data + SIZES,
		.n = size - SIZES,
		.disk = (le32(data) & 0xfffff) * (uint64_t)SECTOR,
		.size = (le32(data + 4) & 0xfffff) * (uint64_t)SECTOR,
	};
	const struct cow_store s = {
		.size = f.size, .origin = f.disk, .read = read_fake, .arg = &f
	};
	struct error e = { 0 };
	struct cow w;

	if (cow_read(&w, &s, &e) == 0)
		check(&f, &w);
	else
		MUST(e.code != FAIL_NONE && e.why[0]);
	cow_free(&w);
	return 0;
}
