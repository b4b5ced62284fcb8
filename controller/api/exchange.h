/* exchange.h - one request, from its arrival to its answer; and what the handlers of requests share. */
#ifndef BANGER_CONTROLLER_API_EXCHANGE_H
#define BANGER_CONTROLLER_API_EXCHANGE_H

#include <stdio.h>

#include "controller/ctl.h"

/* One request, from its arrival to its answer.  A worker has it while its handler runs. */
struct exchange {
	struct ctl *ctl;
	int fd;
	struct caller caller;
	uint64_t id;             /* the client's number of the request */
	const struct call *call;
	union control_body args, result;
	int fds[FDIO_MAX];       /* what came with it; closed by the server afterwards */
	size_t nfds;
	struct operation op;
	struct error error;
	uint64_t begun_ns, waited_ns; /* CLOCK_MONOTONIC; the time spent on sending */
	_Atomic bool gone;       /* the client went away or does not read: nothing more is sent */

	/* A handler that has to wait gives its worker back: it returns EXCHANGE_AGAIN and is called again later. */
	unsigned passes;
	uint8_t vm[ID_LEN];
	uint64_t cursor;
};

#define API_SEND_MS 5000 /* the time one request may wait for its client to read */

/* A handler's return: the result is filled in, the error is, or call me again in EXCHANGE_AGAIN_MS. */
enum { EXCHANGE_DONE = 0, EXCHANGE_FAILED = -1, EXCHANGE_AGAIN = 1 };
#define EXCHANGE_AGAIN_MS 100

typedef int (*exchange_fn)(struct exchange *x);

/* Take a decoded request with its descriptors; makes the operation's id. */
void exchange_begin(struct exchange *x, const struct message *m, int *fds, size_t nfds);

/* Run the handler once and send its answer.  Return: true when the request is through. */
bool exchange_run(struct exchange *x);

/* Answer with x->error, the operation's id filled in. */
void exchange_fail(struct exchange *x);

/* Send an event; a client that does not take it is marked as gone.  Return: 0, or -1 when it is. */
int exchange_event(struct exchange *x, enum event_id id, const void *fields);

/* Rows of a list, gathered first and sent later: a client that reads slowly must not hold the store. */
struct api_rows {
	struct exchange *x;
	size_t size, n, room; /* size: of one row, an event's struct */
	char *v;
};

/* Return: a new row, zeroed; or NULL when there is no memory for it, with that as the error of the exchange. */
void *api_rows_add(struct api_rows *rows);

/* Send what was gathered, unless gathering failed (@r < 0), and free it.  Return: as a handler. */
int api_rows_send(struct exchange *x, struct api_rows *rows, int r, enum event_id id, uint64_t *count);

/* As much of the text as @out, an array, has room for; always ends with a NUL. */
#define COPY(out, in) ((void)snprintf((out), sizeof(out), "%s", (in)))

/* "2026-01-31T23:59:59Z" of nanoseconds since 1970; "" of zero. */
void api_time(uint64_t wall_ns, char out[32]);

#endif
