/* api.h - the control socket: who is connected, what each asked, and how an answer goes back. */
#ifndef BANGER_CONTROLLER_API_H
#define BANGER_CONTROLLER_API_H

#include <stdio.h>

#include "controller/ctl.h"

#define API_CONNECTIONS_MAX 512         /* of all users; root may pass it, up to its own share */
#define API_CONNECTIONS_PER_UID 128     /* a hundred commands at once, and a few to look */
#define API_WORKERS_PER_UID 8           /* of WORKER_THREADS: nobody alone keeps all of them busy */
#define API_WORKERS_SHARED 48           /* when so many are busy, each user has one more at most */
#define API_IMPORTS 2                   /* at a time, one a user: they fill the disk, and last as long as its user likes */
#define API_CLOSING_MORE 256            /* connections beyond API_CONNECTIONS_MAX that are being closed */
#define API_CLOSING_FDS 256             /* descriptors of a user that are being closed; beyond, he is not heard */
/* Starts and changes of VMs by one user: as many at once as the roles make things at once (struct config,
 * creates_per_second), and a hundredth of their rate on end. */
#define API_STARTS_BURST(creates_per_second) (2 * (creates_per_second))
#define API_STARTS_NS(creates_per_second) (100000000000u / (creates_per_second))
#define API_MESSAGE_MS 10000            /* from accept, or from its first byte, until a request is whole */
#define API_IDLE_MS 300000              /* between two requests */
#define API_SEND_MS 5000                /* the time one request may wait for its client to read */

struct api;

/**
 * api_open() - serve the control socket
 * @epoll_fd:	of the main loop, whose data.ptr is a struct loop_source
 * @listener:	listening AF_UNIX stream socket; stays the caller's
 * @identify:	who is on the other end; NULL: SO_PEERCRED (tests put others in its place)
 * Return: NULL with errno on failure.
 */
struct api *api_open(struct ctl *c, int epoll_fd, int listener, int (*identify)(int fd, struct caller *who));

/* Only after workers_stop(): closes every connection. */
void api_close(struct api *a);

/* No more connections and requests; what runs goes on. */
void api_stop_listening(struct api *a);

/* End what is due (silent clients, follow-ups).  Return: milliseconds until there is more to do, at most 1,000. */
int api_tick(struct api *a);

/* ---- for the handlers of requests (api_vm.c, api_image.c, api_host.c) ---- */

/* One request, from its arrival to its answer.  A worker has it while its handler runs. */
struct exchange {
	struct ctl *ctl;
	int fd;
	struct caller caller;
	uint64_t id;             /* the client's number of the request */
	const struct call *call;
	union control_body args, result;
	int fds[FDIO_MAX];       /* what came with it; closed by api.c afterwards */
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

/* The handlers, one a row of control.def. */
#define CALL(NAME, name, ...) int api_##name(struct exchange *x);
#include "proto/control.def"

/* Rows of a list, gathered first and sent later: a client that reads slowly must not hold the store. */
struct api_rows {
	const struct ctl *ctl;
	size_t size, n, room; /* size: of one row, an event's struct */
	char *v;
};

/* A new row, zeroed; NULL when there is no memory. */
void *api_rows_add(struct api_rows *rows);

/* Send what was gathered, unless gathering failed (@r < 0), and free it.  Return: as a handler. */
int api_rows_send(struct exchange *x, struct api_rows *rows, int r, enum event_id id, uint64_t *count);

/* As much of the text as @out, an array, has room for; always ends with a NUL. */
#define COPY(out, in) ((void)snprintf((out), sizeof(out), "%s", (in)))

/* "2026-01-31T23:59:59Z" of nanoseconds since 1970; "" of zero. */
void api_time(uint64_t wall_ns, char out[32]);

#endif
