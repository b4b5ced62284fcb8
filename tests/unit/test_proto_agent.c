/* The codec of the stream between the command line and the agent: round trips of each frame, and
 * bytes that neither side may take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proto/agent.h"

static const struct row {
	unsigned type;
	const char *name;
	enum agent_side side;
	size_t min, max;
} rows[] = {
#define FRAME(NAME, name, type, side, min, max) { type, #name, AGENT_##side, min, max },
#include "proto/agent.def"
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static struct agent_reader r;
static uint8_t nonce[AGENT_NONCE] = "0123456789abcde", other[AGENT_NONCE] = "another nonce..";

static int begin(void **state)
{
	(void)state;
	memset(&r, 0, sizeof(r));
	r.from = AGENT_CLIENT;
	return 0;
}

static void feed(const void *data, size_t n)
{
	size_t size;
	uint8_t *at = agent_room(&r, &size);

	assert_true(size >= n);
	memcpy(at, data, n);
	r.have += n;
}

static void feed_frame(unsigned type, const void *data, size_t n)
{
	static uint8_t buf[AGENT_HEAD + AGENT_DATA_MAX];

	feed(buf, agent_put(buf, (enum agent_frame)type, data, n));
}

static void feed_greeting(const uint8_t *n)
{
	feed(AGENT_MARK, AGENT_MARK_LEN);
	feed(n, AGENT_NONCE);
}

static void test_each_frame_goes_round(void **state)
{
	static uint8_t data[AGENT_DATA_MAX];
	struct agent_msg m;

	(void)state;
	memset(data, 'x', sizeof(data));
	for (size_t i = 0; i < ROWS; i++) {
		const size_t lengths[] = { rows[i].min, rows[i].max };
		assert_string_equal(agent_frame_name(rows[i].type), rows[i].name);
		for (size_t k = 0; k < 2; k++) {
			r.from = rows[i].side & AGENT_CLIENT ? AGENT_CLIENT : AGENT_GUEST;
			feed_frame(rows[i].type, data, lengths[k]);
			assert_int_equal(agent_next(&r, &m), 1);
			assert_int_equal(m.type, rows[i].type);
			assert_int_equal(m.n, lengths[k]);
			assert_memory_equal(m.data, data, m.n);
			assert_int_equal(agent_next(&r, &m), 0);
		}
	}
	assert_null(agent_frame_name(0));
	assert_null(agent_frame_name(200));
}

static void test_lengths_out_of_bounds(void **state)
{
	struct agent_msg m;

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		uint8_t head[AGENT_HEAD];
		begin(NULL);
		r.from = rows[i].side & AGENT_CLIENT ? AGENT_CLIENT : AGENT_GUEST;
		if (rows[i].max < AGENT_DATA_MAX) {
			(void)agent_put(head, (enum agent_frame)rows[i].type, NULL,
					rows[i].max + 1);
			feed(head, sizeof(head));
			assert_int_equal(agent_next(&r, &m), -1);
		}
		begin(NULL);
		r.from = rows[i].side & AGENT_CLIENT ? AGENT_CLIENT : AGENT_GUEST;
		if (rows[i].min > 0) {
			(void)agent_put(head, (enum agent_frame)rows[i].type, NULL,
					rows[i].min - 1);
			feed(head, sizeof(head));
			assert_int_equal(agent_next(&r, &m), -1);
		}
	}
}

static void test_frames_of_the_wrong_side(void **state)
{
	struct agent_msg m;

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].side == AGENT_BOTH)
			continue;
		begin(NULL);
		r.from = rows[i].side == AGENT_CLIENT ? AGENT_GUEST : AGENT_CLIENT;
		feed_frame(rows[i].type, "xxxxxxxx", rows[i].min);
		assert_int_equal(agent_next(&r, &m), -1);
	}
}

static void test_types_that_do_not_exist(void **state)
{
	struct agent_msg m;

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		const uint8_t head[AGENT_HEAD] = { (uint8_t)type, 0, 2, 0 };
		if (agent_frame_name(type))
			continue;
		begin(NULL);
		feed(head, sizeof(head));
		/* A whole header that begins like the mark may still become one. */
		assert_int_equal(agent_next(&r, &m), -1);
	}
	const uint8_t head[AGENT_HEAD] = { AGENT_INPUT, 1, 0, 0 };
	begin(NULL);
	feed(head, sizeof(head));
	assert_int_equal(agent_next(&r, &m), -1);
}

static void test_byte_by_byte(void **state)
{
	uint8_t bytes[AGENT_GREETING + AGENT_HEAD + 5], got[AGENT_NONCE];
	struct agent_msg m;
	bool begun = false;
	int frames = 0;

	(void)state;
	memcpy(bytes, AGENT_MARK, AGENT_MARK_LEN);
	memcpy(bytes + AGENT_MARK_LEN, nonce, AGENT_NONCE);
	(void)agent_put(bytes + AGENT_GREETING, AGENT_INPUT, "hello", 5);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		feed(bytes + i, 1);
		begun |= agent_greeting(&r, got);
		int n = agent_next(&r, &m);
		assert_true(n >= 0);
		frames += n;
		assert_int_equal(begun, i >= AGENT_GREETING - 1);
	}
	assert_int_equal(frames, 1);
	assert_memory_equal(m.data, "hello", 5);
}

/* A client died in the middle of a frame, and the next one begins at once. */
static void test_the_next_client_is_noticed_in_a_frame(void **state)
{
	uint8_t head[AGENT_HEAD], got[AGENT_NONCE];
	struct agent_msg m;

	(void)state;
	(void)agent_put(head, AGENT_INPUT, NULL, 1000);
	for (size_t part = 0; part < 40; part++) {
		begin(NULL);
		feed(head, sizeof(head));
		feed("0123456789012345678901234567890123456789", part);
		assert_false(agent_greeting(&r, got));
		assert_int_equal(agent_next(&r, &m), 0);
		feed_greeting(nonce);
		assert_true(agent_greeting(&r, got));
		assert_memory_equal(got, nonce, AGENT_NONCE);
		feed_frame(AGENT_SIGNAL, "\x0f", 1);
		assert_false(agent_greeting(&r, got));
		assert_int_equal(agent_next(&r, &m), 1);
		assert_int_equal(m.type, AGENT_SIGNAL);
	}
}

static void test_of_two_clients_the_last_counts(void **state)
{
	uint8_t got[AGENT_NONCE];

	(void)state;
	feed_greeting(nonce);
	feed_frame(AGENT_ARG, "true", 4);
	feed_greeting(other);
	assert_true(agent_greeting(&r, got));
	assert_memory_equal(got, other, AGENT_NONCE);
	assert_int_equal(r.have - r.used, 0);
}

/* What an earlier session's command printed, up to a frame that was cut, comes first. */
static void test_the_client_skips_an_earlier_session(void **state)
{
	struct agent_msg m;

	(void)state;
	r.from = AGENT_GUEST;
	feed("rest of a frame", 15);
	feed_greeting(other);
	assert_false(agent_answered(&r, nonce));
	feed_frame(AGENT_OUTPUT, "not ours", 8);
	feed(AGENT_MARK, AGENT_MARK_LEN);
	assert_false(agent_answered(&r, nonce));
	feed(nonce, 7);
	assert_false(agent_answered(&r, nonce));
	feed(nonce + 7, AGENT_NONCE - 7);
	feed_frame(AGENT_EXIT, "\x07\0", 2);
	assert_true(agent_answered(&r, nonce));
	assert_int_equal(agent_next(&r, &m), 1);
	assert_int_equal(m.type, AGENT_EXIT);
	assert_int_equal(agent_next(&r, &m), 0);
}

/* However often the mark is in what a user sends, it is never in the stream. */
static void test_the_mark_is_never_in_the_stream(void **state)
{
	static uint8_t data[4000], stream[3 * sizeof(data)];
	uint8_t got[AGENT_NONCE];
	size_t n = 0, all = 0;
	struct agent_msg m;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)AGENT_MARK[i % AGENT_MARK_LEN];
	for (size_t at = 0; at < sizeof(data);) {
		size_t cut = agent_cut(data + at, sizeof(data) - at);
		assert_true(cut > 0);
		n += agent_put(stream + n, AGENT_INPUT, data + at, cut);
		at += cut;
	}
	assert_null(memmem(stream, n, AGENT_MARK, AGENT_MARK_LEN));
	feed(stream, n);
	assert_false(agent_greeting(&r, got));
	while (agent_next(&r, &m) == 1) {
		assert_memory_equal(m.data, data + all, m.n);
		all += m.n;
	}
	assert_int_equal(all, sizeof(data));
	assert_int_equal(agent_cut(data, 0), 0);
}

static void test_garbage_before_a_session_fills_nothing(void **state)
{
	static uint8_t junk[50000];
	uint8_t got[AGENT_NONCE];

	(void)state;
	memset(junk, 0x9d, sizeof(junk));
	for (int i = 0; i < 20; i++) {
		feed(junk, sizeof(junk));
		assert_false(agent_greeting(&r, got));
		agent_discard(&r);
	}
	feed_greeting(nonce);
	assert_true(agent_greeting(&r, got));
}

static void test_integers(void **state)
{
	uint8_t b[4];

	(void)state;
	agent_set32(b, 0xfedcba98);
	assert_int_equal(agent_u32(b), 0xfedcba98);
	assert_int_equal(agent_u16(b), 0xba98);
}

#define T(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_each_frame_goes_round),
		T(test_lengths_out_of_bounds),
		T(test_frames_of_the_wrong_side),
		T(test_types_that_do_not_exist),
		T(test_byte_by_byte),
		T(test_the_next_client_is_noticed_in_a_frame),
		T(test_of_two_clients_the_last_counts),
		T(test_the_client_skips_an_earlier_session),
		T(test_the_mark_is_never_in_the_stream),
		T(test_garbage_before_a_session_fills_nothing),
		T(test_integers),
	};

	return cmocka_run_group_tests_name("proto_agent", tests, NULL, NULL);
}
