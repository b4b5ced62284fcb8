/* Tests the control protocol, for every call and event of control.def: a round trip over a socket;
 * truncated messages wait; wrong types, bounds and arity are refused; single bytes work;
 * descriptors come with the request. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <msgpack.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/control.h"

struct pair {
	int a, b;
};

static struct pair make_pair(void)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv), 0);
	return (struct pair){ sv[0], sv[1] };
}

static void fill(const struct field *fields, void *base, unsigned which)
{
	for (const struct field *f = fields; f->name; f++) {
		uint8_t *at = (uint8_t *)base + f->offset;
		struct {
			size_t n;
			uint8_t v[];
		} *bytes = (void *)at;
		switch (f->type) {
		case FIELD_U:
			*(uint64_t *)at = which == 0   ? f->min
					  : which == 1 ? f->max
						       : f->min + (f->max - f->min) / 3;
			break;
		case FIELD_F:
			*(bool *)at = which;
			break;
		case FIELD_B:
			memset(at, 0xfe, f->max);
			break;
		case FIELD_S:
			memset(at, 0, f->max + 1);
			memset(at, 'x', which == 0 ? 0 : which == 1 ? f->max : f->max / 2);
			break;
		case FIELD_V:
			bytes->n = which == 0 ? 0 : which == 1 ? f->max : f->max / 2;
			memset(bytes->v, 0x80 + (int)which, bytes->n);
			break;
		case FIELD_A:
			fail();
		}
	}
}

/* Feed @n bytes to a reader that awaits @expect; returns what control_next() says. */
static int feed(const uint8_t *buf, size_t n, const struct call *expect, struct message *m)
{
	struct pair p = make_pair();
	struct control *c = malloc(sizeof(*c));

	control_init(c, p.b);
	assert_int_equal(fdio_send(p.a, buf, n, NULL, 0), 0);
	assert_int_equal(control_fill(c), n > 0);
	errno = 0;
	int r = control_next(c, expect, m);
	if (r < 0)
		assert_int_equal(errno, EBADMSG);
	control_close(c);
	free(c);
	(void)close(p.a);
	return r;
}

/* Return: the length of what the sender wrote, copied to @buf. */
static size_t capture(struct pair p, uint8_t *buf)
{
	ssize_t n = recv(p.b, buf, CONTROL_MESSAGE_MAX, MSG_DONTWAIT);

	assert_true(n > 0);
	(void)close(p.a);
	(void)close(p.b);
	return (size_t)n;
}

static size_t request_bytes(const struct call *call, unsigned which, union control_body *body,
			    uint8_t *buf)
{
	struct pair p = make_pair();

	memset(body, 0, sizeof(*body));
	fill(call->args(), body, which);
	assert_int_equal(control_send_request(p.a, 42, call, body, NULL, 0), 0);
	return capture(p, buf);
}

static void call_round_trips(void **state)
{
	const struct call *call = *state;
	static union control_body body;
	static struct message m;
	static uint8_t buf[CONTROL_MESSAGE_MAX];

	for (unsigned which = 0; which < 3; which++) {
		size_t n = request_bytes(call, which, &body, buf);
		assert_int_equal(feed(buf, n, NULL, &m), 1);
		assert_int_equal(m.kind, MSG_REQUEST);
		assert_ptr_equal(m.call, call);
		assert_int_equal(m.id, 42);
		assert_memory_equal(&m.body, &body, call->args_size);

		struct pair p = make_pair();
		memset(&body, 0, sizeof(body));
		fill(call->result(), &body, which);
		assert_int_equal(control_send_result(p.a, 43, call, &body, NULL, 0), 0);
		n = capture(p, buf);
		assert_int_equal(feed(buf, n, call, &m), 1);
		assert_int_equal(m.kind, MSG_RESULT);
		assert_memory_equal(&m.body, &body, call->result_size);
		/* A server takes no answers. */
		assert_int_equal(feed(buf, n, NULL, &m), -1);
	}
}

static void call_waits_for_every_byte(void **state)
{
	const struct call *call = *state;
	static union control_body body;
	static struct message m;
	static uint8_t buf[CONTROL_MESSAGE_MAX];
	size_t n = request_bytes(call, 2, &body, buf);
	struct pair p = make_pair();
	struct control *c = malloc(sizeof(*c));

	control_init(c, p.b);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(control_next(c, NULL, &m), 0);
		assert_int_equal(send(p.a, buf + i, 1, 0), 1);
		assert_int_equal(control_fill(c), 1);
	}
	assert_int_equal(control_next(c, NULL, &m), 1);
	assert_int_equal(control_next(c, NULL, &m), 0);
	control_close(c);
	free(c);
	(void)close(p.a);
}

/* A request with the arguments that @pack writes. */
static int odd_request(const struct call *call, size_t arity,
		       void (*pack)(msgpack_packer *, const struct field *), size_t spoilt)
{
	static struct message m;
	const struct field *f = call->args();
	msgpack_sbuffer s;
	msgpack_packer p;

	msgpack_sbuffer_init(&s);
	msgpack_packer_init(&p, &s, msgpack_sbuffer_write);
	msgpack_pack_array(&p, 4);
	msgpack_pack_int(&p, 0);
	msgpack_pack_int(&p, 1);
	msgpack_pack_str_with_body(&p, call->name, strlen(call->name));
	msgpack_pack_array(&p, arity);
	for (size_t i = 0; i < arity; i++) {
		if (i == spoilt)
			pack(&p, &f[i]);
		else if (f[i].type == FIELD_U)
			msgpack_pack_uint64(&p, f[i].min);
		else if (f[i].type == FIELD_F)
			msgpack_pack_true(&p);
		else if (f[i].type == FIELD_V)
			msgpack_pack_bin_with_body(&p, "a", 1);
		else
			msgpack_pack_str_with_body(&p, "a", 1);
	}
	int r = feed((uint8_t *)s.data, s.size, NULL, &m);
	msgpack_sbuffer_destroy(&s);
	return r;
}

static void pack_map(msgpack_packer *p, const struct field *f)
{
	(void)f;
	msgpack_pack_map(p, 0);
}

static void pack_negative(msgpack_packer *p, const struct field *f)
{
	(void)f;
	msgpack_pack_int(p, -1);
}

static void pack_nil(msgpack_packer *p, const struct field *f)
{
	(void)f;
	msgpack_pack_nil(p);
}

static void pack_beyond(msgpack_packer *p, const struct field *f)
{
	static char text[8000];

	memset(text, 'y', sizeof(text));
	if (f->type == FIELD_U && f->max < UINT64_MAX)
		msgpack_pack_uint64(p, f->max + 1);
	else if (f->type == FIELD_S)
		msgpack_pack_str_with_body(p, text, f->max + 1);
	else if (f->type == FIELD_V)
		msgpack_pack_bin_with_body(p, text, f->max + 1);
	else
		msgpack_pack_nil(p);
}

static void pack_bad_text(msgpack_packer *p, const struct field *f)
{
	if (f->type == FIELD_S)
		msgpack_pack_str_with_body(p, "\xed\xa0\x80", 3);
	else
		msgpack_pack_nil(p);
}

static void pack_nul(msgpack_packer *p, const struct field *f)
{
	if (f->type == FIELD_S)
		msgpack_pack_str_with_body(p, "a\0b", 3);
	else
		msgpack_pack_nil(p);
}

static void call_refuses_spoilt_arguments(void **state)
{
	static void (*const packs[])(msgpack_packer *, const struct field *) = {
		pack_map, pack_negative, pack_nil, pack_beyond, pack_bad_text, pack_nul,
	};
	const struct call *call = *state;
	size_t n = 0;

	while (call->args()[n].name)
		n++;
	assert_int_equal(odd_request(call, n, pack_nil, n), 1);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < sizeof(packs) / sizeof(packs[0]); k++)
			assert_int_equal(odd_request(call, n, packs[k], i), -1);
		assert_int_equal(odd_request(call, i, pack_nil, n), -1);
	}
	assert_int_equal(odd_request(call, n + 1, pack_nil, n), -1);
}

static void events_round_trip(void **state)
{
	static union control_body body;
	static struct message m;
	static uint8_t buf[CONTROL_MESSAGE_MAX];

	(void)state;
	for (unsigned id = 0; id < EVENT_COUNT; id++)
		for (unsigned which = 0; which < 3; which++) {
			const struct event *ev = control_event(id);
			struct pair p = make_pair();
			memset(&body, 0, sizeof(body));
			fill(ev->fields(), &body, which);
			assert_int_equal(control_send_event(p.a, ev, &body), 0);
			size_t n = capture(p, buf);
			assert_int_equal(feed(buf, n, control_call(CALL_VM_LIST), &m), 1);
			assert_int_equal(m.kind, MSG_EVENT);
			assert_ptr_equal(m.event, ev);
			assert_memory_equal(&m.body, &body, ev->size);
			assert_int_equal(feed(buf, n, NULL, &m), -1);
		}
}

static void errors_round_trip(void **state)
{
	struct error e = { 0 };
	static struct message m;
	static uint8_t buf[CONTROL_MESSAGE_MAX];
	struct pair p = make_pair();

	(void)state;
	assert_int_equal(error_set(&e, FAIL_LIMIT, "vm web1", "no free slot: %d of %d are used", 8,
				   8),
			 -1);
	error_hint(&e, "delete a VM, or ask for more %s", "slots");
	(void)strcpy(e.op, "00112233445566778899aabbccddeeff");
	assert_int_equal(control_send_error(p.a, 9, &e), 0);
	size_t n = capture(p, buf);
	assert_int_equal(feed(buf, n, control_call(CALL_VM_START), &m), 1);
	assert_int_equal(m.kind, MSG_ERROR);
	assert_int_equal(m.error.code, FAIL_LIMIT);
	assert_string_equal(m.error.why, "no free slot: 8 of 8 are used");
	assert_string_equal(m.error.hint, "delete a VM, or ask for more slots");
	assert_string_equal(m.error.op, e.op);
}

static void descriptors_come_with_the_request(void **state)
{
	static union control_body body;
	static struct message m;
	const struct call *call = control_call(CALL_IMAGE_IMPORT);
	struct pair p = make_pair();
	struct control *c = malloc(sizeof(*c));
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	memset(&body, 0, sizeof(body));
	control_init(c, p.b);
	assert_int_equal(control_send_request(p.a, 1, call, &body, &fd, 1), 0);
	assert_int_equal(control_fill(c), 1);
	assert_int_equal(control_next(c, NULL, &m), 1);
	assert_int_equal(c->nfds, 1);
	assert_true(fcntl(c->fds[0], F_GETFD) & FD_CLOEXEC);
	/* Too many in one connection end it. */
	int many[FDIO_MAX] = { fd, fd, fd, fd };
	assert_int_equal(control_send_request(p.a, 2, call, &body, many, FDIO_MAX), 0);
	assert_int_equal(control_fill(c), -1);
	assert_int_equal(errno, EBADMSG);
	control_close(c);
	free(c);
	(void)close(fd);
	(void)close(p.a);
}

static void endless_message_is_refused(void **state)
{
	static struct message m;
	struct pair p = make_pair();
	struct control *c = malloc(sizeof(*c));
	static uint8_t flood[CONTROL_MESSAGE_MAX];

	(void)state;
	/* str 32 of a length that never arrives */
	memset(flood, 'z', sizeof(flood));
	memcpy(flood, "\xdb\x7f\xff\xff\xff", 5);
	control_init(c, p.b);
	assert_int_equal(fdio_send(p.a, flood, sizeof(flood), NULL, 0), 0);
	while (c->have < sizeof(c->buf))
		assert_int_equal(control_fill(c), 1);
	assert_int_equal(control_next(c, NULL, &m), -1);
	control_close(c);
	free(c);
	(void)close(p.a);
}

/* A list that claims a thousand million elements must cost nothing. */
static void a_claimed_length_allocates_nothing(void **state)
{
	static struct message m;

	(void)state;
	assert_int_equal(feed((const uint8_t *)"\xdd\x3f\xff\xff\xff", 5, NULL, &m), -1);
	assert_int_equal(feed((const uint8_t *)"\x94\x00\xdf\x3f\xff\xff\xff", 7, NULL, &m), -1);
	assert_int_equal(feed((const uint8_t *)"\xdc\x10\x00", 3, NULL, &m), 0);
	/* 31 lists in each other */
	assert_int_equal(
		feed((const uint8_t
			      *)"\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
				"\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
				"\x91\x91\x91\x91\x00",
		     37, NULL, &m),
		-1);
}

static void random_bytes_end_in_order(void **state)
{
	static union control_body body;
	static struct message m;
	static uint8_t buf[CONTROL_MESSAGE_MAX];
	uint64_t x = 362436069;

	(void)state;
	for (unsigned round = 0; round < 5000; round++) {
		const struct call *call = control_call(round % CALL_COUNT);
		size_t n = request_bytes(call, round % 3, &body, buf);
		for (unsigned flips = 1 + round % 4; flips--;) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			buf[x % n] ^= (uint8_t)(1u << (x >> 32) % 8);
		}
		(void)feed(buf, n, NULL, &m);
	}
}

int main(void)
{
	static const struct {
		const char *name;
		CMUnitTestFunction fn;
	} kinds[] = {
		{ "round trips", call_round_trips },
		{ "waits for every byte", call_waits_for_every_byte },
		{ "refuses spoilt arguments", call_refuses_spoilt_arguments },
	};
	enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };
	static struct CMUnitTest tests[CALL_COUNT * KINDS + 8];
	static char names[CALL_COUNT * KINDS][80];
	size_t n = 0;

	for (unsigned i = 0; i < CALL_COUNT; i++)
		for (size_t j = 0; j < KINDS; j++, n++) {
			(void)snprintf(names[n], sizeof(names[n]), "%s: %s", control_call(i)->name,
				       kinds[j].name);
			tests[n] = (struct CMUnitTest){ names[n], kinds[j].fn, NULL, NULL,
							(void *)control_call(i) };
		}
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(events_round_trip);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(errors_round_trip);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(descriptors_come_with_the_request);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(endless_message_is_refused);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(random_bytes_end_in_order);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(a_claimed_length_allocates_nothing);
	return _cmocka_run_group_tests("control protocol", tests, n, NULL, NULL);
}
