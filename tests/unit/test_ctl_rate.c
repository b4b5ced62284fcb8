/* Tests the token buckets: a burst, then one token each interval; users do not affect each
 * other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants these first. */
#include <cmocka.h>

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "controller/rate.h"
#include "controller/user_log.h"

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

/* Return: the number of lines that the pipe @fd has for @text. */
static size_t lines_of(int fd, char *text, size_t size)
{
	ssize_t n = read(fd, text, size - 1);
	size_t lines = 0;

	text[n > 0 ? n : 0] = '\0';
	for (const char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	return lines;
}

static void a_user_can_not_fill_the_log(void **state)
{
	static char text[65536];
	int pipes[2], err = dup(STDERR_FILENO);

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_true(dup2(pipes[1], STDERR_FILENO) >= 0);
	const uint64_t begun = clock_boot_ns();
	for (int i = 0; i < 10 * USER_LOG_BURST; i++)
		user_log(1001, "line %d", i);
	user_log(1002, "another user");
	const uint64_t more = (clock_boot_ns() - begun) / USER_LOG_NS;
	const size_t first = lines_of(pipes[0], text, sizeof(text));
	/* The next line tells of those that were left out. */
	char *told = NULL;
	while (!told && clock_boot_ns() - begun < UINT64_C(60000000000)) {
		struct pollfd p = { pipes[0], POLLIN, 0 };
		user_log(1001, "once more");
		if (poll(&p, 1, 10) > 0 && lines_of(pipes[0], text, sizeof(text)))
			told = strstr(text, "once more (");
	}
	(void)dup2(err, STDERR_FILENO);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	(void)close(err);
	assert_in_range(first, USER_LOG_BURST + 1, USER_LOG_BURST + 1 + more);
	assert_non_null(told);
	assert_non_null(strstr(told, "lines about VMs of uid 1001 were left out before)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_then_one_each_interval),
		cmocka_unit_test(a_pause_fills_a_bucket_and_no_more),
		cmocka_unit_test(users_have_buckets_of_their_own),
		cmocka_unit_test(a_user_can_not_fill_the_log),
	};

	return cmocka_run_group_tests_name("ctl_rate", tests, NULL, NULL);
}
