/* pieces.c - reads data of a file that the daemon gives in pieces. */
#include "controller/cli/pieces.h"

#include "controller/cli/conn.h"

static int senseless(const struct pieces *p, struct error *e)
{
	return error_set(e, FAIL_GENERAL, p->name, "the daemon's answer makes no sense");
}

/* Take the next piece, which begins where the last one ended, or later. */
static int take_piece(struct pieces *p, uint64_t at, const uint8_t *data, size_t n, struct error *e)
{
	if (at < p->offset || at > p->end || n > p->end - at)
		return senseless(p, e);
	p->offset = at + n;
	return n ? p->take(p->arg, at, data, n, e) : 0;
}

static int take_event(void *arg, const struct event *event, const union control_body *body,
		      struct error *e)
{
	const struct ev_piece *v = &body->ev_piece;

	return event->id == EVENT_PIECE ? take_piece(arg, v->at, v->data.v, v->data.n, e) : 0;
}

/* The answers of both calls have the same fields. */
static int take_answer(struct pieces *p, const union control_body *r, struct error *e)
{
	const struct res_image_read *i = &r->res_image_read;
	const struct res_vm_read *v = &r->res_vm_read;
	const bool image = p->call == CALL_IMAGE_READ;
	const uint64_t size = image ? i->size : v->size, at = image ? i->at : v->at;
	const size_t n = image ? i->data.n : v->data.n;

	if (size != p->size || (n == 0 && at != p->end))
		return senseless(p, e);
	return take_piece(p, at, image ? i->data.v : v->data.v, n, e);
}

static int read_once(struct pieces *p, struct error *e)
{
	const struct reply_to to = { .event = take_event, .arg = p, .keep = p->conn };
	const int conn = *p->conn;
	union control_body r;

	if (p->call == CALL_IMAGE_READ)
		p->args->image_read.offset = p->offset;
	else
		p->args->vm_read.offset = p->offset;
	*p->conn = -1;
	if (conn_call_on(p->c, conn, p->call, p->args, NULL, &to, &r, e) < 0)
		return -1;
	return take_answer(p, &r, e);
}

int pieces_read(struct pieces *p, struct error *e)
{
	while (p->offset < p->end)
		if (read_once(p, e) < 0)
			return -1;
	return 0;
}
