/* Tests that clocks may jump: the wall clock serves people only, and a suspend does not count as
 * waiting.  The function below tells the controller the time. */
#include <sys/syscall.h>

#include "tests/unit/ctl_fixture.h"

static _Atomic int64_t wall_jump_s, suspended_s;

int clock_gettime(clockid_t id, struct timespec *t)
{
	long r = syscall(SYS_clock_gettime, id, t);

	t->tv_sec += id == CLOCK_REALTIME ? wall_jump_s : id == CLOCK_BOOTTIME ? suspended_s : 0;
	return (int)r;
}

struct job {
	struct fixture *f;
	struct operation o;
	bool forced;
	int r;
	uint64_t ms;
};

static uint64_t true_ms(void)
{
	struct timespec t;

	(void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

#define PATIENCE_MS 500

static void *stop(void *arg)
{
	struct job *j = arg;
	struct error e = { 0 };
	uint64_t began = true_ms();
	bool already;

	j->r = vm_stop(&j->f->c, &j->o, "web", PATIENCE_MS, &already, &j->forced, &e);
	j->ms = true_ms() - began;
	return NULL;
}

/* A guest that ignores the shutdown gets its whole time and not much more, whatever a clock does
 * meanwhile. */
static void jump_in_a_stop(struct fixture *f, _Atomic int64_t *clock, int64_t by_s)
{
	struct job j = { .f = f, .o = operation(f) };
	pthread_t thread;

	must_start(f, "web");
	assert_int_equal(pthread_create(&thread, NULL, stop, &j), 0);
	(void)poll(NULL, 0, 60);
	*clock += by_s;
	assert_int_equal(pthread_join(thread, NULL), 0);
	*clock = 0;
	assert_int_equal(j.r, 0);
	assert_true(j.forced);
	assert_in_range(j.ms, PATIENCE_MS, 20 * PATIENCE_MS);
	assert_nothing_left(f, "web", VM_STOPPED);
}

static void the_wall_clock_ends_no_wait(void **state)
{
	static const int64_t jumps[] = { -3600, 365 * 86400, -40 * 365 * 86400ll };
	struct fixture *f = *state;

	host.guest_obeys = false;
	(void)create(f, "web", true);
	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++)
		jump_in_a_stop(f, &wall_jump_s, jumps[i]);
}

static void a_suspended_host_ends_no_wait(void **state)
{
	struct fixture *f = *state;

	host.guest_obeys = false;
	(void)create(f, "web", true);
	jump_in_a_stop(f, &suspended_s, 8 * 3600);
}

/* A VM whose creation lies in the future is started and listed. */
static void a_clock_set_back_is_no_obstacle(void **state)
{
	struct fixture *f = *state;

	wall_jump_s = 86400;
	(void)create(f, "web", true);
	must_start(f, "web");
	wall_jump_s = 0;
	struct job j = { .f = f, .o = operation(f) };
	(void)stop(&j);
	assert_int_equal(j.r, 0);
	assert_nothing_left(f, "web", VM_STOPPED);
	must_start(f, "web");
	assert_true(row(f, "web").started_ns < row(f, "web").created_ns);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_wall_clock_ends_no_wait),
		TEST(a_suspended_host_ends_no_wait),
		TEST(a_clock_set_back_is_no_obstacle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
