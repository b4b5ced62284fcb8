/* The strict readers: what they take, and what they refuse although others would take it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/parse.h"
#include "common/sha256.h"

static void takes_numbers(void **state)
{
	uint64_t v = 99;

	(void)state;
	assert_int_equal(parse_uint("0", 0, 10, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(parse_uint("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(parse_uint("10", 10, 10, &v), 0);
}

static void refuses_numbers(void **state)
{
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "01", "00", "0x1", "1e3", "1.0", "a", "1\n" };
	uint64_t v = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		errno = 0;
		assert_int_equal(parse_uint(bad[i], 0, UINT64_MAX, &v), -1);
		assert_int_equal(errno, EINVAL);
	}
	errno = 0;
	assert_int_equal(parse_uint("18446744073709551616", 0, UINT64_MAX, &v), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(parse_uint("11", 0, 10, &v), -1);
	assert_int_equal(parse_uint("4", 5, 10, &v), -1);
	assert_int_equal(v, 77);
}

static void sizes(void **state)
{
	static const char *const bad[] = { "", "K", "1k", "1KB", "1 K", "1KK", "-1K", "1.5G", "01K" };
	uint64_t v;

	(void)state;
	assert_int_equal(parse_size("3", 0, 3, &v), 0);
	assert_int_equal(parse_size("2K", 0, UINT64_MAX, &v), 0);
	assert_int_equal(v, 2048);
	assert_int_equal(parse_size("3T", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_C(3) << 40);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_size(bad[i], 0, UINT64_MAX, &v), -1);
	errno = 0;
	assert_int_equal(parse_size("16777216T", 0, UINT64_MAX, &v), -1);
	assert_int_equal(errno, ERANGE);
}

static void labels(void **state)
{
	char longest[65];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	longest[63] = '\0';
	assert_true(parse_is_label("a"));
	assert_true(parse_is_label("web-1"));
	assert_true(parse_is_label(longest));
	longest[63] = 'a';
	longest[64] = '\0';
	assert_false(parse_is_label(longest));
	assert_false(parse_is_label(""));
	assert_false(parse_is_label("-a"));
	assert_false(parse_is_label("a-"));
	assert_false(parse_is_label("A"));
	assert_false(parse_is_label("a.b"));
	assert_false(parse_is_label("a_b"));
	assert_false(parse_is_label("\xc3\xa9"));
}

static void addresses(void **state)
{
	static const char *const bad[] = { "", "1.2.3", "1.2.3.256", "1.2.3.4.5", "01.2.3.4x", " 1.2.3.4", "::1" };
	uint32_t a, p;
	char text[16];

	(void)state;
	assert_int_equal(parse_ipv4("10.1.2.3", &a), 0);
	assert_int_equal(a, 0x0a010203);
	format_ipv4(a, text);
	assert_string_equal(text, "10.1.2.3");
	format_ipv4(UINT32_MAX, text);
	assert_string_equal(text, "255.255.255.255");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_ipv4(bad[i], &a), -1);
	assert_int_equal(parse_subnet("10.1.0.0/16", &a, &p), 0);
	assert_int_equal(a, 0x0a010000);
	assert_int_equal(p, 16);
	assert_int_equal(parse_subnet("10.1.0.1/16", &a, &p), -1);
	assert_int_equal(parse_subnet("10.0.0.0/7", &a, &p), -1);
	assert_int_equal(parse_subnet("10.0.0.0/31", &a, &p), -1);
	assert_int_equal(parse_subnet("10.0.0.0", &a, &p), -1);
	assert_int_equal(parse_subnet("10.0.0.0/08", &a, &p), -1);
}

static void ids(void **state)
{
	uint8_t id[ID_LEN], back[ID_LEN];
	char hex[ID_HEX];

	(void)state;
	for (size_t i = 0; i < ID_LEN; i++)
		id[i] = (uint8_t)(i * 17);
	format_id(id, hex);
	assert_string_equal(hex, "00112233445566778899aabbccddeeff");
	assert_int_equal(parse_id(hex, back), 0);
	assert_memory_equal(id, back, ID_LEN);
	assert_int_equal(parse_id("00112233445566778899AABBCCDDEEFF", back), -1);
	assert_int_equal(parse_id("00112233445566778899aabbccddeef", back), -1);
	assert_int_equal(parse_id("00112233445566778899aabbccddeeff0", back), -1);
	assert_int_equal(parse_id("0011223344556677 899aabbccddeeff", back), -1);
}

static void expect_sha256(const void *bytes, size_t n, const char *want)
{
	uint8_t digest[SHA256_LEN];
	char hex[SHA256_HEX];

	sha256(bytes, n, digest);
	format_hex(digest, sizeof(digest), hex);
	assert_string_equal(hex, want);
}

/* FIPS 180-4 examples, and lengths on both sides of the padding's edges (values of coreutils' sha256sum). */
static void hashes(void **state)
{
	char zeros[120] = { 0 };

	(void)state;
	expect_sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	expect_sha256("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	expect_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
		      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	expect_sha256(zeros, 55, "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7");
	expect_sha256(zeros, 64, "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b");
	expect_sha256(zeros, 119, "f616b0d54e78571a9611f343c9f8e022e859e920381ab0e4d3da01e193a7bd7e");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_numbers), cmocka_unit_test(refuses_numbers), cmocka_unit_test(sizes),
		cmocka_unit_test(labels), cmocka_unit_test(addresses), cmocka_unit_test(ids), cmocka_unit_test(hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
