/* Tests the token buckets: a burst, then one token each interval; users do not affect each
 * other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants these first. */
#include <cmocka.h>

#include "controller/api/rate.h"

#define BURST 200
#define STEP UINT64_C(2500000000)
#define NOW (5 * STEP)

static void a_burst_then_one_each_interval(void **state)
{
	struct rate r = { .burst = BURST, .interval_ns = STEP };

	(void)state;
	for (int i = 0; i < BURST; i++)
		assert_int_equal(rate_take(&r, 1001, NOW), 0);
	assert_int_equal(rate_take(&r, 1001, NOW), 3); /* two and a half, rounded up */
	assert_int_equal(rate_take(&r, 1001, NOW + STEP - 1), 1);
	/* A refusal costs nothing. */
	assert_int_equal(rate_take(&r, 1001, NOW + STEP), 0);
	assert_int_not_equal(rate_take(&r, 1001, NOW + STEP), 0);
	for (uint64_t i = 2; i < 1000; i++) {
		assert_int_equal(rate_take(&r, 1001, NOW + i * STEP), 0);
		assert_int_not_equal(rate_take(&r, 1001, NOW + i * STEP), 0);
	}
}

static void a_pause_fills_a_bucket_and_no_more(void **state)
{
	const uint64_t later = NOW + 10000 * STEP;
	struct rate r = { .burst = BURST, .interval_ns = STEP };

	(void)state;
	for (int i = 0; i < BURST; i++)
		assert_int_equal(rate_take(&r, 1001, NOW), 0);
	for (int i = 0; i < BURST; i++)
		assert_int_equal(rate_take(&r, 1001, later), 0);
	assert_int_not_equal(rate_take(&r, 1001, later), 0);
}

static void users_have_buckets_of_their_own(void **state)
{
	struct rate r = { .burst = BURST, .interval_ns = STEP };

	(void)state;
	for (int i = 0; i < BURST; i++)
		assert_int_equal(rate_take(&r, 1001, NOW), 0);
	for (uid_t u = 2000; u < 2000 + RATE_USERS - 1; u++)
		assert_int_equal(rate_take(&r, u, NOW), 0);
	assert_int_not_equal(rate_take(&r, 1001, NOW), 0);
	/* There is one user too many: nearly full buckets make room, but not the empty one. */
	for (uid_t u = 5000; u < 6000; u++)
		assert_int_equal(rate_take(&r, u, NOW), 0);
	assert_int_not_equal(rate_take(&r, 1001, NOW), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_then_one_each_interval),
		cmocka_unit_test(a_pause_fills_a_bucket_and_no_more),
		cmocka_unit_test(users_have_buckets_of_their_own),
	};

	return cmocka_run_group_tests_name("ctl_rate", tests, NULL, NULL);
}
