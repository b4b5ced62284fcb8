/* Tests seven scenarios of the bug that led to this project: a tap's name existed only in a cache,
 * the cache was lost, and the NAT rule leaked for ever.  The last scenario loses everything that
 * can be lost. */
#include <sqlite3.h>

#include "controller/objects/nat.h"
#include "tests/unit/ctl_fixture.h"

static int apply(struct fixture *f, const struct vm *before, bool nat)
{
	struct operation o = operation(f);
	struct error e = { 0 };
	struct vm after = *before;

	after.nat = nat;
	int r = nat_apply_config_change(&f->c, before, &after, &o, &e);
	if (r < 0)
		print_message("%s: %s\n", e.what, e.why);
	return r;
}

static int cleanup(struct fixture *f, const struct vm *vm)
{
	struct operation o = operation(f);
	struct error e = { 0 };

	return nat_cleanup(&f->c, vm, &o, &e);
}

static bool has_row(struct fixture *f, const struct vm *vm, enum object kind)
{
	struct ledger_row rows[OBJ_COUNT];
	size_t n = ledger(f, vm, rows);

	for (size_t i = 0; i < n; i++)
		if (rows[i].kind == kind)
			return true;
	return false;
}

static void nat_apply_config_change_noop_when_flag_unchanged(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "on", true);
	(void)create(f, "off", false);
	must_start(f, "on");
	must_start(f, "off");
	struct vm on = row(f, "on"), off = row(f, "off");
	fake_helper_forget(f->fake);
	assert_int_equal(apply(f, &on, true), 0);
	assert_int_equal(apply(f, &off, false), 0);
	assert_int_equal(fake_helper_total(f->fake), 0);
}

static void nat_apply_config_change_noop_when_vm_not_alive(void **state)
{
	struct fixture *f = *state;
	struct vm vm = create(f, "web", false);

	assert_int_equal(apply(f, &vm, true), 0);
	vm.nat = true;
	assert_int_equal(apply(f, &vm, false), 0);
	assert_int_equal(fake_helper_total(f->fake), 0);
	assert_int_equal(ledger(f, &vm, NULL), 0);
}

static void nat_apply_config_change_toggles_nat_when_alive(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	must_start(f, "web");
	struct vm vm = row(f, "web");
	fake_helper_forget(f->fake);

	assert_int_equal(apply(f, &vm, true), 0);
	assert_int_equal(fake_helper_count(f->fake, OP_NAT_ADD), 1);
	assert_int_equal(fake_helper_total(f->fake), 1);
	assert_true(has_row(f, &vm, OBJ_NAT));
	assert_true(fake_helper_has(f->fake, vm.slot, OBJ_NAT));

	vm = row(f, "web");
	assert_true(vm.nat);
	assert_int_equal(apply(f, &vm, false), 0);
	assert_int_equal(fake_helper_count(f->fake, OP_NAT_REMOVE), 1);
	assert_int_equal(fake_helper_total(f->fake), 2);
	assert_false(has_row(f, &vm, OBJ_NAT));
	assert_false(fake_helper_has(f->fake, vm.slot, OBJ_NAT));
	assert_false(row(f, "web").nat);
	assert_true(has_row(f, &vm, OBJ_TAP));
}

static void nat_cleanup_noop_when_nat_disabled(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	must_start(f, "web");
	struct vm vm = row(f, "web");
	fake_helper_forget(f->fake);
	assert_string_equal(vm.runtime.tap, "bgr0");
	assert_int_equal(cleanup(f, &vm), 0);
	assert_int_equal(fake_helper_total(f->fake), 0);
}

static void nat_cleanup_noop_when_runtime_handles_missing(void **state)
{
	struct fixture *f = *state;
	struct vm vm = create(f, "web", true);

	assert_int_equal(cleanup(f, &vm), 0);
	assert_int_equal(fake_helper_total(f->fake), 0);
}

static void nat_cleanup_reverses_nat_when_runtime_present(void **state)
{
	struct fixture *f = *state;
	struct request q;

	(void)create(f, "web", true);
	must_start(f, "web");
	struct vm vm = row(f, "web");
	fake_helper_forget(f->fake);
	assert_int_equal(cleanup(f, &vm), 0);
	assert_int_equal(fake_helper_total(f->fake), 1);
	assert_true(fake_helper_request(f->fake, 0, &q));
	assert_int_equal(q.op->code, OP_NAT_REMOVE);
	assert_int_equal(q.slot, vm.slot);
	assert_int_equal(q.generation, vm.generation);
	assert_int_equal(q.owner, OWNER);
	assert_memory_equal(q.vm, vm.id, ID_LEN);
	assert_false(fake_helper_has(f->fake, vm.slot, OBJ_NAT));
}

/* Make a row from before the ledger: the runtime has the tap, and there is no other record. */
static void make_older_row(struct fixture *f)
{
	static const char sql[] =
		"DELETE FROM ledger;"
		"UPDATE vms SET runtime = '{\"tap\":\"bgr2\"}', state = 'running', nat = 1;";
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* No process remembers the VM: store and watch are opened again, and the roles know only what the
 * kernel has. */
static void lose_every_cache(struct fixture *f, const struct vm *vm)
{
	close_all(f);
	helper_close(f->c.helper);
	tap_sweep_close(f->c.tap_sweep);
	fake_helper_stop(f->fake);
	make_older_row(f);
	roles_start(f);
	fake_helper_put(f->fake, OBJ_TAP, 2, vm->generation, OWNER);
	fake_helper_put(f->fake, OBJ_NAT, 2, vm->generation, OWNER);
	roles_run(f);
	open_all(f);
}

static void nat_cleanup_falls_back_to_runtime_tap_device(void **state)
{
	struct fixture *f = *state;
	struct vm vm = create(f, "web", true);
	struct request q;

	assert_int_equal(vm.slot, 0); /* so that only the tap's name can lead to slot 2 */
	lose_every_cache(f, &vm);
	vm = row(f, "web");
	assert_int_equal(ledger(f, &vm, NULL), 0);
	assert_string_equal(vm.runtime.tap, "bgr2");

	assert_int_equal(cleanup(f, &vm), 0);
	assert_int_equal(fake_helper_count(f->fake, OP_NAT_REMOVE), 1);
	assert_true(fake_helper_request(f->fake, 0, &q));
	assert_int_equal(q.op->code, OP_NAT_REMOVE);
	assert_int_equal(q.slot, 2);
	assert_false(fake_helper_has(f->fake, 2, OBJ_NAT));
}

/* The same row as a user meets it: the VM is stopped, and nothing of it is left. */
static void nat_of_an_older_row_is_released_by_stop(void **state)
{
	struct fixture *f = *state;
	struct vm vm = create(f, "web", true);
	struct operation o = operation(f);
	struct error e = { 0 };
	bool already, forced;

	lose_every_cache(f, &vm);
	assert_int_equal(vm_stop(&f->c, &o, "web", 0, &already, &forced, &e), 0);
	assert_false(already);
	assert_nothing_left(f, "web", VM_CREATED);
}

/* A failed removal must leave a record of the NAT rule, even if no ledger ever had it. */
static void nat_that_can_not_be_removed_stays_known(void **state)
{
	struct fixture *f = *state;
	struct vm vm = create(f, "web", true);
	struct operation o = operation(f), again = operation(f);
	struct error e = { 0 };
	bool already, forced;

	lose_every_cache(f, &vm);
	fake_helper_fail(f->fake, OP_NAT_REMOVE, ST_KERNEL, 1);
	assert_int_equal(vm_stop(&f->c, &o, "web", 0, &already, &forced, &e), -1);
	vm = row(f, "web");
	assert_int_equal(vm.state, VM_DEGRADED);
	assert_string_equal(vm.runtime.tap, "bgr2");
	assert_true(has_row(f, &vm, OBJ_NAT));
	assert_int_equal(vm_stop(&f->c, &again, "web", 0, &already, &forced, &e), 0);
	assert_nothing_left(f, "web", VM_CREATED);
}

static void nat_that_can_not_be_added_leaves_the_vm_as_it_was(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	must_start(f, "web");
	struct vm vm = row(f, "web");
	fake_helper_fail(f->fake, OP_NAT_ADD, ST_KERNEL, 1);
	assert_int_equal(apply(f, &vm, true), -1);
	vm = row(f, "web");
	assert_false(vm.nat);
	assert_int_equal(vm.state, VM_RUNNING);
	assert_false(has_row(f, &vm, OBJ_NAT));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nat_apply_config_change_noop_when_flag_unchanged),
		TEST(nat_apply_config_change_noop_when_vm_not_alive),
		TEST(nat_apply_config_change_toggles_nat_when_alive),
		TEST(nat_cleanup_noop_when_nat_disabled),
		TEST(nat_cleanup_noop_when_runtime_handles_missing),
		TEST(nat_cleanup_reverses_nat_when_runtime_present),
		TEST(nat_cleanup_falls_back_to_runtime_tap_device),
		TEST(nat_of_an_older_row_is_released_by_stop),
		TEST(nat_that_can_not_be_removed_stays_known),
		TEST(nat_that_can_not_be_added_leaves_the_vm_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
