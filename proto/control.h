/* control.h - the control protocol as types: msgpack-RPC by msgpack-c, driven by control.def.
 *
 * One request at a time on a connection; its descriptors travel with its first byte.  The controller sends any
 * number of events, then the answer. */
#ifndef BANGER_PROTO_CONTROL_H
#define BANGER_PROTO_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/fdio.h"
#include "proto/ops.h" /* struct field */

#define CONTROL_VERSION 3
#define CONTROL_MESSAGE_MAX 8192 /* bytes of any one message; longer ones end the connection */

enum call_id {
#define CALL(NAME, ...) CALL_##NAME,
#include "proto/control.def"
	CALL_COUNT
};

enum event_id {
#define EVENT(NAME, ...) EVENT_##NAME,
#include "proto/control.def"
	EVENT_COUNT
};

#define ARGS(...) __VA_ARGS__
#define RESULT(...)
#define FIELDS(...) __VA_ARGS__
#define U(f, lo, hi) uint64_t f;
#define F(f) bool f;
#define B(f, n) uint8_t f[n];
#define S(f, n) char f[(n) + 1];
#define V(f, n_) struct { size_t n; uint8_t v[n_]; } f;
#define EVENT(NAME, name, fields) struct ev_##name { fields };
#define CALL(NAME, name, in, out, args, result) struct call_##name { args };
#include "proto/control.def"

#define ARGS(...)
#define RESULT(...) __VA_ARGS__
#define U(f, lo, hi) uint64_t f;
#define F(f) bool f;
#define B(f, n) uint8_t f[n];
#define S(f, n) char f[(n) + 1];
#define V(f, n_) struct { size_t n; uint8_t v[n_]; } f;
#define CALL(NAME, name, in, out, args, result) struct res_##name { result };
#include "proto/control.def"

struct call {
	const char *name;
	enum call_id id;
	unsigned fds_in, fds_out;
	const struct field *(*args)(void), *(*result)(void);
	size_t args_size, result_size;
};

struct event {
	const char *name;
	enum event_id id;
	const struct field *(*fields)(void);
	size_t size;
};

const struct call *control_call(enum call_id id);     /* NULL past the end */
const struct event *control_event(enum event_id id);  /* NULL past the end */

/* Room for any struct of the protocol. */
union control_body {
#define EVENT(NAME, name, fields) struct ev_##name ev_##name;
#define CALL(NAME, name, ...) struct call_##name name; struct res_##name res_##name;
#include "proto/control.def"
};

enum message_kind { MSG_REQUEST, MSG_RESULT, MSG_ERROR, MSG_EVENT };

/* A decoded message. */
struct message {
	enum message_kind kind;
	uint64_t id;              /* of the request; MSG_EVENT: 0 */
	const struct call *call;  /* MSG_REQUEST; MSG_RESULT: what the caller passed as @expect */
	const struct event *event; /* MSG_EVENT */
	union control_body body;  /* args, result or fields */
	struct error error;       /* MSG_ERROR */
};

/* A connection's reading half; zero it and set fd = -1 by control_init(). */
struct control {
	int fd;
	size_t have;                    /* bytes in buf */
	uint8_t buf[CONTROL_MESSAGE_MAX];
	int fds[FDIO_MAX + FDIO_ROOM_MAX]; /* descriptors that came, more than FDIO_MAX only with EBADMSG; the taker sets nfds to 0 */
	size_t nfds;
};

void control_init(struct control *c, int fd);
void control_close(struct control *c); /* the descriptor and any that came with it */

/**
 * control_send_request(), _result(), _error(), _event() - one whole message
 * @args, @result, @fields:	the struct that the table row describes
 *
 * Blocks until the kernel took it (SO_SNDTIMEO bounds it).
 * Return: 0, or -1 with errno (EINVAL: a value out of bounds, EPIPE: the peer is gone).
 */
int control_send_request(int fd, uint64_t id, const struct call *call, const void *args, const int *fds, size_t nfds);
int control_send_result(int fd, uint64_t id, const struct call *call, const void *result);
int control_send_error(int fd, uint64_t id, const struct error *e);
int control_send_event(int fd, const struct event *event, const void *fields);

/**
 * control_fill() - read what is there, once
 * Return: 1 something came, 0 end of file, -1 with errno (EAGAIN nothing yet; EBADMSG: too long, too many descriptors).
 */
int control_fill(struct control *c);

/**
 * control_next() - take one message out of the buffer
 * @expect:	the call whose result is awaited (client), or NULL (server)
 *
 * Strict: unknown method, wrong arity, wrong type, out of bounds, text with a
 * NUL or bad UTF-8 are EBADMSG, and the connection is to be closed.
 * Return: 1 a message, 0 not whole yet, -1 with errno EBADMSG.
 */
int control_next(struct control *c, const struct call *expect, struct message *m);

#endif
