/* Tests that the printed system calls of a policy have one line for each rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/policy_print.h"

static const struct rule first[] = {
	{ SCMP_SYS(read), 0, ANY, "one" },
	{ SCMP_SYS(clone3), 38, ANY, "two" },
	{ 0 },
};
static const struct rule second[] = {
	{ SCMP_SYS(ioctl), 0, { IS(1, 0x5401), BOUND(0, 1) }, "three" },
	{ SCMP_SYS(fcntl), 0, { MASKED(1, 0xf0u, 0x10) }, "four" },
	{ 0 },
};
static const struct policy policy = {
	.process = "test",
	.lists = { first, second },
	.vars = { [1] = "a socket" },
};

static void each_rule_is_a_line(void **state)
{
	char *text = NULL;
	size_t n = 0;
	FILE *old = stdout, *out = open_memstream(&text, &n);

	(void)state;
	assert_non_null(out);
	stdout = out;
	policy_print_calls(&policy);
	stdout = old;
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, "  system calls; any other, or one of another architecture, "
				  "kills the process:\n"
				  "    read: one\n"
				  "    clone3 -> ENOSYS: two\n"
				  "    ioctl arg1 = 0x5401 (0x5401) arg0 = <a socket>: three\n"
				  "    fcntl arg1 & 0xf0 = 0x10 (0x10): four\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule_is_a_line),
	};

	return cmocka_run_group_tests_name("policy print", tests, NULL, NULL);
}
