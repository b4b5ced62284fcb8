/* Tests tsc_khz(): the rate agrees with a longer measurement of the same two clocks, and is
 * measured once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "controller/tsc.c"

#ifdef __x86_64__
/* Measure half a second, so that a busy host does not show.  A guest's kernel tolerates a hundredth
 * (tsc_early_khz). */
static void agrees_with_a_longer_measurement(void **state)
{
	uint64_t t0 = 0, n0 = 0, t1 = 0, n1 = 0;

	(void)state;
	read_clocks(&t0, &n0);
	(void)nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
	read_clocks(&t1, &n1);
	uint64_t khz = (t1 - t0) * 1000000 / (n1 - n0);
	assert_in_range(tsc_khz(), khz - khz / 100, khz + khz / 100);
}
#else
static void agrees_with_a_longer_measurement(void **state)
{
	(void)state;
	assert_int_equal(tsc_khz(), 0);
}
#endif

/* A thousand separate measurements would not give the same number. */
static void is_measured_once(void **state)
{
	uint32_t first = tsc_khz();

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(tsc_khz(), first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_a_longer_measurement),
		cmocka_unit_test(is_measured_once),
	};

	return cmocka_run_group_tests_name("tsc", tests, NULL, NULL);
}
