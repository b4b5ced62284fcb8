/* exchange.c - runs one request in a worker: the table of handlers, the operation's id, events and
 * the answer. */
#include "controller/api/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "controller/api/host_calls.h"
#include "controller/api/image_calls.h"
#include "controller/api/vm_calls.h"
#include "controller/id.h"

static const exchange_fn handlers[CALL_COUNT] = {
#define CALL(NAME, name, ...) [CALL_##NAME] = api_##name,
#include "proto/control.def"
};

void api_time(uint64_t wall_ns, char out[32])
{
	time_t t = (time_t)(wall_ns / 1000000000u);
	struct tm tm;

	out[0] = '\0';
	if (wall_ns && gmtime_r(&t, &tm))
		(void)strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* Account for one send of result @r that began at @since.  The client counts as gone when the send
 * failed, or when all sends of this pass together took longer than API_SEND_MS. */
static int sent(struct exchange *x, int r, uint64_t since)
{
	x->waited_ns += clock_boot_ns() - since;
	if (r < 0 && (errno == EINVAL || errno == EMSGSIZE))
		log_error("answer to %s: a value is out of the protocol's bounds", x->call->name);
	if (r < 0 || x->waited_ns > API_SEND_MS * 1000000ull)
		x->gone = true;
	return x->gone ? -1 : 0;
}

int exchange_event(struct exchange *x, enum event_id id, const void *fields)
{
	uint64_t now = clock_boot_ns();

	return x->gone ? -1 : sent(x, control_send_event(x->fd, control_event(id), fields), now);
}

static void tell_stage(void *arg, const char *stage, const char *detail)
{
	struct exchange *x = arg;
	struct ev_stage ev = { .us = (clock_boot_ns() - x->begun_ns) / 1000 };

	memcpy(ev.op, x->op.hex, ID_HEX);
	(void)strncpy(ev.stage, stage, sizeof(ev.stage) - 1);
	(void)strncpy(ev.detail, detail, sizeof(ev.detail) - 1);
	(void)exchange_event(x, EVENT_STAGE, &ev);
}

void *api_rows_add(struct api_rows *rows)
{
	if (rows->n == rows->room) {
		size_t room = rows->room ? 2 * rows->room : 16;
		char *v = reallocarray(rows->v, room, rows->size);
		if (!v) {
			(void)error_set(&rows->x->error, FAIL_HOST, "list", "out of memory");
			error_hint(&rows->x->error, "nothing was changed; try again");
			return NULL;
		}
		rows->v = v;
		rows->room = room;
	}
	return memset(rows->v + rows->n++ * rows->size, 0, rows->size);
}

int api_rows_send(struct exchange *x, struct api_rows *rows, int r, enum event_id id,
		  uint64_t *count)
{
	for (size_t i = 0; i < rows->n && r >= 0; i++)
		if (exchange_event(x, id, rows->v + i * rows->size) < 0)
			break;
	*count = rows->n;
	free(rows->v);
	return r < 0 ? EXCHANGE_FAILED : EXCHANGE_DONE;
}

int api_send_pieces(struct exchange *x, int fd, struct file_part *p)
{
	for (unsigned n = 1; file_part_read(fd, p) == 0; n++) {
		struct ev_piece ev = { .at = p->at, .data.n = p->n };
		if (n == API_PIECES || file_part_is_last(p))
			return 0;
		memcpy(ev.data.v, p->buf, p->n);
		if (exchange_event(x, EVENT_PIECE, &ev) < 0)
			return 0;
		p->offset = p->at + p->n;
	}
	return -1;
}

void exchange_begin(struct exchange *x, const struct message *m, int *fds, size_t nfds)
{
	x->call = m->call;
	x->id = m->id;
	x->args = m->body;
	memset(&x->result, 0, sizeof(x->result));
	memset(&x->error, 0, sizeof(x->error));
	memcpy(x->fds, fds, nfds * sizeof(*fds));
	x->nfds = nfds;
	x->fd_out = -1;
	x->begun_ns = clock_boot_ns();
	x->waited_ns = x->cursor = 0;
	x->passes = 0;
	vmm_ports_init(&x->ports);
	x->op = (struct operation){ .caller = &x->caller,
				    .connection = x->connection,
				    .stage = tell_stage,
				    .stage_arg = x };
	id_new(x->op.id);
	format_id(x->op.id, x->op.hex);
}

void exchange_fail(struct exchange *x)
{
	uint64_t now = clock_boot_ns();

	memcpy(x->error.op, x->op.hex, ID_HEX);
	if (x->error.code == FAIL_NONE)
		x->error.code = FAIL_GENERAL;
	FAILPOINT("answer.error");
	if (!x->gone)
		(void)sent(x, control_send_error(x->fd, x->id, &x->error), now);
}

static void succeed(struct exchange *x)
{
	uint64_t now = clock_boot_ns();

	FAILPOINT("answer.before");
	if (!x->gone)
		(void)sent(x,
			   control_send_result(x->fd, x->id, x->call, &x->result, &x->fd_out,
					       x->call->fds_out),
			   now);
	FAILPOINT("answer.after");
	fdio_close_all(&x->fd_out, 1);
}

static int serve(struct exchange *x)
{
	if (x->nfds != x->call->fds_in)
		return error_set(&x->error, FAIL_USAGE, x->call->name,
				 "%zu descriptors came with the request, not %u", x->nfds,
				 x->call->fds_in);
	return handlers[x->call->id](x);
}

bool exchange_run(struct exchange *x)
{
	/* A request that waits may go on for months: sends that never blocked add up. */
	x->waited_ns = 0;
	int r = serve(x);

	x->passes++;
	if (r == EXCHANGE_AGAIN && !x->gone)
		return false;
	if (r == EXCHANGE_FAILED)
		exchange_fail(x);
	else
		succeed(x);
	return true;
}
