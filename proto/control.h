/* control.h - the structs and the codec of the control protocol (msgpack-RPC, by msgpack-c), made
 * from control.def.
 *
 * A connection carries one request at a time; its descriptors are sent with its first byte.  The
 * controller sends any number of events, then the answer. */
#ifndef BANGER_PROTO_CONTROL_H
#define BANGER_PROTO_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/fdio.h"
#include "proto/ops.h" /* struct field */

#define CONTROL_VERSION 8
#define CONTROL_MESSAGE_MAX 8192 /* bytes of one message; a longer one ends the connection */

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

/* The reason of a VM at rest whose guest has rebooted: the service starts it again at once, if it
 * can. */
#define REASON_REBOOTED "its guest rebooted"

/* What vm_wait waits for.  REST: no VMM, objects or operation is left.  RUNNING: its VMM runs.
 * READY: the agent in the guest has answered; the wait asks it.  EXIT: the start that runs at the
 * first look has ended, also if the VM was started again since. */
enum wait_until { WAIT_REST, WAIT_RUNNING, WAIT_READY, WAIT_EXIT };

#define ARGS(...) __VA_ARGS__
#define RESULT(...)
#define FIELDS(...) __VA_ARGS__
#define U(f, lo, hi) uint64_t f;
#define F(f) bool f;
#define B(f, n) uint8_t f[n];
#define S(f, n) char f[(n) + 1];
#define V(f, n_)               \
	struct {               \
		size_t n;      \
		uint8_t v[n_]; \
	} f;
#define EVENT(NAME, name, fields) \
	struct ev_##name {        \
		fields            \
	};
#define CALL(NAME, name, in, out, args, result) \
	struct call_##name {                    \
		args                            \
	};
#include "proto/control.def"

#define ARGS(...)
#define RESULT(...) __VA_ARGS__
#define U(f, lo, hi) uint64_t f;
#define F(f) bool f;
#define B(f, n) uint8_t f[n];
#define S(f, n) char f[(n) + 1];
#define V(f, n_)               \
	struct {               \
		size_t n;      \
		uint8_t v[n_]; \
	} f;
#define CALL(NAME, name, in, out, args, result) \
	struct res_##name {                     \
		result                          \
	};
#include "proto/control.def"

/* A row of the table of calls. */
struct call {
	const char *name;
	enum call_id id;
	unsigned fds_in, fds_out;
	const struct field *(*args)(void), *(*result)(void);
	size_t args_size, result_size;
};

/* A row of the table of events. */
struct event {
	const char *name;
	enum event_id id;
	const struct field *(*fields)(void);
	size_t size;
};

/* Return: the row of @id, or NULL past the end. */
const struct call *control_call(enum call_id id);
const struct event *control_event(enum event_id id);

/* Any struct of the protocol. */
union control_body {
#define EVENT(NAME, name, fields) struct ev_##name ev_##name;
#define CALL(NAME, name, ...)    \
	struct call_##name name; \
	struct res_##name res_##name;
#include "proto/control.def"
};

enum message_kind { MSG_REQUEST, MSG_RESULT, MSG_ERROR, MSG_EVENT };

/* A decoded message. */
struct message {
	enum message_kind kind;
	uint64_t id;               /* of the request; MSG_EVENT: 0 */
	const struct call *call;   /* MSG_REQUEST: its row; MSG_RESULT: @expect of control_next() */
	const struct event *event; /* MSG_EVENT */
	union control_body body;   /* args, result or fields */
	struct error error;        /* MSG_ERROR */
};

/* The reading half of a connection. */
struct control {
	int fd;
	size_t have; /* bytes in buf */
	uint8_t buf[CONTROL_MESSAGE_MAX];
	/* Received descriptors.  A function that takes them over sets nfds to 0.  Only after
	 * EBADMSG are there more than FDIO_MAX. */
	int fds[FDIO_MAX + FDIO_ROOM_MAX];
	size_t nfds;
};

/* Initialize @c for the stream socket @fd, which control_close() will close. */
void control_init(struct control *c, int fd);

/* Close the socket and all received descriptors in @c. */
void control_close(struct control *c);

/**
 * control_send_request(), _result(), _error(), _event() - send one complete message
 * @id:				number of the request, which its answer repeats
 * @args, @result, @fields:	the struct of the row
 * @fds, @nfds:			descriptors, call->fds_in or fds_out of them; they stay the
 *				caller's
 *
 * Blocks until the kernel has taken the message; SO_SNDTIMEO bounds that.
 * Return: 0, or -1 with errno; EINVAL: a value is out of bounds; EMSGSIZE: the message is too long;
 * EPIPE: the peer has closed the connection.
 */
int control_send_request(int fd, uint64_t id, const struct call *call, const void *args,
			 const int *fds, size_t nfds);
int control_send_result(int fd, uint64_t id, const struct call *call, const void *result,
			const int *fds, size_t nfds);
int control_send_error(int fd, uint64_t id, const struct error *e);
int control_send_event(int fd, const struct event *event, const void *fields);

/**
 * control_fill() - read once from the socket
 * Return: 1, 0 at end of file, or -1 with errno; EAGAIN: there is nothing to read yet; EBADMSG: the
 * message is too long or has too many descriptors.
 */
int control_fill(struct control *c);

/**
 * control_next() - decode one message and remove it from the buffer
 * @expect:	the call whose result a client waits for; NULL: a server, which takes requests
 *
 * An unknown method, a wrong number or type of fields, a value out of bounds, or text with a NUL or
 * invalid UTF-8 is EBADMSG.  The caller then closes the connection.
 * Return: 1, 0 if the message is not complete yet, or -1 with errno EBADMSG.
 */
int control_next(struct control *c, const struct call *expect, struct message *m);

#endif
