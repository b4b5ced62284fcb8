/* exchange.h - one request from its arrival to its answer, and the functions that all handlers
 * share. */
#ifndef BANGER_CONTROLLER_API_EXCHANGE_H
#define BANGER_CONTROLLER_API_EXCHANGE_H

#include <stdio.h>

#include "controller/ctl.h"
#include "controller/storage/file_part.h"
#include "controller/vmm/port.h"

/* One request, from its arrival to its answer.  The worker that runs the handler owns it; only
 * @gone is shared. */
struct exchange {
	struct ctl *ctl;
	int fd;
	struct caller caller;
	uint64_t connection; /* number of the connection; not used again, not 0 */
	uint64_t id;         /* the number that the client gave the request */
	const struct call *call;
	union control_body args, result;
	/* descriptors of the request; the server closes them after the answer */
	int fds[FDIO_MAX];
	size_t nfds;
	int fd_out; /* descriptor of the answer, closed after it; -1: none */
	struct operation op;
	struct error error;
	uint64_t begun_ns;  /* clock_boot_ns() at the arrival */
	uint64_t waited_ns; /* time spent in sends to the client, in this pass */
	/* the client disconnected or does not read: nothing more is sent */
	_Atomic bool gone;

	/* State of a handler that returns EXCHANGE_AGAIN.  All are zero before the first call. */
	unsigned passes; /* completed calls of the handler */
	uint8_t vm[ID_LEN];
	uint64_t cursor; /* offset in a stream of the VM, bytes */
	/* search for a port of the VM's agent; the server closes it after the answer */
	struct vmm_ports ports;
};

#define API_SEND_MS 5000 /* all sends of one call of a handler together may block for so long */

/* Return values of a handler.  DONE: x->result is filled in.  FAILED: x->error is filled in.
 * AGAIN: the handler waits for a VM; it is called again after EXCHANGE_AGAIN_MS and occupies no
 * worker until then. */
enum { EXCHANGE_DONE = 0, EXCHANGE_FAILED = -1, EXCHANGE_AGAIN = 1 };
#define EXCHANGE_AGAIN_MS 100

typedef int (*exchange_fn)(struct exchange *x);

/**
 * exchange_begin() - initialize @x for a decoded request and generate the operation's id
 * @x:		ctl, fd and caller are set already
 * @m:		the request; its arguments are copied
 * @fds:	descriptors that came with it; @x owns them from here on
 * @nfds:	at most FDIO_MAX
 */
void exchange_begin(struct exchange *x, const struct message *m, int *fds, size_t nfds);

/**
 * exchange_run() - call the handler once, and send the answer unless the handler asks to be called
 *		again
 *
 * Return: true when the request is answered, or its client is gone; false when exchange_run() is
 * due again.
 */
bool exchange_run(struct exchange *x);

/* Send x->error as the answer.  The operation's id is filled in, and FAIL_GENERAL where no code is
 * set. */
void exchange_fail(struct exchange *x);

/**
 * exchange_event() - send one event to the client
 * @id:		the event, a row of control.def
 * @fields:	its struct ev_*
 *
 * A client that does not read within API_SEND_MS is marked as gone.
 * Return: 0, or -1 when the client is gone.
 */
int exchange_event(struct exchange *x, enum event_id id, const void *fields);

/* Rows of a list.  The handler gathers all rows before it sends the first one, so that a client
 * that reads slowly does not block the database. */
struct api_rows {
	struct exchange *x;
	size_t size;    /* of one row, an event's struct; set by the handler */
	size_t n, room; /* rows in use, rows allocated */
	char *v;
};

/* Append a zeroed row.  Return: the row, valid until the next call; NULL when there is no memory:
 * the error of rows->x is filled in. */
void *api_rows_add(struct api_rows *rows);

/**
 * api_rows_send() - send the gathered rows as events @id, and free them
 * @r:		result of the gathering; when it is negative nothing is sent
 * @count:	out: number of rows gathered
 *
 * Return: EXCHANGE_DONE, or EXCHANGE_FAILED when @r is negative.
 */
int api_rows_send(struct exchange *x, struct api_rows *rows, int r, enum event_id id,
		  uint64_t *count);

/* The most pieces of one request, the answer's included.  The kernel counts 8 or 16 KiB for each,
 * and the socket's buffer has 208 KiB (net.core.wmem_default). */
#define API_PIECES 8

/* Send data of @fd as EVENT piece; the last piece is left in @p for the answer.  Return: 0, or -1
 * with errno: it can not be read. */
int api_send_pieces(struct exchange *x, int fd, struct file_part *p);

/* Copy a string into the array @out.  The copy is cut to the array's size and always ends with a
 * NUL. */
#define COPY(out, in) ((void)snprintf((out), sizeof(out), "%s", (in)))

/* Format @wall_ns (nanoseconds since 1970, UTC) as "2026-01-31T23:59:59Z"; zero gives "". */
void api_time(uint64_t wall_ns, char out[32]);

#endif
