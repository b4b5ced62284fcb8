/* The queue is bounded and emptied by several threads; a VM has one operation at a time, in the order of asking. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants these first. */
#include <cmocka.h>

#include <poll.h>
#include <string.h>

/* To see who waits for a turn. */
#include "controller/worker.c"

static const uint8_t vm_a[ID_LEN] = "a", vm_b[ID_LEN] = "b";

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

struct taker {
	struct ctl *c;
	const uint8_t *vm;
	bool interrupt;
	unsigned got, leave, *order;
	unsigned place;
	atomic_bool *cancelled;
	pthread_t thread;
};

static void *take(void *arg)
{
	struct taker *t = arg;

	vm_turn_take(t->c->workers, t->vm, t->interrupt, &t->cancelled);
	if (t->order)
		t->place = __atomic_add_fetch(t->order, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&t->got, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&t->leave, __ATOMIC_SEQ_CST))
		nap();
	vm_turn_give(t->c->workers, t->vm);
	return NULL;
}

static void begin(struct taker *t)
{
	assert_int_equal(pthread_create(&t->thread, NULL, take, t), 0);
}

static void end(struct taker *t)
{
	__atomic_store_n(&t->leave, 1, __ATOMIC_SEQ_CST);
	assert_int_equal(pthread_join(t->thread, NULL), 0);
}

/* Until so many have asked for the turn of vm_a, whoever has it now included. */
static void wait_for_askers(struct ctl *c, uint64_t want)
{
	uint64_t have = 0;

	for (int i = 0; i < 5000 && have != want; i++) {
		nap();
		(void)pthread_mutex_lock(&c->workers->lock);
		const struct turn *t = turn_of(c->workers, vm_a);
		have = t->tickets - t->serving;
		(void)pthread_mutex_unlock(&c->workers->lock);
	}
	assert_int_equal(have, want);
}

static void a_vm_has_one_turn_and_others_have_theirs(void **state)
{
	struct ctl *c = *state;
	struct taker first = { .c = c, .vm = vm_a }, second = first, other = { .c = c, .vm = vm_b };

	begin(&first);
	assert_true(wait_until(&first.got, 1));
	begin(&second);
	begin(&other);
	assert_true(wait_until(&other.got, 1));
	wait_for_askers(c, 2);
	(void)poll(NULL, 0, 20);
	assert_int_equal(__atomic_load_n(&second.got, __ATOMIC_SEQ_CST), 0);
	assert_false(*first.cancelled);
	end(&first);
	assert_true(wait_until(&second.got, 1));
	end(&second);
	end(&other);
}

static void one_who_interrupts_sets_the_flag_of_each_before_it(void **state)
{
	struct ctl *c = *state;
	struct taker first = { .c = c, .vm = vm_a }, second = first, last = first;

	last.interrupt = true;
	begin(&first);
	assert_true(wait_until(&first.got, 1));
	begin(&second);
	wait_for_askers(c, 2);
	begin(&last);
	for (int i = 0; i < 5000 && !*first.cancelled; i++)
		nap();
	assert_true(*first.cancelled);
	end(&first);
	assert_true(wait_until(&second.got, 1));
	for (int i = 0; i < 5000 && !*second.cancelled; i++)
		nap();
	assert_true(*second.cancelled);
	end(&second);
	assert_true(wait_until(&last.got, 1));
	assert_false(*last.cancelled);
	end(&last);
}

static void turns_come_in_the_order_of_asking(void **state)
{
	struct ctl *c = *state;
	struct taker first = { .c = c, .vm = vm_a }, rest[5];
	unsigned order = 0;

	begin(&first);
	assert_true(wait_until(&first.got, 1));
	for (unsigned i = 0; i < 5; i++) {
		rest[i] = (struct taker){ .c = c, .vm = vm_a, .order = &order, .leave = 1 };
		begin(&rest[i]);
		wait_for_askers(c, i + 2);
	}
	end(&first);
	for (unsigned i = 0; i < 5; i++) {
		end(&rest[i]);
		assert_int_equal(rest[i].place, i + 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(jobs_run),
		TEST(the_queue_is_bounded),
		TEST(a_vm_has_one_turn_and_others_have_theirs),
		TEST(one_who_interrupts_sets_the_flag_of_each_before_it),
		TEST(turns_come_in_the_order_of_asking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
