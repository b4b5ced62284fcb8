/* Tests the operation lock: a VM has one operation at a time, in the order of the requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants these first. */
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>

/* Included to see which threads wait. */
#include "controller/lifecycle/vm_lock.c"

static const uint8_t vm_a[ID_LEN] = "a", vm_b[ID_LEN] = "b";

static int setup(void **state)
{
	*state = vm_locks_open();
	assert_non_null(*state);
	return 0;
}

static int teardown(void **state)
{
	vm_locks_close(*state);
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

struct taker {
	struct vm_locks *l;
	const uint8_t *vm;
	enum vm_lock_mode mode;
	unsigned got, leave, *order;
	unsigned place;
	atomic_bool *cancelled;
	pthread_t thread;
};

static void *take(void *arg)
{
	struct taker *t = arg;

	vm_lock_take(t->l, t->vm, t->mode, &t->cancelled);
	if (t->order)
		t->place = __atomic_add_fetch(t->order, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&t->got, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&t->leave, __ATOMIC_SEQ_CST))
		nap();
	vm_lock_give(t->l, t->vm);
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

/* Wait until @want threads have asked for the lock of vm_a, the holder included. */
static void wait_for_askers(struct vm_locks *l, uint64_t want)
{
	uint64_t have = 0;

	for (int i = 0; i < 5000 && have != want; i++) {
		nap();
		(void)pthread_mutex_lock(&l->lock);
		const struct entry *e = entry_of(l, vm_a);
		have = e->tickets - e->serving;
		(void)pthread_mutex_unlock(&l->lock);
	}
	assert_int_equal(have, want);
}

static void a_vm_has_one_lock_and_others_have_theirs(void **state)
{
	struct vm_locks *l = *state;
	struct taker first = { .l = l, .vm = vm_a }, second = first, other = { .l = l, .vm = vm_b };

	begin(&first);
	assert_true(wait_until(&first.got, 1));
	begin(&second);
	begin(&other);
	assert_true(wait_until(&other.got, 1));
	wait_for_askers(l, 2);
	(void)poll(NULL, 0, 20);
	assert_int_equal(__atomic_load_n(&second.got, __ATOMIC_SEQ_CST), 0);
	assert_false(*first.cancelled);
	end(&first);
	assert_true(wait_until(&second.got, 1));
	end(&second);
	end(&other);
}

static void an_interrupt_sets_the_flag_of_each_operation_before_it(void **state)
{
	struct vm_locks *l = *state;
	struct taker first = { .l = l, .vm = vm_a }, second = first, last = first;

	last.mode = VM_LOCK_INTERRUPT;
	begin(&first);
	assert_true(wait_until(&first.got, 1));
	begin(&second);
	wait_for_askers(l, 2);
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

static void the_lock_goes_by_the_order_of_asking(void **state)
{
	struct vm_locks *l = *state;
	struct taker first = { .l = l, .vm = vm_a }, rest[5];
	unsigned order = 0;

	begin(&first);
	assert_true(wait_until(&first.got, 1));
	for (unsigned i = 0; i < 5; i++) {
		rest[i] = (struct taker){ .l = l, .vm = vm_a, .order = &order, .leave = 1 };
		begin(&rest[i]);
		wait_for_askers(l, i + 2);
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
		TEST(a_vm_has_one_lock_and_others_have_theirs),
		TEST(an_interrupt_sets_the_flag_of_each_operation_before_it),
		TEST(the_lock_goes_by_the_order_of_asking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
