/* Tests several commands for one VM at the same moment, from threads.  Each order is allowed, but
 * the state must be true afterwards, and every object must have a row. */
#include "controller/lifecycle/operation.h"
#include "controller/objects/object.h"
#include "controller/recovery/online.h"
#include "tests/unit/ctl_fixture.h"

#include <dirent.h>

#define ROUNDS 12

/* A command and how it ended. */
struct job {
	struct fixture *f;
	int (*command)(struct fixture *f, struct operation *o, struct error *e);
	int r;
	struct error e;
	struct operation o;
	pthread_t thread;
};

static int do_create(struct fixture *f, struct operation *o, struct error *e)
{
	struct call_vm_create a = { .name = "web", .image = "debian", .nat = true };
	struct vm vm;

	return vm_create(&f->c, o, &a, &vm, e);
}

static int do_start(struct fixture *f, struct operation *o, struct error *e)
{
	struct vm vm;
	bool already;

	return vm_start(&f->c, o, "web", &already, &vm, e);
}

static int do_stop(struct fixture *f, struct operation *o, struct error *e)
{
	bool already, forced;

	return vm_stop(&f->c, o, "web", 50, &already, &forced, e);
}

static int do_kill(struct fixture *f, struct operation *o, struct error *e)
{
	bool already;

	return vm_kill(&f->c, o, "web", &already, e);
}

static int do_delete(struct fixture *f, struct operation *o, struct error *e)
{
	return vm_delete(&f->c, o, "web", e);
}

static int do_set(struct fixture *f, struct operation *o, struct error *e)
{
	static unsigned n;
	struct call_vm_set a = { .vm = "web",
				 .nat = 1 + __atomic_add_fetch(&n, 1, __ATOMIC_RELAXED) % 2 };

	return vm_set(&f->c, o, &a, e);
}

static int do_repair(struct fixture *f, struct operation *o, struct error *e)
{
	struct repaired n;

	(void)o;
	return online_repair(&f->c, &(struct repair_options){ .restore = true }, &n, e);
}

static int do_gc(struct fixture *f, struct operation *o, struct error *e)
{
	struct repaired n;

	(void)o;
	if (online_repair(&f->c, &(struct repair_options){ .restore = false }, &n, e) < 0)
		return -1;
	return n.found ? error_set(e, FAIL_GENERAL, "gc", "%u things were taken for nobody's",
				   n.found)
		       : 0;
}

static void *run(void *arg)
{
	struct job *j = arg;

	j->r = j->command(j->f, &j->o, &j->e);
	return NULL;
}

static void begin(struct fixture *f, struct job *j,
		  int (*command)(struct fixture *, struct operation *, struct error *))
{
	*j = (struct job){ .f = f, .command = command, .o = operation(f) };
	assert_int_equal(pthread_create(&j->thread, NULL, run, j), 0);
}

static void end(struct job *j)
{
	assert_int_equal(pthread_join(j->thread, NULL), 0);
}

static void at_once(struct fixture *f, struct job *a,
		    int (*one)(struct fixture *, struct operation *, struct error *), struct job *b,
		    int (*two)(struct fixture *, struct operation *, struct error *))
{
	begin(f, a, one);
	begin(f, b, two);
	end(a);
	end(b);
}

static bool exists(struct fixture *f)
{
	struct error e = { 0 };
	struct vm vm;

	return db_vm_find(f->c.db, &f->caller, "web", &vm, &e) == 0;
}

/* Assert that the row agrees with the objects. */
static void assert_true_to_its_word(struct fixture *f)
{
	struct vm vm = row(f, "web");
	size_t all = OBJ_COUNT - 1 - !vm.nat;

	assert_int_equal(fake_helper_violations(f->fake), 0);
	if (vm.state == VM_RUNNING) {
		_cleanup_close_ int pidfd = watch_pidfd(f->c.watch, vm.id);
		assert_true(pidfd_alive(pidfd));
		assert_int_equal(fake_helper_objects(f->fake, 0), all);
		assert_int_equal(ledger(f, &vm, NULL), all);
		assert_int_equal(fake_helper_has(f->fake, vm.slot, OBJ_NAT), vm.nat);
	} else {
		assert_nothing_left(f, "web", vm.state);
		assert_true(vm.state == VM_STOPPED || vm.state == VM_CREATED);
	}
}

static void must(struct job *j)
{
	if (j->r < 0)
		fail_msg("%s: %s", j->e.what, j->e.why);
}

static void two_creates_of_one_name(void **state)
{
	struct fixture *f = *state;
	struct job j[6];

	for (int round = 0; round < ROUNDS; round++) {
		int made = 0;
		for (size_t i = 0; i < ARRAY_SIZE(j); i++)
			begin(f, &j[i], do_create);
		for (size_t i = 0; i < ARRAY_SIZE(j); i++) {
			end(&j[i]);
			made += j[i].r == 0;
			if (j[i].r < 0)
				assert_int_equal(j[i].e.code, FAIL_STATE);
		}
		assert_int_equal(made, 1);
		assert_true_to_its_word(f);
		at_once(f, &j[0], do_delete, &j[1], do_delete);
		assert_int_equal((j[0].r == 0) + (j[1].r == 0), 1);
		assert_false(exists(f));
	}
}

/* A VM that is visible during its creation can not be started yet. */
static void a_create_and_a_start(void **state)
{
	struct fixture *f = *state;
	struct job a, b, c;

	host.files = true;
	for (int round = 0; round < ROUNDS; round++) {
		begin(f, &a, do_create);
		for (int i = 0; i < 5000 && !exists(f); i++)
			(void)poll(NULL, 0, 1);
		begin(f, &b, round % 3 ? do_start : do_stop);
		end(&a);
		end(&b);
		must(&a);
		must(&b);
		assert_true_to_its_word(f);
		assert_int_equal(host.missing, 0);
		struct vm vm = row(f, "web");
		assert_true(has_files(&f->c, &vm));
		begin(f, &c, do_delete);
		end(&c);
		must(&c);
	}
}

static void a_create_and_a_delete(void **state)
{
	struct fixture *f = *state;
	struct job a, b;

	host.files = true;
	for (int round = 0; round < ROUNDS; round++) {
		at_once(f, &a, round % 2 ? do_create : do_delete, &b,
			round % 2 ? do_delete : do_create);
		must(round % 2 ? &a : &b);
		struct job *gone = round % 2 ? &b : &a;
		if (gone->r < 0) {
			assert_int_equal(gone->e.code, FAIL_NOT_FOUND);
			struct vm vm = row(f, "web");
			assert_true(has_files(&f->c, &vm));
			begin(f, &a, do_delete);
			end(&a);
			must(&a);
		}
		assert_false(exists(f));
	}
}

static bool enough;

static void *gc_on_and_on(void *arg)
{
	uintptr_t bad = 0;

	while (!__atomic_load_n(&enough, __ATOMIC_RELAXED)) {
		struct error e = { 0 };
		bad += do_gc(arg, NULL, &e) < 0;
	}
	return (void *)bad;
}

/* Objects of a creation or a deletion in progress are no orphans. */
static void a_gc_and_a_create(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	void *bad;

	host.files = true;
	__atomic_store_n(&enough, false, __ATOMIC_RELAXED);
	assert_int_equal(pthread_create(&thread, NULL, gc_on_and_on, f), 0);
	for (int round = 0; round < 2 * ROUNDS; round++) {
		struct operation o = operation(f);
		struct error e = { 0 };
		struct vm vm = create(f, "web", true);
		must_start(f, "web");
		assert_true(has_files(&f->c, &vm));
		assert_int_equal(do_delete(f, &o, &e), 0);
	}
	__atomic_store_n(&enough, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(thread, &bad), 0);
	assert_null(bad);
	assert_int_equal(host.missing, 0);
	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
}

static void a_start_and_a_stop(void **state)
{
	struct fixture *f = *state;
	struct job a, b;

	(void)create(f, "web", true);
	for (int round = 0; round < ROUNDS; round++) {
		at_once(f, &a, round % 2 ? do_start : do_stop, &b, round % 2 ? do_stop : do_start);
		must(&a);
		must(&b);
		assert_true_to_its_word(f);
	}
}

static void a_stop_and_a_delete(void **state)
{
	struct fixture *f = *state;
	struct job a, b;

	for (int round = 0; round < ROUNDS; round++) {
		(void)create(f, "web", true);
		must_start(f, "web");
		at_once(f, &a, round % 2 ? do_stop : do_delete, &b,
			round % 2 ? do_delete : do_stop);
		must(round % 2 ? &b : &a);
		struct job *stop = round % 2 ? &a : &b;
		if (stop->r < 0)
			assert_int_equal(stop->e.code, FAIL_NOT_FOUND);
		assert_false(exists(f));
		assert_int_equal(fake_helper_objects(f->fake, 0), 0);
	}
}

static void a_change_and_a_start(void **state)
{
	struct fixture *f = *state;
	struct job a, b, c;

	(void)create(f, "web", false);
	for (int round = 0; round < ROUNDS; round++) {
		begin(f, &c, do_set);
		at_once(f, &a, do_set, &b, round % 3 ? do_start : do_kill);
		end(&c);
		must(&a);
		must(&b);
		must(&c);
		assert_true_to_its_word(f);
	}
}

struct deleting {
	struct fixture *f;
	atomic_bool enough;
};

/* An image is used or deleted, never both. */
static void *delete_image(void *arg)
{
	struct deleting *d = arg;
	struct fixture *f = d->f;
	uintptr_t bad = 0;

	while (!d->enough) {
		struct error e = { 0 };
		struct artifact image = { .type = ARTIFACT_IMAGE };
		bool last;
		if (db_artifact_find(f->c.db, &f->caller, "debian", &image, &e) < 0)
			return (void *)1;
		if (db_artifact_delete(f->c.db, &image, &last, &e) < 0)
			bad += e.code != FAIL_STATE;
		else
			bad += db_artifact_add(f->c.db, &image, 8, &e) < 0;
	}
	return (void *)bad;
}

static void a_create_and_the_deletion_of_its_image(void **state)
{
	struct deleting d = { .f = *state };
	struct fixture *f = *state;
	unsigned made = 0;
	pthread_t thread;
	void *bad;

	assert_int_equal(pthread_create(&thread, NULL, delete_image, &d), 0);
	/* The scheduler decides the order: go on until a create has won. */
	for (int i = 0; i < 30 || (!made && i < 5000); i++) {
		struct operation o = operation(f), p = operation(f);
		struct error e = { 0 };
		if (do_create(f, &o, &e) < 0) {
			assert_int_equal(e.code, FAIL_NOT_FOUND);
			assert_false(exists(f));
			continue;
		}
		made++;
		assert_string_equal(row(f, "web").image, "debian");
		assert_int_equal(do_delete(f, &p, &e), 0);
	}
	d.enough = true;
	assert_int_equal(pthread_join(thread, &bad), 0);
	assert_null(bad);
	assert_true(made > 0);
}

static void a_hundred_starts(void **state)
{
	static struct job j[100];
	struct fixture *f = *state;

	(void)create(f, "web", true);
	fake_helper_delay(f->fake, OP_TAP_CREATE, 20);
	for (size_t i = 0; i < ARRAY_SIZE(j); i++)
		begin(f, &j[i], do_start);
	for (size_t i = 0; i < ARRAY_SIZE(j); i++) {
		end(&j[i]);
		must(&j[i]);
	}
	assert_int_equal(host.boots, 1);
	assert_true_to_its_word(f);
}

/* ---- everything ---- */

static void *whatever(void *arg)
{
	static int (*const commands[])(struct fixture *, struct operation *, struct error *) = {
		do_create, do_start,  do_stop, do_kill,  do_delete,
		do_set,    do_repair, do_gc,   do_start, do_create,
	};
	static unsigned seed;
	unsigned mine = __atomic_add_fetch(&seed, 1, __ATOMIC_RELAXED);
	uintptr_t bad = 0;

	for (int i = 0; i < 40; i++) {
		struct operation o = operation(arg);
		struct error e = { 0 };
		if (commands[(size_t)rand_r(&mine) % ARRAY_SIZE(commands)](arg, &o, &e) < 0)
			bad += e.code != FAIL_STATE && e.code != FAIL_NOT_FOUND;
	}
	return (void *)bad;
}

static void random_commands_at_once(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[6];
	struct job j;
	void *bad;

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, whatever, f), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
	if (exists(f)) {
		assert_true_to_its_word(f);
		begin(f, &j, do_delete);
		end(&j);
		must(&j);
	}
	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
	assert_int_equal(fake_helper_violations(f->fake), 0);
}

/* ---- descriptors ---- */

static size_t descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static void no_descriptor_is_lost(void **state)
{
	static const enum op_code makes[] = { OP_TAP_CREATE, OP_LOOP_ATTACH, OP_SNAPSHOT_CREATE,
					      OP_VMM_SPAWN };
	struct fixture *f = *state;
	size_t before = 0;

	(void)create(f, "web", true);
	for (int round = 0; round < 200; round++) {
		struct operation o = operation(f), p = operation(f);
		struct error e = { 0 };
		if (round % 2)
			fake_helper_fail(f->fake, makes[(size_t)round / 2 % ARRAY_SIZE(makes)],
					 ST_KERNEL, 1);
		assert_int_equal(do_start(f, &o, &e), round % 2 ? -1 : 0);
		assert_int_equal(do_kill(f, &p, &e), 0);
		if (round == 9)
			before = descriptors();
	}
	assert_int_equal(descriptors(), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_creates_of_one_name), TEST(a_create_and_a_start),
		TEST(a_create_and_a_delete),   TEST(a_gc_and_a_create),
		TEST(a_start_and_a_stop),      TEST(a_stop_and_a_delete),
		TEST(a_change_and_a_start),    TEST(a_create_and_the_deletion_of_its_image),
		TEST(a_hundred_starts),        TEST(random_commands_at_once),
		TEST(no_descriptor_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
