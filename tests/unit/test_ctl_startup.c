/* Tests the start-up reconciliation: running VMs are adopted, ended ones released, orphans removed,
 * and interrupted operations finished. */
#include "common/clock.h"
#include "controller/lifecycle/operation.h"
#include "controller/objects/object.h"
#include "controller/recovery/startup.h"
#include "tests/unit/ctl_fixture.h"

/* The fake counts a second HELLO as a violation.  The test's own second HELLO is expected; only
 * later ones count. */
static size_t expected_violations;

static void hello(struct fixture *f)
{
	close_all(f);
	open_all(f);
	assert_int_equal(helper_hello(f->c.helper), 0);
	expected_violations = fake_helper_violations(f->fake);
	fake_helper_forget(f->fake);
}

static void must_reconcile(struct fixture *f)
{
	struct error e = { 0 };

	if (startup_reconcile(&f->c, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	assert_int_equal(fake_helper_violations(f->fake), expected_violations);
}

static void restart(struct fixture *f)
{
	hello(f);
	must_reconcile(f);
}

static size_t removals(struct fixture *f)
{
	size_t n = 0;
	struct request q;

	for (size_t i = 0; fake_helper_request(f->fake, i, &q); i++)
		n += q.op->effect == EFFECT_REMOVE;
	return n;
}

static void assert_gone(struct fixture *f, const char *name, enum vm_state state)
{
	struct vm vm = row(f, name);

	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
	assert_int_equal(ledger(f, &vm, NULL), 0);
	assert_true(runtime_is_empty(&vm));
	assert_string_equal(vm_state_name(vm.state), vm_state_name(state));
}

static int count_op(void *arg, const uint8_t op[ID_LEN], const char *verb, const uint8_t vm[ID_LEN])
{
	(void)op, (void)verb, (void)vm;
	++*(unsigned *)arg;
	return 0;
}

static unsigned unfinished(struct fixture *f)
{
	struct error e = { 0 };
	unsigned n = 0;

	assert_int_equal(db_op_unfinished(f->c.db, count_op, &n, &e), 0);
	return n;
}

/* Begin an operation whose process died right after this row. */
static void cut(struct fixture *f, enum operation_verb verb, struct vm *vm)
{
	struct operation o = operation(f);
	struct error e = { 0 };

	assert_int_equal(operation_begin_state(&f->c, &o, verb, vm, vm->state, &e), 0);
}

/* ---- adopt ---- */

static void running_vms_are_adopted(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", true);
	must_start(f, "web");
	pid_t pid = fake_helper_vmm(f->fake, 0);
	restart(f);
	assert_int_equal(removals(f), 0);
	assert_int_equal(fake_helper_vmm(f->fake, 0), pid);
	struct vm vm = row(f, "web");
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(vm.runtime.pid, pid);
	_cleanup_close_ int pidfd = watch_pidfd(f->c.watch, vm.id);
	assert_true(pidfd_alive(pidfd));
	assert_int_equal(ledger(f, &vm, NULL), OBJ_COUNT - 1);
	assert_int_equal(unfinished(f), 0);
}

static void an_adopted_vm_still_ends_and_stops(void **state)
{
	struct fixture *f = *state;
	struct operation o = operation(f);
	struct error e = { 0 };
	bool already, forced;

	(void)create(f, "a", true);
	(void)create(f, "b", true);
	must_start(f, "a");
	must_start(f, "b");
	restart(f);
	fake_helper_vmm_exit(f->fake, 0);
	for (int i = 0; i < 6000 && row(f, "a").state != VM_STOPPED; i++)
		pump(f, 10);
	assert_string_equal(row(f, "a").reason, "the VMM ended");
	assert_int_equal(vm_stop(&f->c, &o, "b", 0, &already, &forced, &e), 0);
	assert_false(already || forced);
	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
}

static void elements_that_were_flushed_are_put_back(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", true);
	must_start(f, "web");
	fake_helper_drop(f->fake, OBJ_GUEST, 0);
	fake_helper_drop(f->fake, OBJ_NAT, 0);
	restart(f);
	assert_true(fake_helper_has(f->fake, 0, OBJ_GUEST));
	assert_true(fake_helper_has(f->fake, 0, OBJ_NAT));
	assert_int_equal(fake_helper_count(f->fake, OP_TAP_CREATE), 0);
	assert_int_equal(row(f, "web").state, VM_RUNNING);
}

static void a_lost_tap_is_degraded_and_can_be_stopped(void **state)
{
	struct fixture *f = *state;
	struct operation o = operation(f);
	struct error e = { 0 };
	bool already, forced;

	(void)create(f, "web", false);
	must_start(f, "web");
	fake_helper_drop(f->fake, OBJ_TAP, 0);
	restart(f);
	struct vm vm = row(f, "web");
	assert_int_equal(vm.state, VM_DEGRADED);
	assert_non_null(strstr(vm.reason, "tap is gone"));
	assert_true(fake_helper_vmm(f->fake, 0) > 0);
	assert_int_equal(start(f, "web", NULL, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_int_equal(vm_stop(&f->c, &o, "web", 0, &already, &forced, &e), 0);
	assert_gone(f, "web", VM_STOPPED);
}

static void a_disk_that_the_kernel_gave_up_is_degraded(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	must_start(f, "web");
	fake_helper_spoil_disk(f->fake, 0);
	restart(f);
	assert_int_equal(row(f, "web").state, VM_DEGRADED);
	assert_non_null(strstr(row(f, "web").reason, "given up by the kernel"));
	assert_true(fake_helper_vmm(f->fake, 0) > 0);
}

static void nat_follows_the_flag(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "off", false);
	(void)create(f, "on", true);
	must_start(f, "off");
	must_start(f, "on");
	struct vm off = row(f, "off");
	fake_helper_put(f->fake, OBJ_NAT, off.slot, off.generation, OWNER);
	cut(f, OPERATION_SET, &off);
	restart(f);
	assert_false(fake_helper_has(f->fake, off.slot, OBJ_NAT));
	assert_true(fake_helper_has(f->fake, row(f, "on").slot, OBJ_NAT));
	assert_int_equal(row(f, "off").state, VM_RUNNING);
	assert_int_equal(unfinished(f), 0);
}

/* ---- release ---- */

static void a_vmm_that_died_meanwhile_is_released(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", true);
	must_start(f, "web");
	fake_helper_vmm_exit(f->fake, 0);
	restart(f);
	assert_gone(f, "web", VM_STOPPED);
	assert_string_equal(row(f, "web").reason, "the VMM ended");
}

static void after_a_reboot_nothing_is_adopted(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", true);
	must_start(f, "web");
	f->c.boot_id[0] = 'f';
	restart(f);
	assert_gone(f, "web", VM_STOPPED);
	assert_string_equal(row(f, "web").reason, "the host was started again");
}

static void a_process_that_only_has_the_pid_is_not_adopted(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "web", true);
	must_start(f, "web");
	struct vm vm = row(f, "web");
	vm.runtime.pid_start++;
	assert_int_equal(db_vm_update(f->c.db, &vm, &e), 0);
	restart(f);
	assert_gone(f, "web", VM_STOPPED);
}

static void a_degraded_vm_is_released_at_last(void **state)
{
	struct fixture *f = *state;
	struct operation o = operation(f);
	struct error e = { 0 };
	bool already, forced;

	(void)create(f, "web", true);
	must_start(f, "web");
	fake_helper_fail(f->fake, OP_TAP_RETIRE, ST_KERNEL, 1);
	assert_int_equal(vm_stop(&f->c, &o, "web", 0, &already, &forced, &e), -1);
	restart(f);
	assert_gone(f, "web", VM_STOPPED);
}

/* An administrator lowered the number of slots under running VMs: the guests run on, and no error
 * is reported. */
static void a_slot_that_is_not_configured_any_more_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "a", true);
	(void)create(f, "b", true);
	must_start(f, "b");
	f->c.config.slots = 1;
	hello(f);
	assert_int_equal(startup_reconcile(&f->c, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_non_null(strstr(e.why, "1 slots, but VM 1001/b has slot 1"));
	assert_non_null(strstr(e.hint, "at least 2"));
	assert_int_equal(fake_helper_total(f->fake), 0);
	assert_int_equal(row(f, "b").state, VM_RUNNING);
	f->c.config.slots = 2;
	restart(f);
	assert_int_equal(removals(f), 0);
	assert_int_equal(row(f, "b").state, VM_RUNNING);
}

static void a_vm_at_rest_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct request q;

	(void)create(f, "web", true);
	restart(f);
	for (size_t i = 0; fake_helper_request(f->fake, i, &q); i++)
		assert_int_equal(q.op->scope, SCOPE_HOST);
	assert_int_equal(row(f, "web").state, VM_CREATED);
}

/* An object under the slot and generation of a stopped VM whose ledger does not have it, for
 * example of an interrupted probe. */
static void unknown_objects_of_a_stopped_vm_are_removed(void **state)
{
	struct fixture *f = *state;
	struct vm vm = create(f, "web", false);

	fake_helper_put(f->fake, OBJ_VMM, vm.slot, vm.generation, OWNER);
	fake_helper_put(f->fake, OBJ_NAT, vm.slot, vm.generation, OWNER);
	restart(f);
	assert_gone(f, "web", VM_CREATED);
}

/* ---- orphans ---- */

static void orphans_are_removed_and_their_generations_are_skipped(void **state)
{
	struct fixture *f = *state;
	struct request q;

	for (enum object k = 1; k < OBJ_COUNT; k++)
		fake_helper_put(f->fake, k, 1, 7, 4242);
	hello(f);
	must_reconcile(f);
	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
	for (size_t i = 0; fake_helper_request(f->fake, i, &q); i++)
		if (q.op->scope == SCOPE_SLOT) {
			assert_int_equal(q.slot, 1);
			assert_int_equal(q.generation, 7);
			assert_int_equal(q.owner, 4242);
		}
	for (unsigned i = 0; i < SLOTS - 1; i++)
		assert_int_not_equal(create(f, "", false).slot, 1);
	struct vm last = create(f, "last", false);
	assert_int_equal(last.slot, 1);
	assert_true(last.generation > 7);
}

/* The orphan's tap was removed: its flows are forgotten with the other objects. */
static void an_orphan_without_a_tap_has_its_flows_forgotten(void **state)
{
	struct fixture *f = *state;

	fake_helper_put(f->fake, OBJ_GUEST, 1, 7, 4242);
	fake_helper_fail(f->fake, OP_TAP_RETIRE, ST_KERNEL, 1);
	hello(f);
	must_reconcile(f);
	assert_true(fake_helper_has(f->fake, 1, OBJ_GUEST)); /* it keeps the slot until then */
	restart(f);
	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
	assert_int_equal(fake_helper_count(f->fake, OP_TAP_RETIRE), 1);
}

/* ---- a database that is older than the host ---- */

/* Make the files of a slot, with the owner file of the VM that made them. */
static void put_files(struct fixture *f, uint32_t slot, const uint8_t vm[ID_LEN],
		      uint32_t generation)
{
	char path[200], id[ID_HEX];

	path_slot_state(&f->c.config, slot, "", path);
	(void)mkdir(path, 0700);
	path_slot_state(&f->c.config, slot, STORAGE_OWNER, path);
	FILE *mark = fopen(path, "w");
	assert_non_null(mark);
	format_id(vm, id);
	(void)fprintf(mark, "%s %u 4242\n", id, generation);
	(void)fclose(mark);
}

static void a_vm_whose_slot_has_newer_files_is_not_started(void **state)
{
	struct fixture *f = *state;
	struct operation o = operation(f);
	const uint8_t other[ID_LEN] = { 7 };
	struct error e = { 0 };

	struct vm vm = create(f, "web", true);
	put_files(f, vm.slot, other, vm.generation + 3);
	/* The first start refuses it, */
	assert_int_equal(start(f, "web", NULL, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_non_null(strstr(e.why, "another VM"));
	assert_true(e.hint[0]);
	assert_nothing_left(f, "web", VM_CREATED);
	/* and a restart of the service reports it. */
	restart(f);
	assert_string_equal(row(f, "web").reason, STORAGE_OLDER);
	assert_gone(f, "web", VM_FAILED);
	assert_int_equal(start(f, "web", NULL, &e), -1);
	/* The VM can be deleted, but the files are another VM's. */
	unsigned removes = host.removes;
	assert_int_equal(vm_delete(&f->c, &o, "web", &e), 0);
	assert_int_equal(host.removes, removes);
	/* The files' generation is remembered, */
	for (unsigned i = 0; i < SLOTS - 1; i++)
		assert_int_not_equal(create(f, "", false).slot, vm.slot);
	/* and no VM gets the slot in that generation again. */
	assert_int_equal(create(f, "last", false).generation, vm.generation + 4);
}

static void files_without_a_row_stay(void **state)
{
	struct fixture *f = *state;
	const uint8_t lost[ID_LEN] = { 7 };
	unsigned removes;

	struct vm web = create(f, "web", false);
	put_files(f, web.slot, web.id, web.generation);
	put_files(f, 2, lost, 9);
	removes = host.removes;
	restart(f);
	assert_int_equal(host.removes, removes);
	assert_int_equal(row(f, "web").state, VM_CREATED);
	must_start(f, "web");
	assert_int_equal(create(f, "a", false).slot, 1);
	assert_int_equal(create(f, "b", false).slot, 3);
	struct vm last = create(f, "c", false);
	assert_int_equal(last.slot, 2);
	assert_int_equal(last.generation, 10);
}

/* The VM was stopped and started again since the copy of the database: the VMM is not that of the
 * row. */
static void a_vmm_that_the_row_does_not_know_is_released(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "runs", true);
	must_start(f, "runs");
	(void)create(f, "rests", true);
	must_start(f, "rests");
	struct vm vm = row(f, "runs");
	vm.runtime.pid_start--;
	assert_int_equal(db_vm_update(f->c.db, &vm, &e), 0);
	vm = row(f, "rests");
	assert_int_equal(db_ledger_settle(f->c.db, &vm, NULL, 0, &e), 0);
	vm_clear_runtime(&vm);
	vm.state = VM_STOPPED;
	assert_int_equal(db_vm_update(f->c.db, &vm, &e), 0);
	restart(f);
	assert_gone(f, "runs", VM_STOPPED);
	assert_gone(f, "rests", VM_STOPPED);
	assert_int_equal(unfinished(f), 0);
	must_start(f, "runs");
	must_start(f, "rests");
}

static void an_orphan_that_can_not_be_removed_does_not_stop_the_service(void **state)
{
	struct fixture *f = *state;

	fake_helper_put(f->fake, OBJ_TAP, 1, 7, 4242);
	hello(f);
	fake_helper_fail(f->fake, OP_TAP_RETIRE, ST_DENIED, 1);
	must_reconcile(f);
	(void)create(f, "web", false);
	must_start(f, "web");
}

/* VMMs that were killed and do not exit do not hold up the start, however many they are: the
 * supervisor waits for 20 s. */
static void vmms_that_do_not_exit_share_one_wait(void **state)
{
	struct fixture *f = *state;

	for (uint32_t slot = 0; slot < SLOTS; slot++)
		fake_helper_put(f->fake, OBJ_VMM, slot, 7, 4242);
	hello(f);
	fake_helper_fail(f->fake, OP_VMM_KILL, ST_BUSY, UINT32_MAX);
	fake_helper_delay(f->fake, OP_VMM_KILL, 100);
	const uint64_t began = clock_boot_ns();
	must_reconcile(f);
	assert_in_range((clock_boot_ns() - began) / 1000000, 0, 15000);
	assert_int_equal(fake_helper_objects(f->fake, OBJ_VMM), SLOTS);
	fake_helper_fail(f->fake, OP_VMM_KILL, ST_OK, 0);
	fake_helper_delay(f->fake, OP_VMM_KILL, 0);
	restart(f);
	assert_int_equal(fake_helper_objects(f->fake, OBJ_VMM), 0);
}

/* ---- interrupted operations ---- */

/* Set the state right after the plan's commit, with the first @made objects. */
static struct vm cut_start(struct fixture *f, size_t made)
{
	struct vm vm = create(f, "web", true);
	enum object kinds[OBJ_COUNT];
	struct operation o = operation(f);
	struct error e = { 0 };

	cut(f, OPERATION_START, &vm);
	vm.state = VM_STARTING;
	size_t n = objects_planned(&vm, kinds);
	assert_int_equal(n, OBJ_COUNT - 1);
	assert_int_equal(db_ledger_plan(f->c.db, &vm, kinds, n, &o, &e), 0);
	for (size_t i = 0; i < made; i++)
		fake_helper_put(f->fake, kinds[i], vm.slot, vm.generation, OWNER);
	return vm;
}

static void a_start_cut_short_anywhere_is_rolled_back(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	for (size_t made = 0; made < OBJ_COUNT; made++) {
		(void)cut_start(f, made);
		restart(f);
		assert_gone(f, "web", VM_CREATED);
		assert_int_equal(unfinished(f), 0);
		struct operation o = operation(f);
		assert_int_equal(vm_delete(&f->c, &o, "web", &e), 0);
	}
}

static void a_stop_cut_short_is_finished(void **state)
{
	struct fixture *f = *state;
	static const enum operation_verb verbs[] = { OPERATION_STOP, OPERATION_KILL };

	(void)create(f, "web", true);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		must_start(f, "web");
		struct vm vm = row(f, "web");
		cut(f, verbs[i], &vm);
		restart(f);
		assert_gone(f, "web", VM_STOPPED);
		assert_int_equal(unfinished(f), 0);
	}
}

static void an_end_that_was_never_recorded_stops_nothing_later(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "web", true);
	must_start(f, "web");
	struct vm vm = row(f, "web");
	char op[ID_HEX];
	memcpy(op, vm.op, sizeof(op));
	cut(f, OPERATION_STOP, &vm);
	memcpy(vm.op, op, sizeof(op)); /* a later start has changed the row */
	assert_int_equal(db_vm_update(f->c.db, &vm, &e), 0);
	restart(f);
	assert_int_equal(row(f, "web").state, VM_RUNNING);
	assert_int_equal(removals(f), 0);
	assert_int_equal(unfinished(f), 0);
}

static void a_delete_and_a_create_cut_short_end_without_a_row(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct vm vm;

	(void)create(f, "a", true);
	must_start(f, "a");
	vm = row(f, "a");
	cut(f, OPERATION_DELETE, &vm);
	vm = create(f, "b", true);
	cut(f, OPERATION_CREATE, &vm);
	restart(f);
	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
	assert_int_equal(db_vm_find(f->c.db, &f->caller, "a", &vm, &e), -1);
	assert_int_equal(db_vm_find(f->c.db, &f->caller, "b", &vm, &e), -1);
	assert_int_equal(host.removes, 2);
	assert_int_equal(unfinished(f), 0);
}

static void a_role_that_does_not_answer_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	hello(f);
	fake_helper_die(f->fake, ROLE_BLK);
	assert_int_equal(startup_reconcile(&f->c, &e), -1);
	assert_int_equal(e.code, FAIL_HOST);
	assert_non_null(strstr(e.why, "blk"));
}

static void nonsense_at_watch(void *arg, const struct request *q)
{
	if (q->op->code == OP_VMM_WATCH)
		fake_helper_nonsense(arg, ROLE_SPAWN, "?", 1);
}

/* Without the role the living VMMs are not known, and none may be taken for dead. */
static void a_role_that_ends_causes_no_release(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "a", true);
	(void)create(f, "b", true);
	must_start(f, "a");
	must_start(f, "b");
	hello(f);
	fake_helper_hook(f->fake, nonsense_at_watch, f->fake);
	assert_int_equal(startup_reconcile(&f->c, &e), -1);
	fake_helper_hook(f->fake, NULL, NULL);
	assert_int_equal(removals(f), 0);
	assert_int_equal(row(f, "a").state, VM_RUNNING);
	assert_int_equal(row(f, "b").state, VM_RUNNING);
}

static void a_failed_query_of_living_vmms_is_repeated(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "a", true);
	must_start(f, "a");
	hello(f);
	fake_helper_fail(f->fake, OP_VMM_WATCH, ST_KERNEL, 2);
	must_reconcile(f);
	assert_int_equal(removals(f), 0);
	assert_int_equal(row(f, "a").state, VM_RUNNING);
}

static void a_release_that_failed_is_finished(void **state)
{
	struct fixture *f = *state;
	struct operation o = operation(f);
	struct error e = { 0 };
	bool already;

	(void)create(f, "a", true);
	must_start(f, "a");
	fake_helper_fail(f->fake, OP_VMM_KILL, ST_KERNEL, 1);
	assert_int_equal(vm_kill(&f->c, &o, "a", &already, &e), -1);
	restart(f);
	assert_gone(f, "a", VM_STOPPED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(running_vms_are_adopted),
		TEST(an_adopted_vm_still_ends_and_stops),
		TEST(elements_that_were_flushed_are_put_back),
		TEST(a_lost_tap_is_degraded_and_can_be_stopped),
		TEST(a_disk_that_the_kernel_gave_up_is_degraded),
		TEST(nat_follows_the_flag),
		TEST(a_vmm_that_died_meanwhile_is_released),
		TEST(after_a_reboot_nothing_is_adopted),
		TEST(a_process_that_only_has_the_pid_is_not_adopted),
		TEST(a_degraded_vm_is_released_at_last),
		TEST(a_slot_that_is_not_configured_any_more_is_an_error),
		TEST(a_vm_at_rest_is_left_alone),
		TEST(unknown_objects_of_a_stopped_vm_are_removed),
		TEST(orphans_are_removed_and_their_generations_are_skipped),
		TEST(an_orphan_without_a_tap_has_its_flows_forgotten),
		TEST(a_vm_whose_slot_has_newer_files_is_not_started),
		TEST(files_without_a_row_stay),
		TEST(a_vmm_that_the_row_does_not_know_is_released),
		TEST(an_orphan_that_can_not_be_removed_does_not_stop_the_service),
		TEST(vmms_that_do_not_exit_share_one_wait),
		TEST(a_start_cut_short_anywhere_is_rolled_back),
		TEST(a_stop_cut_short_is_finished),
		TEST(an_end_that_was_never_recorded_stops_nothing_later),
		TEST(a_delete_and_a_create_cut_short_end_without_a_row),
		TEST(a_role_that_does_not_answer_is_an_error),
		TEST(a_role_that_ends_causes_no_release),
		TEST(a_failed_query_of_living_vmms_is_repeated),
		TEST(a_release_that_failed_is_finished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
