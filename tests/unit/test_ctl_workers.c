/* Tests the queue of jobs: it is bounded, and several threads empty it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants these first. */
#include <cmocka.h>

#include <poll.h>

#include "controller/workers.h"

static int setup(void **state)
{
	static struct ctl c;

	c = (struct ctl){ 0 };
	c.workers = workers_start(&c);
	assert_non_null(c.workers);
	*state = &c;
	return 0;
}

static int teardown(void **state)
{
	workers_stop(((struct ctl *)*state)->workers);
	return 0;
}

static void nap(void)
{
	(void)poll(NULL, 0, 1);
}

static bool wait_until(const unsigned *v, unsigned want)
{
	for (int i = 0; i < 5000 && __atomic_load_n(v, __ATOMIC_SEQ_CST) != want; i++)
		nap();
	return __atomic_load_n(v, __ATOMIC_SEQ_CST) == want;
}

static void count_job(struct ctl *c, void *arg)
{
	(void)c;
	__atomic_add_fetch((unsigned *)arg, 1, __ATOMIC_SEQ_CST);
}

static void jobs_run(void **state)
{
	struct ctl *c = *state;
	unsigned ran = 0;

	for (int i = 0; i < 100; i++)
		assert_int_equal(workers_run(c->workers, count_job, &ran), 0);
	assert_true(wait_until(&ran, 100));
}

static unsigned blocked, unblock;

static void block_job(struct ctl *c, void *arg)
{
	(void)c, (void)arg;
	__atomic_add_fetch(&blocked, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&unblock, __ATOMIC_SEQ_CST))
		nap();
}

static void the_queue_is_bounded(void **state)
{
	struct ctl *c = *state;
	unsigned ran = 0;

	blocked = unblock = 0;
	for (int i = 0; i < WORKER_THREADS; i++)
		assert_int_equal(workers_run(c->workers, block_job, NULL), 0);
	assert_true(wait_until(&blocked, WORKER_THREADS));
	for (int i = 0; i < WORKER_QUEUE_MAX; i++)
		assert_int_equal(workers_run(c->workers, count_job, &ran), 0);
	assert_int_equal(workers_run(c->workers, count_job, &ran), -1);
	__atomic_store_n(&unblock, 1, __ATOMIC_SEQ_CST);
	assert_true(wait_until(&ran, WORKER_QUEUE_MAX));
	assert_int_equal(workers_run(c->workers, count_job, &ran), 0);
	assert_true(wait_until(&ran, WORKER_QUEUE_MAX + 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(jobs_run),
		TEST(the_queue_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
