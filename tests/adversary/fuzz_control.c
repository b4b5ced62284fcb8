/* The control protocol, as the controller reads it from a user (first byte 0), and as a command
 * reads it from the controller (first byte n: it waits for the answer to call n - 1).
 *
 * With a greater first byte the input is the content of a struct, to be sent: a bug of ours must
 * not send what is out of bounds, or read behind a text without a NUL.
 *
 * The second byte is the number of bytes that arrive at a time; 0: all at once.  Checked: how the
 * bytes arrive does not matter; text has its NUL within its bounds and is clean for fields_clean();
 * numbers are within the bounds of the table; what was accepted can be sent, and is read again as
 * the same message. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/control.h"
#include "tests/adversary/fuzz.h"

#define MESSAGES_MAX 64 /* one input holds more only if it repeats itself */

static void check_field(const struct field *f, const void *at)
{
	if (f->type == FIELD_U)
		MUST(*(const uint64_t *)at >= f->min && *(const uint64_t *)at <= f->max);
	else if (f->type == FIELD_S)
		MUST(strnlen(at, f->max + 1) <= f->max);
	else if (f->type == FIELD_V)
		MUST(*(const size_t *)at <= f->max);
}

static const struct field *fields_of(const struct message *m)
{
	switch (m->kind) {
	case MSG_REQUEST:
		return m->call->args();
	case MSG_RESULT:
		return m->call->result();
	case MSG_EVENT:
		return m->event->fields();
	case MSG_ERROR:
		break;
	}
	return NULL;
}

static int send_again(int fd, const struct message *m)
{
	switch (m->kind) {
	case MSG_REQUEST:
		return control_send_request(fd, m->id, m->call, &m->body, NULL, 0);
	case MSG_RESULT:
		return control_send_result(fd, m->id, m->call, &m->body, NULL, 0);
	case MSG_EVENT:
		return control_send_event(fd, m->event, &m->body);
	case MSG_ERROR:
		return control_send_error(fd, m->id, &m->error);
	}
	return -1;
}

static void check_round(const struct message *m, const struct call *expect)
{
	static struct control c;
	static struct message again;
	int pair[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	control_init(&c, pair[1]);
	/* A message may be short by an encoding that is not the shortest: then ours is shorter. */
	MUST(send_again(pair[0], m) == 0);
	while (control_next(&c, expect, &again) == 0)
		MUST(control_fill(&c) == 1);
	MUST(again.kind == m->kind && again.id == m->id && c.have == 0);
	MUST(memcmp(&again.body, &m->body, sizeof(m->body)) == 0);
	MUST(memcmp(&again.error, &m->error, sizeof(m->error)) == 0);
	control_close(&c);
	(void)close(pair[0]);
}

static void check(const struct message *m, const struct call *expect)
{
	const struct field *f = fields_of(m);

	MUST(!expect == (m->kind == MSG_REQUEST));
	for (; f && f->name; f++)
		check_field(f, (const char *)&m->body + f->offset);
	check_round(m, expect);
}

/* Append up to @step bytes of the input, as control_fill() does.  Return: false at its end, or when
 * the message is too long. */
static int arrive(struct control *c, struct input *in, size_t step)
{
	size_t n = (size_t)(in->end - in->p), room = sizeof(c->buf) - c->have;

	n = n < step ? n : step;
	n = n < room ? n : room;
	if (n == 0)
		return 0;
	(void)input_take(in, c->buf + c->have, n);
	c->have += n;
	return 1;
}

/* Read the whole input.  Return: the number of messages, and in @last the last one. */
static unsigned read_all(struct input in, size_t step, const struct call *expect,
			 struct message *last)
{
	static struct control c;
	static struct message m;
	unsigned count = 0;
	int r;

	control_init(&c, -1);
	do {
		while ((r = control_next(&c, expect, &m)) == 1 && count < MESSAGES_MAX) {
			check(&m, expect);
			*last = m;
			count++;
		}
		MUST(r != -1 || errno == EBADMSG);
	} while (r == 0 && arrive(&c, &in, step));
	control_close(&c);
	return r < 0 ? count + 1000 : count;
}

/* Send @n bytes with @nfds copies of @fd, more than fdio_send() would. */
static void flood(int sock, const uint8_t *bytes, size_t n, int fd, size_t nfds)
{
	union {
		char buf[CMSG_SPACE(FDIO_ROOM_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)bytes, n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf };

	m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	*h = (struct cmsghdr){ CMSG_LEN(nfds * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	for (size_t i = 0; i < nfds; i++)
		memcpy(CMSG_DATA(h) + i * sizeof(int), &fd, sizeof(int));
	(void)sendmsg(sock, &m, MSG_NOSIGNAL);
}

/* What control_fill() and control_close() do with descriptors, through a real socket. */
static void through_socket(struct input in)
{
	static struct control c;
	static struct message m;
	int pair[2];
	size_t n = (size_t)(in.end - in.p);

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	control_init(&c, pair[1]);
	n = n < CONTROL_MESSAGE_MAX ? n : CONTROL_MESSAGE_MAX;
	const size_t nfds = n % 2 ? n % FDIO_ROOM_MAX + 1 : n % FDIO_MAX + 1;
	if (n)
		flood(pair[0], in.p, n, STDERR_FILENO, nfds);
	(void)close(pair[0]);
	while (control_next(&c, NULL, &m) == 0 && control_fill(&c) == 1)
		;
	MUST(c.nfds <= FDIO_MAX + FDIO_ROOM_MAX && c.nfds == (n ? nfds : 0));
	c.have = sizeof(c.buf); /* a message that can not get longer */
	MUST(control_fill(&c) < 0 && errno == EBADMSG);
	control_close(&c);
	MUST(c.nfds == 0);
	MUST(control_fill(&c) < 0 && errno == EBADF);
}

static void send_anything(struct input in, unsigned which)
{
	const struct call *call = control_call((enum call_id)(which % (CALL_COUNT + 1)));
	const struct event *event = control_event((enum event_id)(which % (EVENT_COUNT + 1)));
	static union control_body body;
	const struct field *f;
	int pair[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	(void)input_take(&in, &body, sizeof(body));
	for (f = call ? call->args() : NULL; f && f->name; f++)
		if (f->type == FIELD_F) /* a bool has two values (C17, 6.2.5) */
			*((char *)&body + f->offset) &= 1;
	if (call && control_send_request(pair[0], 1, call, &body, NULL, 0) < 0)
		MUST(errno == EINVAL || errno == EMSGSIZE);
	for (f = event ? event->fields() : NULL; f && f->name; f++)
		if (f->type == FIELD_F)
			*((char *)&body + f->offset) &= 1;
	if (event && control_send_event(pair[0], event, &body) < 0)
		MUST(errno == EINVAL || errno == EMSGSIZE);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct message whole, parts;
	struct input in = { data, data + size };
	const uint8_t side = input_byte(&in), step = input_byte(&in);
	const struct call *expect = side ? control_call((enum call_id)(side - 1)) : NULL;

	if (side > CALL_COUNT) {
		send_anything(in, step);
		return 0;
	}
	memset(&whole, 0, sizeof(whole));
	memset(&parts, 0, sizeof(parts));
	const unsigned n = read_all(in, SIZE_MAX, expect, &whole);
	if (!step)
		return 0;
	if (step == UINT8_MAX)
		through_socket(in);
	MUST(read_all(in, step, expect, &parts) == n);
	MUST(memcmp(&whole, &parts, sizeof(whole)) == 0);
	return 0;
}
