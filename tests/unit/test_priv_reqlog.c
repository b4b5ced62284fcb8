/* Tests the request log: its lines, its chain, and the effects of a full disk. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "privhelper/role/reqlog.c"

struct log_file {
	char path[40];
	int key;
	struct reqlog log;
	char text[65536];
	size_t n;
};

/* Open the log again, as the next process does. */
static int reopen(struct log_file *f)
{
	if (f->log.fd > 0)
		(void)close(f->log.fd);
	return reqlog_init(&f->log, open(f->path, O_WRONLY | O_APPEND), f->key, "net");
}

static int set_up(void **state)
{
	static struct log_file f;

	memset(&f, 0, sizeof(f));
	strcpy(f.path, "/tmp/banger-reqlog.XXXXXX");
	int fd = mkstemp(f.path);
	if (fd < 0)
		return -1;
	(void)close(fd);
	char key[] = "/tmp/banger-reqkey.XXXXXX";
	f.key = mkstemp(key);
	(void)unlink(key);
	*state = &f;
	return reopen(&f);
}

static int tear_down(void **state)
{
	struct log_file *f = *state;

	if (f->log.fd >= 0)
		(void)close(f->log.fd);
	(void)close(f->key);
	return unlink(f->path);
}

static struct request request(enum op_code op, uint64_t seq)
{
	struct request q = { .op = op_find(op), .seq = seq };

	if (q.op->scope == SCOPE_SLOT) {
		q.slot = 7;
		q.generation = 3;
		q.owner = 1000;
		q.vm[0] = 0xab;
	}
	q.op_id[15] = 0xcd;
	return q;
}

static void read_back(struct log_file *f)
{
	int fd = open(f->path, O_RDONLY);
	ssize_t n = read(fd, f->text, sizeof(f->text) - 1);

	assert_true(n >= 0);
	f->text[n] = '\0';
	f->n = (size_t)n;
	(void)close(fd);
}

/* Advance a key, in another way than the role does. */
static void next_key(uint8_t key[REQLOG_KEY])
{
	uint8_t text[sizeof(REQLOG_KEY_LABEL) - 1 + REQLOG_KEY];
	SHA2_CTX ctx;

	memcpy(text, REQLOG_KEY_LABEL, sizeof(REQLOG_KEY_LABEL) - 1);
	memcpy(text + sizeof(REQLOG_KEY_LABEL) - 1, key, REQLOG_KEY);
	SHA256Init(&ctx);
	SHA256Update(&ctx, text, sizeof(text));
	SHA256Final(key, &ctx);
}

/* Check "prev" and "mac" of a line.  @at: the number that @key belongs to. */
static bool sealed(const char *line, size_t n, const char *prev, uint8_t key[REQLOG_KEY],
		   uint64_t *at)
{
	uint8_t digest[SHA256_DIGEST_LENGTH], mac[SHA256_DIGEST_LENGTH];
	char want[REQLOG_DIGEST + 2 * REQLOG_MAC + 32], hex[2 * REQLOG_MAC + 1];
	const size_t tail = strlen(",\"mac\":\"\"}") + 2 * REQLOG_MAC;
	const char *number = strstr(line, "\"n\":");

	assert_non_null(number);
	for (uint64_t k = strtoull(number + 4, NULL, 10); *at < k; (*at)++)
		next_key(key);
	assert_true(n > tail);
	digest2(line, n - tail, NULL, 0, digest);
	hmac(key, digest, mac);
	format_hex(mac, REQLOG_MAC, hex);
	int w = snprintf(want, sizeof(want), ",\"prev\":%s%s%s,\"mac\":\"%s\"}",
			 prev[0] ? "\"" : "", prev[0] ? prev : "null", prev[0] ? "\"" : "", hex);
	return n > (size_t)w && strncmp(line + n - (size_t)w, want, (size_t)w) == 0;
}

/* Check the hash and the MAC of every complete line.  Return: how many there are. */
static int verify(struct log_file *f)
{
	char prev[REQLOG_DIGEST] = "";
	uint8_t key[REQLOG_KEY] = { 0 };
	uint64_t at = 0;
	int lines = 0;

	read_back(f);
	for (char *line = f->text, *end; (end = strchr(line, '\n')); line = end + 1) {
		size_t n = (size_t)(end - line);
		if (n == 0 || end[-1] != '}')
			continue; /* torn */
		if (!sealed(line, n, prev, key, &at))
			return -1;
		digest_hex(line, n, prev);
		lines++;
	}
	return lines;
}

static void fill(struct log_file *f)
{
	struct request tap = request(OP_TAP_CREATE, 5), ping = request(OP_PING, 6),
		       list = request(OP_LIST, 7);
	struct reply r = { .seq = 5, .status = ST_OK, .tap_create = { .ifindex = 42 } };

	assert_int_equal(reqlog_start(&f->log, 4711, 101), 0);
	assert_int_equal(reqlog_resume(&f->log), 0);
	assert_int_equal(reqlog_intent(&f->log, &tap), 0);
	assert_int_equal(reqlog_result(&f->log, &tap, &r, 360), 0);
	memset(&r, 0, sizeof(r));
	assert_int_equal(reqlog_intent(&f->log, &ping), 0);
	assert_int_equal(reqlog_result(&f->log, &ping, &r, 1), 0);
	r.list.objects.n = 2 * LIST_FIELDS;
	assert_int_equal(reqlog_result(&f->log, &list, &r, 9), 0);
	assert_int_equal(reqlog_violation(&f->log, "undecodable", "abc", 3), 0);
	assert_int_equal(reqlog_stop(&f->log), 0);
}

static void lines(void **state)
{
	struct log_file *f = *state;

	fill(f);
	assert_int_equal(verify(f), 6);
	assert_non_null(
		strstr(f->text, "{\"type\":\"start\",\"role\":\"net\",\"n\":0,\"time\":\"20"));
	assert_non_null(strstr(
		f->text,
		"\"seq\":5,\"op\":\"tap_create\",\"op_id\":\"000000000000000000000000000000cd\","
		"\"slot\":7,\"generation\":3,\"vm\":\"ab000000000000000000000000000000\","
		"\"owner\":1000,\"args\":{},\"prev\""));
	assert_non_null(strstr(f->text,
			       "\"status\":\"ok\",\"us\":360,\"reply\":{\"ifindex\":42},\"prev\""));
	assert_non_null(strstr(f->text, "\"op\":\"list\""));
	assert_non_null(strstr(f->text,
			       "\"args\":{\"cursor\":0},\"status\":\"ok\",\"us\":9,\"objects\":2,"
			       "\"prev\""));
	assert_non_null(
		strstr(f->text,
		       "\"why\":\"undecodable\",\"length\":3,\"sha256\":"
		       "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\""));
	assert_non_null(strstr(f->text, "\"type\":\"stop\""));
	assert_non_null(strstr(f->text, "\"pings\":1,\"reads\":1"));
	assert_null(strstr(f->text, "\"op\":\"ping\""));
}

/* Any one byte changed, in any line but the last, breaks the chain. */
static void chain_shows_changes(void **state)
{
	struct log_file *f = *state;

	fill(f);
	assert_int_equal(verify(f), 6);
	char *last = f->text + f->n - 1;
	while (last[-1] != '\n')
		last--;
	for (size_t at = 2; f->text + at < last; at += 7) {
		if (f->text[at] == '\n' || f->text[at] == '}')
			continue;
		int fd = open(f->path, O_WRONLY);
		char was = f->text[at], is = (char)(was ^ 1);
		assert_int_equal(pwrite(fd, &is, 1, (off_t)at), 1);
		assert_int_equal(verify(f), -1);
		assert_int_equal(pwrite(fd, &was, 1, (off_t)at), 1);
		(void)close(fd);
	}
	assert_int_equal(verify(f), 6);
}

/* RLIMIT_FSIZE stands for a full disk: the line is cut short, and the next one starts on a line of
 * its own. */
static void full_disk(void **state)
{
	struct log_file *f = *state;
	struct request q = request(OP_TAP_CREATE, 1);
	struct reply r = { .status = ST_NOLOG };
	struct rlimit old, small;

	assert_int_equal(reqlog_start(&f->log, 1, 1), 0);
	assert_int_equal(reqlog_resume(&f->log), 0);
	read_back(f);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ f->n + 40, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(reqlog_intent(&f->log, &q), -1);
	assert_int_equal(f->log.torn, 40);
	assert_int_equal(reqlog_intent(&f->log, &q), -1);
	assert_int_equal(reqlog_result(&f->log, &q, &r, 1), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(reqlog_intent(&f->log, &q), 0);
	assert_false(f->log.torn || f->log.failing);
	read_back(f);
	assert_non_null(strstr(f->text, ",\"torn\":40,\"seq\""));
	assert_int_equal(reqlog_result(&f->log, &q, &r, 1), 0);
	assert_int_equal(verify(f), 3);
}

/* The log is bounded without a role's own limits: spawn has none for files. */
static void the_log_can_not_grow_beyond_its_limit(void **state)
{
	struct log_file *f = *state;
	struct request q = request(OP_VMM_SPAWN, 1);
	struct stat st;

	assert_int_equal(reqlog_start(&f->log, 1, 1), 0);
	assert_int_equal(reqlog_resume(&f->log), 0);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(f->log.size, st.st_size);
	f->log.size = REQLOG_BYTES_MAX - 100;
	assert_int_equal(reqlog_intent(&f->log, &q), -1);
	assert_true(f->log.failing);
	assert_false(f->log.torn);
	f->log.size = (uint64_t)st.st_size;
	assert_int_equal(reqlog_intent(&f->log, &q), 0);
	assert_int_equal(verify(f), 2);
}

/* A peer may send reads and refused requests without limit: most of them are counted, not
 * written. */
static void cheap_lines_are_bounded(void **state)
{
	struct log_file *f = *state;
	struct reply ok = { .status = ST_OK }, denied = { .status = ST_DENIED };
	struct request tap = request(OP_TAP_CREATE, 200000);
	char skipped[48];
	struct stat st;

	assert_int_equal(reqlog_start(&f->log, 1, 1), 0);
	assert_int_equal(reqlog_resume(&f->log), 0);
	for (uint64_t i = 1; i <= 50000; i++) {
		struct request q = request(i & 1 ? OP_LIST : OP_TAP_CREATE, i);
		assert_int_equal(reqlog_result(&f->log, &q, i & 1 ? &ok : &denied, 1), 0);
	}
	assert_int_equal(stat(f->path, &st), 0);
	assert_true(st.st_size < 3 * REQLOG_CHEAP_BURST * 400);
	assert_true(f->log.skipped > 0);
	(void)snprintf(skipped, sizeof(skipped), ",\"skipped\":%llu",
		       (unsigned long long)f->log.skipped);
	assert_int_equal(ftruncate(f->log.fd, 0), 0); /* only to have the rest in one buffer */
	f->log.state.prev[0] = '\0';
	assert_int_equal(reqlog_intent(&f->log, &tap),
			 0); /* what changes something is always written */
	assert_int_equal(reqlog_result(&f->log, &tap, &denied, 1), 0);
	assert_int_equal(verify(f), 2);
	assert_non_null(strstr(f->text, skipped));
	assert_int_equal(f->log.skipped, 0);
}

/* One LIST, long after the last checkpoint.  Return: true if it brought a checkpoint. */
static bool late_read_is_checked(struct log_file *f, uint64_t seq)
{
	struct request q = request(OP_LIST, seq);
	struct reply ok = { .seq = seq, .status = ST_OK };

	f->log.checked_ns = clock_boot_ns() - REQLOG_CHECK_NS - 1;
	assert_int_equal(reqlog_result(&f->log, &q, &ok, 1), 0);
	return f->log.checked == f->log.state.next;
}

/* The controller lists all objects every 10 s, for ever: that alone does not write to the service's
 * log. */
static void reads_alone_bring_no_checkpoint(void **state)
{
	struct log_file *f = *state;

	assert_int_equal(reqlog_start(&f->log, 4711, 101), 0);
	assert_int_equal(reqlog_resume(&f->log), 0);
	assert_int_equal(reqlog_repair(&f->log, "rules", -1), 0);
	assert_true(late_read_is_checked(f, 10)); /* of what was done before it */
	for (unsigned i = 1; i < REQLOG_CHECK_LINES; i++)
		assert_false(late_read_is_checked(f, 10 + i));
	assert_true(late_read_is_checked(f, 10 + REQLOG_CHECK_LINES));
	assert_int_equal(reqlog_repair(&f->log, "bridge", -1), 0);
	assert_true(late_read_is_checked(f, 1000));
	assert_false(late_read_is_checked(f, 1001));
}

static void not_writable(void **state)
{
	struct log_file *f = *state;
	struct request q = request(OP_TAP_CREATE, 1), read = request(OP_LIST, 2);

	(void)close(f->log.fd);
	f->log.fd = -1;
	assert_int_equal(reqlog_intent(&f->log, &q), -1);
	assert_int_equal(reqlog_intent(&f->log, &read), 0); /* reads have none */
	assert_int_equal(reqlog_violation(&f->log, "x", "", 0), -1);
}

static void a_damaged_key_file_begins_a_new_chain(void **state)
{
	struct log_file *f = *state;

	assert_int_equal(reqlog_start(&f->log, 1, 0), 0);
	assert_int_equal(reqlog_ready(&f->log), 0);
	assert_int_equal(ftruncate(f->key, 100), 0);
	assert_int_equal(reopen(f), 0);
	assert_int_equal(f->log.state.next, 0);
	assert_string_equal(f->log.state.prev, "");
	assert_int_equal(reqlog_start(&f->log, 2, 0), 0);
	assert_int_equal(reopen(f), 0);
	assert_true(f->log.state.next > 0);
}

/* FIPS 180-4, and values of coreutils' sha256sum at the padding's edge. */
static void digests(void **state)
{
	char zeros[119] = "", hex[REQLOG_DIGEST];

	(void)state;
	digest_hex("abc", 3, hex);
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_hex(zeros, 55, hex);
	assert_string_equal(hex,
			    "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7");
	digest_hex(zeros, 119, hex);
	assert_string_equal(hex,
			    "f616b0d54e78571a9611f343c9f8e022e859e920381ab0e4d3da01e193a7bd7e");
}

static void expect_time(uint64_t seconds, const char *want)
{
	struct line t = { .n = 0 };

	add_time(&t, seconds * 1000000000u + 7);
	assert_string_equal(t.text, want);
}

/* date -u -d @SECONDS says the same. */
static void times(void **state)
{
	(void)state;
	expect_time(0, "1970-01-01T00:00:00.000000007Z");
	expect_time(951782399, "2000-02-28T23:59:59.000000007Z");
	expect_time(951782400, "2000-02-29T00:00:00.000000007Z");
	expect_time(951868800, "2000-03-01T00:00:00.000000007Z");
	expect_time(1709164800, "2024-02-29T00:00:00.000000007Z");
	expect_time(1767225599, "2025-12-31T23:59:59.000000007Z");
	expect_time(4107542400, "2100-03-01T00:00:00.000000007Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(chain_shows_changes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(full_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_log_can_not_grow_beyond_its_limit, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(cheap_lines_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads_alone_bring_no_checkpoint, set_up, tear_down),
		cmocka_unit_test_setup_teardown(not_writable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_damaged_key_file_begins_a_new_chain, set_up,
						tear_down),
		cmocka_unit_test(digests),
		cmocka_unit_test(times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
