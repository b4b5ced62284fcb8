/* Tests the strict parsers: what they accept, and what they refuse although other parsers would
 * accept it. */
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
	static const char *const bad[] = { "",   "-1",  "+1",  " 1",  "1 ", "01",
					   "00", "0x1", "1e3", "1.0", "a",  "1\n" };
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
	static const char *const bad[] = {
		"", "K", "1k", "1KB", "1 K", "1KK", "-1K", "1.5G", "01K"
	};
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
	static const char *const bad[] = { "",          "1.2.3",    "1.2.3.256", "1.2.3.4.5",
					   "01.2.3.4x", " 1.2.3.4", "::1" };
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_numbers), cmocka_unit_test(refuses_numbers),
		cmocka_unit_test(sizes),         cmocka_unit_test(labels),
		cmocka_unit_test(addresses),     cmocka_unit_test(ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
