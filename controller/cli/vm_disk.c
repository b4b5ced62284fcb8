/* vm_disk.c - reads the disk of a VM at rest: a file, or an image over which the chunks of a CoW
 * store are laid. */
#include "controller/cli/vm_disk.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/cli/conn.h"
#include "controller/cli/pieces.h"

/* The parts of a disk, as VM_READ numbers them. */
enum { PART_BASE, PART_STORE };

/* ---- pieces ---- */

struct range {
	unsigned part;
	uint64_t from, to; /* bytes of the part */
	piece_fn take;
	void *arg;
};

/* Read the data of a range, without its holes. */
static int read_range(struct vm_disk *d, const struct range *g, struct error *e)
{
	union control_body args = { .vm_read = { .part = g->part, .end = g->to } };
	struct pieces p = { .c = d->c,
			    .conn = &d->conn,
			    .name = d->info.name,
			    .size = g->part == PART_BASE ? d->info.size : d->info.store,
			    .offset = g->from,
			    .end = g->to,
			    .call = CALL_VM_READ,
			    .args = &args,
			    .take = g->take,
			    .arg = g->arg };

	memcpy(args.vm_read.vm, d->info.id, sizeof(d->info.id));
	return pieces_read(&p, e);
}

/* ---- the store ---- */

struct buffer {
	uint8_t *v;
	uint64_t from; /* the byte of the part that @v begins with */
};

static int to_buffer(void *arg, uint64_t at, const uint8_t *data, size_t n, struct error *e)
{
	struct buffer *b = arg;

	(void)e;
	memcpy(b->v + (at - b->from), data, n);
	return 0;
}

static int read_store(void *arg, uint64_t at, uint8_t *buf, size_t n, struct error *e)
{
	struct buffer b = { buf, at };
	const struct range g = { PART_STORE, at, at + n, to_buffer, &b };

	memset(buf, 0, n);
	return read_range(arg, &g, e);
}

int vm_disk_open(struct cli *c, const char *ref, struct vm_disk *d, struct error *e)
{
	const struct reply_to to = { .keep = &d->conn };
	struct call_vm_disk a = { 0 };

	*d = (struct vm_disk){ .c = c, .conn = -1 };
	if (text_put(a.vm, sizeof(a.vm), "VM", ref, e) < 0 ||
	    conn_call(c, CALL_VM_DISK, &a, NULL, &to, &d->info, e) < 0)
		return -1;
	const struct cow_store s = {
		.size = d->info.store, .origin = d->info.size, .read = read_store, .arg = d
	};
	return d->info.store ? cow_read(&d->cow, &s, e) : 0;
}

void vm_disk_close(struct vm_disk *d)
{
	if (d->conn >= 0)
		(void)close(d->conn);
	d->conn = -1;
	cow_free(&d->cow);
}

/* ---- the copy ---- */

/* Where the pieces of a range go to. */
struct output {
	struct sink *to;
	uint64_t add; /* modulo 2^64: from a byte of the part to one of the disk */
};

static int to_sink(void *arg, uint64_t at, const uint8_t *data, size_t n, struct error *e)
{
	const struct output *o = arg;

	return sink_put(o->to, at + o->add, data, n, e);
}

static int copy_base(struct vm_disk *d, struct sink *to, uint64_t from, uint64_t end,
		     struct error *e)
{
	struct output o = { to, 0 };
	const struct range g = { PART_BASE, from, end, to_sink, &o };

	return read_range(d, &g, e);
}

/* Copy a run of exceptions that follow each other in the disk and in the store. */
static int copy_run(struct vm_disk *d, struct sink *to, const struct cow_exception *x, size_t n,
		    struct error *e)
{
	const uint64_t old = x->old * COW_CHUNK, new = x->new *COW_CHUNK;
	const uint64_t left = d->info.size - old;
	const uint64_t bytes = n * COW_CHUNK < left ? n * COW_CHUNK : left;
	struct output o = { to, old - new };
	const struct range g = { PART_STORE, new, new + bytes, to_sink, &o };

	return read_range(d, &g, e);
}

static size_t run_length(const struct cow *w, size_t at)
{
	size_t n = 1;

	while (at + n < w->n && w->v[at + n].old == w->v[at].old + n &&
	       w->v[at + n].new == w->v[at].new + n)
		n++;
	return n;
}

int vm_disk_copy(void *arg, struct sink *to, struct error *e)
{
	struct vm_disk *d = arg;
	uint64_t done = 0;

	for (size_t i = 0, n; i < d->cow.n; i += n) {
		const struct cow_exception *x = &d->cow.v[i];
		n = run_length(&d->cow, i);
		if (copy_base(d, to, done, x->old * COW_CHUNK, e) < 0 ||
		    copy_run(d, to, x, n, e) < 0)
			return -1;
		done = (x->old + n) * COW_CHUNK;
	}
	if (copy_base(d, to, done, d->info.size, e) < 0)
		return -1;
	return sink_end(to, d->info.size, e);
}
