/* Tests what the controller does without a request: restart policies, stops of idle VMs, repeated
 * releases.  The test runs the policy's passes at times of its own. */
#include "tests/unit/ctl_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "common/clock.h"
#include "controller/observe/usage.h"
#include "controller/db/connection.h"
#include "controller/lifecycle/drain.h"
#include "controller/lifecycle/operation.h"
#include "controller/policy/actions.h"
#include "controller/policy/housekeeping.c"
#include "controller/policy/idle.h"
#include "controller/vmm/watch.h"

#define S 1000000000ull

static uint64_t now = 1000 * S;

static bool has_jobs(struct housekeeping *k)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&k->lock);
	for (size_t i = 0; i < SLOT_MAX; i++)
		if (k->slots[i].job)
			return true;
	return false;
}

static void pass(struct fixture *f, unsigned after_s)
{
	while (has_jobs(f->c.housekeeping)) /* one is over just after the VM's lock is free */
		(void)poll(NULL, 0, 1);
	now += after_s * S;
	housekeeping_pass(f->c.housekeeping, now);
}

/* Write the counters that the kernel would show of the tap of slot 0. */
static void put_bytes(struct fixture *f, unsigned long n)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/net_dev", f->dir);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	(void)fprintf(file, "  bgr0: %lu 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0\n", n);
	(void)fclose(file);
	if (f->c.host.net_dev <= 0)
		f->c.host.net_dev = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(f->c.host.net_dev >= 0);
}

static int keep_setup(void **state)
{
	struct fixture *f;

	(void)setup(state);
	f = *state;
	put_bytes(f, 0);
	f->c.idle = idle_open();
	f->c.housekeeping = housekeeping_open(&f->c);
	(void)snprintf(f->c.config.cgroup_dir, sizeof(f->c.config.cgroup_dir), "%s", f->dir);
	return 0;
}

static int keep_teardown(void **state)
{
	struct fixture *f = *state;
	struct housekeeping *k = f->c.housekeeping;
	struct idle *idle = f->c.idle;

	(void)close(f->c.host.net_dev);
	(void)teardown(state);
	housekeeping_close(k);
	idle_close(idle);
	return 0;
}

static void policy(struct fixture *f, const char *name, enum restart_policy p, uint32_t max)
{
	struct operation o = operation(f);
	struct call_vm_set a = { .restart = (uint64_t)p + 1, .restart_max = max };
	struct error e = { 0 };

	(void)snprintf(a.vm, sizeof(a.vm), "%s", name);
	if (vm_set(&f->c, &o, &a, &e) < 0)
		fail_msg("set: %s", e.why);
}

static void must_stop(struct fixture *f, const char *name)
{
	struct operation o = operation(f);
	bool already, forced;
	struct error e = { 0 };

	if (vm_stop(&f->c, &o, name, 0, &already, &forced, &e) < 0)
		fail_msg("stop: %s", e.why);
}

static bool becomes(struct fixture *f, const char *name, enum vm_state s)
{
	for (int i = 0; i < 6000; i++) {
		pump(f, 10);
		if (row(f, name).state == s) {
			/* The operation's last commit comes after the state's: once we get the
			 * lock, the operation is done. */
			struct operation o = operation(f);
			struct error e = { 0 };
			struct vm vm;
			return operation_enter(&f->c, &o, name, false, &vm, &e) == 0 &&
			       operation_leave(&f->c, &o, &vm, 0, &e) == 0;
		}
	}
	return false;
}

/* Start a VM whose VMM then ends by itself; the console's last line is @last. */
static void run_and_end(struct fixture *f, const char *last)
{
	char path[160];

	fake_helper_vmm_exit(f->fake, 0);
	(void)snprintf(path, sizeof(path), "%s/state/consoles/0.log", f->dir);
	FILE *console = fopen(path, "ae");
	assert_non_null(console);
	(void)fprintf(console, "%s\n", last);
	(void)fclose(console);
	assert_true(becomes(f, "web", VM_STOPPED));
}

static void a_vm_without_a_policy_stays_stopped(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	must_start(f, "web");
	assert_true(row(f, "web").wanted);
	run_and_end(f, "Kernel panic");
	assert_false(row(f, "web").wanted);
	pass(f, 0);
	pass(f, 100);
	assert_int_equal(host.boots, 1);
	/* Nor does a policy that it gets later start it. */
	policy(f, "web", RESTART_ALWAYS, 0);
	pass(f, 0);
	pass(f, 100);
	assert_int_equal(host.boots, 1);
}

static void policy_always_restarts_except_after_a_stop(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	policy(f, "web", RESTART_ALWAYS, 0);
	pass(f, 100);
	assert_int_equal(host.boots, 0); /* no user has started it yet */
	must_start(f, "web");
	run_and_end(f, "reboot: Power down");
	pass(f, 0);
	pass(f, 2);
	assert_true(becomes(f, "web", VM_RUNNING));
	assert_int_equal(host.boots, 2);
	/* The wait after a second exit in a row is longer. */
	run_and_end(f, "");
	pass(f, 0);
	pass(f, 1);
	assert_int_equal(row(f, "web").state, VM_STOPPED);
	pass(f, 2);
	assert_true(becomes(f, "web", VM_RUNNING));
	/* A stop also holds for a VM that waits for its restart. */
	run_and_end(f, "");
	must_stop(f, "web");
	pass(f, 0);
	pass(f, 100);
	assert_int_equal(row(f, "web").state, VM_STOPPED);
	assert_int_equal(host.boots, 3);
}

static void policy_on_failure_depends_on_the_guests_end(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	policy(f, "web", RESTART_ON_FAILURE, 0);
	must_start(f, "web");
	run_and_end(f, "Kernel panic - not syncing");
	pass(f, 0);
	pass(f, 2);
	assert_true(becomes(f, "web", VM_RUNNING));
	run_and_end(f, "[   12.3] reboot: Power down");
	assert_false(row(f, "web").wanted);
	pass(f, 0);
	pass(f, 100);
	assert_int_equal(row(f, "web").state, VM_STOPPED);
	assert_int_equal(host.boots, 2);
}

/* A reboot is no exit that a policy decides about: the VM goes on, at once. */
static void a_guest_that_reboots_is_started_again(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	must_start(f, "web");
	run_and_end(f, "[    9.1] reboot: Power down\n[   12.3] reboot: Restarting system");
	struct vm vm = row(f, "web");
	assert_true(vm.rebooted && vm_starts_again(&vm));
	assert_string_equal(vm.reason, "its guest rebooted");
	policy(f, "web", RESTART_ON_FAILURE, 1); /* does not cancel it */
	pass(f, 0);
	assert_true(becomes(f, "web", VM_RUNNING));
	assert_int_equal(host.boots, 2);
	assert_false(row(f, "web").rebooted);
	/* One that reboots in a row waits, for its starts are work of the host.  Their number is
	 * not that of failures. */
	run_and_end(f, "reboot: Restarting system");
	pass(f, 0);
	pass(f, 1);
	assert_int_equal(row(f, "web").state, VM_STOPPED);
	pass(f, 2);
	assert_true(becomes(f, "web", VM_RUNNING));
	/* A stop also holds for a VM that waits for its restart. */
	run_and_end(f, "reboot: Restarting system");
	must_stop(f, "web");
	vm = row(f, "web");
	assert_false(vm.rebooted || vm_starts_again(&vm));
	pass(f, 0);
	pass(f, 100);
	assert_int_equal(row(f, "web").state, VM_STOPPED);
	assert_int_equal(host.boots, 3);
}

/* Its starts in a row have an end, whatever its policy. */
static void a_guest_that_only_reboots_is_given_up(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	must_start(f, "web");
	for (unsigned i = 0; i < VM_REBOOTS_MOST; i++) {
		run_and_end(f, "reboot: Restarting system");
		pass(f, 0);
		pass(f, 60);
		assert_true(becomes(f, "web", VM_RUNNING));
	}
	run_and_end(f, "reboot: Restarting system");
	pass(f, 0);
	pass(f, 60);
	for (int i = 0; i < 6000 && row(f, "web").wanted; i++)
		pump(f, 10);
	assert_false(row(f, "web").wanted);
	assert_string_equal(row(f, "web").reason,
			    "its guest rebooted, and 10 starts in a row did not help");
	assert_int_equal(host.boots, 1 + VM_REBOOTS_MOST);
}

/* A cycle starts one VM: that which waits for the longest time, not the first by its name. */
static void the_longest_wait_ends_first(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	(void)create(f, "zeta", false);
	policy(f, "zeta", RESTART_ALWAYS, 0);
	must_start(f, "web");
	must_start(f, "zeta");
	fake_helper_vmm_exit(f->fake, 1);
	assert_true(becomes(f, "zeta", VM_STOPPED));
	pass(f, 0);
	run_and_end(f, "reboot: Restarting system");
	pass(f, 5);
	assert_true(becomes(f, "zeta", VM_RUNNING));
	assert_int_equal(row(f, "web").state, VM_STOPPED);
	pass(f, 0);
	assert_true(becomes(f, "web", VM_RUNNING));
}

/* Firecracker ends at a reset, which is the guest's only way to power off. */
static void a_reboot_in_firecracker_is_an_end(void **state)
{
	struct fixture *f = *state;

	host.firecracker = true;
	(void)create(f, "web", false);
	must_start(f, "web");
	run_and_end(f, "reboot: Restarting system");
	assert_false(row(f, "web").wanted);
	pass(f, 0);
	pass(f, 100);
	assert_int_equal(host.boots, 1);
}

/* A reboot whose start fails is tried again. */
static void a_reboot_that_fails_is_repeated(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	must_start(f, "web");
	host.boot_fails = true;
	run_and_end(f, "reboot: Restarting system");
	pass(f, 0);
	for (int i = 0; i < 6000 && !strstr(row(f, "web").reason, "not started again: no answer");
	     i++)
		pump(f, 10);
	assert_true(becomes(f, "web", VM_STOPPED));
	assert_true(row(f, "web").rebooted);
	host.boot_fails = false;
	pass(f, 0);
	pass(f, 5);
	assert_true(becomes(f, "web", VM_RUNNING));
}

/* The last such line counts. */
static void the_reason_of_an_end_is_the_guests(void **state)
{
	static const char *const rows[][2] = {
		{ "reboot: Power down", "its guest powered off" },
		{ "reboot: System halted", "its guest halted" },
		{ "Kernel panic - not syncing: x", "the kernel of its guest panicked" },
		{ "nothing of that", "the VMM ended" },
	};
	struct fixture *f = *state;

	(void)create(f, "web", false);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		must_start(f, "web");
		run_and_end(f, rows[i][0]);
		assert_string_equal(row(f, "web").reason, rows[i][1]);
	}
}

static void restarts_end_after_the_limit_in_a_row(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	policy(f, "web", RESTART_ON_FAILURE, 1);
	must_start(f, "web");
	run_and_end(f, "");
	pass(f, 0);
	pass(f, 2);
	assert_true(becomes(f, "web", VM_RUNNING));
	/* A VM that ran for a minute starts a new count. */
	pass(f, 0);
	pass(f, 61);
	run_and_end(f, "");
	pass(f, 0);
	pass(f, 2);
	assert_true(becomes(f, "web", VM_RUNNING));
	run_and_end(f, "");
	pass(f, 0);
	pass(f, 2);
	for (int i = 0; i < 6000 && row(f, "web").wanted; i++)
		pump(f, 10);
	assert_false(row(f, "web").wanted);
	assert_non_null(strstr(row(f, "web").reason, "not started again"));
	pass(f, 100);
	assert_int_equal(host.boots, 3);
}

static void a_failed_restart_is_reported_and_repeated(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	policy(f, "web", RESTART_ALWAYS, 0);
	must_start(f, "web");
	host.boot_fails = true;
	run_and_end(f, "");
	pass(f, 0);
	pass(f, 2);
	for (int i = 0; i < 6000 && !strstr(row(f, "web").reason, "not started again: no answer");
	     i++)
		pump(f, 10);
	assert_non_null(strstr(row(f, "web").reason, "not started again: no answer"));
	assert_true(row(f, "web").wanted);
	assert_true(becomes(f, "web", VM_STOPPED));
	host.boot_fails = false;
	pass(f, 0);
	pass(f, 5);
	assert_true(becomes(f, "web", VM_RUNNING));
}

static void vms_are_restarted_one_by_one(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct vm vm;

	for (int i = 0; i < 3; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "vm%d", i);
		(void)create(f, name, false);
		policy(f, name, RESTART_ALWAYS, 0);
		vm = row(f, name); /* as after a restart of the host */
		vm.wanted = true;
		assert_int_equal(db_vm_update(f->c.db, &vm, &e), 0);
	}
	pass(f, 0);
	pass(f, 5);
	assert_true(becomes(f, "vm0", VM_RUNNING));
	assert_int_equal(host.boots, 1);
	pass(f, 0);
	assert_true(becomes(f, "vm1", VM_RUNNING));
	pass(f, 0);
	assert_true(becomes(f, "vm2", VM_RUNNING));
	assert_int_equal(host.boots, 3);
}

static void sql(struct fixture *f, const char *text)
{
	struct db *db = f->c.db;

	(void)pthread_mutex_lock(&db->lock);
	assert_int_equal(sqlite3_exec(db->sqlite, text, NULL, NULL, NULL), SQLITE_OK);
	(void)pthread_mutex_unlock(&db->lock);
}

/* Wait until an attempt to release the objects of slot 0 has done so and given the lock back. */
static void await_attempt(struct fixture *f, const struct vm *vm)
{
	atomic_bool *cancelled;

	for (int ms = 0; ms < 60000 && fake_helper_objects(f->fake, 0) > 0; ms += 5)
		pump(f, 5);
	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
	vm_lock_take(f->c.vm_locks, vm->id, VM_LOCK_WAIT, &cancelled);
	vm_lock_give(f->c.vm_locks, vm->id);
}

/* The database refuses to record an exit for a while, as when another program holds it.  The row
 * still says "stopping", and no operation runs. */
static void an_exit_that_was_not_recorded_is_handled_later(void **state)
{
	struct fixture *f = *state;
	struct operation o = operation(f);
	struct error e = { 0 };
	bool already, forced;

	struct vm vm = create(f, "web", false);
	policy(f, "web", RESTART_ALWAYS, 0);
	must_start(f, "web");
	sql(f, "CREATE TEMP TRIGGER held BEFORE UPDATE ON vms"
	       " WHEN NEW.state IN ('stopped', 'degraded') BEGIN SELECT RAISE(ABORT, 'held'); END");
	fake_helper_fail(f->fake, OP_TAP_RETIRE, ST_KERNEL, 1);
	assert_int_equal(vm_stop(&f->c, &o, "web", 50, &already, &forced, &e), -1);
	pump(f, 50); /* the end of the VMM is told, too */
	assert_int_equal(row(f, "web").state, VM_STOPPING);
	assert_true(fake_helper_objects(f->fake, 0) > 0);
	pass(f, 0);
	pass(f, 16);
	await_attempt(f, &vm);
	assert_int_equal(row(f, "web").state, VM_STOPPING);
	sql(f, "DROP TRIGGER held");
	pass(f, 0);
	pass(f, 14);
	assert_int_equal(row(f, "web").state, VM_STOPPING);
	pass(f, 2);
	assert_true(becomes(f, "web", VM_STOPPED));
	assert_nothing_left(f, "web", VM_STOPPED);
}

/* A VM in a long start or stop is left alone. */
static void a_locked_vm_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct operation o = operation(f);
	struct error e = { 0 };
	struct vm vm;

	(void)create(f, "web", false);
	must_start(f, "web");
	assert_int_equal(operation_enter(&f->c, &o, "web", false, &vm, &e), 0);
	vm.state = VM_STOPPING;
	assert_int_equal(db_vm_update(f->c.db, &vm, &e), 0);
	for (int i = 0; i < 10; i++)
		pass(f, 10);
	assert_int_equal(row(f, "web").state, VM_STOPPING);
	assert_true(fake_helper_objects(f->fake, 0) > 0);
	assert_int_equal(operation_leave(&f->c, &o, &vm, 0, &e), 0);
	pass(f, 0);
	pass(f, 16);
	assert_true(becomes(f, "web", VM_STOPPED));
}

static void an_unfinished_release_is_repeated(void **state)
{
	struct fixture *f = *state;
	struct operation o = operation(f);
	struct error e = { 0 };
	bool already;

	(void)create(f, "web", false);
	must_start(f, "web");
	fake_helper_fail(f->fake, OP_SNAPSHOT_REMOVE, ST_BUSY, UINT32_MAX);
	assert_int_equal(vm_kill(&f->c, &o, "web", &already, &e), -1);
	assert_int_equal(row(f, "web").state, VM_DEGRADED);
	fake_helper_fail(f->fake, OP_SNAPSHOT_REMOVE, ST_OK, 0);
	pass(f, 0);
	pass(f, 16);
	assert_true(becomes(f, "web", VM_STOPPED));
	assert_nothing_left(f, "web", VM_STOPPED);
}

/* Write the counters that the kernel would show of the VM's control group. */
static void put_cpu(struct fixture *f, const struct vm *vm, unsigned long us)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/vm", f->dir);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/vm/%u.%u.%u", f->dir, vm->slot, vm->generation,
		       vm->owner);
	(void)mkdir(path, 0700);
	(void)strcat(path, "/cpu.stat");
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	(void)fprintf(file, "usage_usec %lu\nuser_usec 1\n", us);
	(void)fclose(file);
}

static void an_idle_vm_is_stopped_and_stays_stopped(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	unsigned long us = 0;

	(void)create(f, "web", false);
	must_start(f, "web");
	struct vm vm = row(f, "web");
	vm.auto_stop_s = 60;
	vm.restart = RESTART_ALWAYS;
	assert_int_equal(db_vm_update(f->c.db, &vm, &e), 0);
	for (int i = 0; i < 10; i++, us += 5000000) { /* at work: half a processor */
		put_cpu(f, &vm, us);
		pass(f, 10);
	}
	assert_int_equal(idle_seconds(f->c.idle, &vm), 0);
	for (int i = 0; i < 5; i++, us += 100000) { /* at rest: a hundredth */
		put_cpu(f, &vm, us);
		pass(f, 10);
	}
	assert_int_equal(row(f, "web").state, VM_RUNNING);
	assert_in_range(idle_seconds(f->c.idle, &vm), 40, 50);
	pass(f, 20);
	assert_true(becomes(f, "web", VM_STOPPED));
	assert_int_equal(host.shutdowns, 1);
	pass(f, 0);
	pass(f, 100);
	assert_int_equal(row(f, "web").state, VM_STOPPED);
	assert_string_equal(row(f, "web").reason, "it was idle for 60 s");
}

/* Make a VM with an idle limit of a minute, which looks idle so far. */
static struct vm nearly_idle(struct fixture *f)
{
	struct error e = { 0 };

	(void)create(f, "web", false);
	must_start(f, "web");
	struct vm vm = row(f, "web");
	vm.auto_stop_s = 60;
	assert_int_equal(db_vm_update(f->c.db, &vm, &e), 0);
	put_cpu(f, &vm, 0);
	for (int i = 0; i < 6; i++)
		pass(f, 10);
	assert_int_equal(idle_seconds(f->c.idle, &vm), 50);
	return vm;
}

static void a_vm_that_sends_is_not_idle(void **state)
{
	struct fixture *f = *state;
	struct vm vm = nearly_idle(f);

	for (unsigned long i = 1; i < 10; i++) {
		put_bytes(f, i * 10000);
		pass(f, 10);
		assert_int_equal(idle_seconds(f->c.idle, &vm), 0);
	}
	assert_int_equal(row(f, "web").state, VM_RUNNING);
}

/* A session of the agent neither sends nor computes: the idle time begins again with it. */
static void a_vm_with_a_new_session_is_not_idle(void **state)
{
	struct fixture *f = *state;
	struct vm vm = nearly_idle(f);

	idle_use(f->c.idle, &vm, now);
	assert_int_equal(idle_seconds(f->c.idle, &vm), 0);
	pass(f, 10);
	assert_int_equal(idle_seconds(f->c.idle, &vm), 10);
	assert_int_equal(row(f, "web").state, VM_RUNNING);
	vm.started_ns++; /* of another start, and without a table: nothing happens */
	idle_use(f->c.idle, &vm, now);
	idle_use(NULL, &vm, now);
}

static void a_vm_without_counters_is_not_idle(void **state)
{
	struct fixture *f = *state;
	struct vm vm = nearly_idle(f);
	char path[200], away[208];

	(void)snprintf(path, sizeof(path), "%s/vm", f->dir);
	(void)snprintf(away, sizeof(away), "%s-away", path);
	assert_int_equal(rename(path, away), 0);
	for (int i = 0; i < 10; i++)
		pass(f, 10);
	assert_int_equal(idle_seconds(f->c.idle, &vm), 0);
	assert_int_equal(rename(away, path), 0);
	pass(f, 10);
	assert_int_equal(row(f, "web").state, VM_RUNNING);
}

/* The VM was stopped and started between two passes: samples from before do not count for the new
 * start. */
static void a_new_start_is_not_idle(void **state)
{
	struct fixture *f = *state;
	struct vm vm = nearly_idle(f);

	must_stop(f, "web");
	must_start(f, "web");
	vm = row(f, "web");
	put_cpu(f, &vm, 0);
	pass(f, 20);
	pass(f, 10);
	assert_int_equal(idle_seconds(f->c.idle, &vm), 10);
	assert_int_equal(row(f, "web").state, VM_RUNNING);
	/* A job that was queued for the earlier start does not stop it either. */
	vm_auto_stop(&f->c, vm.id);
	assert_int_equal(row(f, "web").state, VM_RUNNING);
}

/* Tick as the main loop does, until the net role gets a LIST.  Return: false if it gets none in
 * that time. */
static bool asked_within(struct fixture *f, unsigned ms)
{
	size_t before = fake_helper_count(f->fake, OP_LIST);

	for (uint64_t end = clock_boot_ns() + ms * 1000000ull; clock_boot_ns() < end;) {
		housekeeping_tick(f->c.housekeeping);
		(void)poll(NULL, 0, 10);
		if (fake_helper_count(f->fake, OP_LIST) > before)
			return true;
	}
	return false;
}

static void a_removed_object_causes_a_scan_at_once(void **state)
{
	struct fixture *f = *state;

	assert_false(asked_within(f, 1500));
	housekeeping_hurry(f->c.housekeeping);
	assert_true(asked_within(f, 5000)); /* by itself it is after 10 s */
}

/* The host shuts down; one guest ignores it.  No user asked for these ends, so the desired states
 * stay. */
static void a_drain_is_not_undone_by_a_policy(void **state)
{
	struct fixture *f = *state;
	struct operation o = operation(f);
	struct error e = { 0 };
	struct drained d;
	bool already;
	struct vm vm;

	(void)create(f, "web", false);
	(void)create(f, "rests", false);
	policy(f, "web", RESTART_ALWAYS, 0);
	must_start(f, "web");
	host.guest_obeys = true;
	assert_int_equal(host_drain(&f->c, 5000, &d, &e), 0);
	assert_int_equal(d.vms * 100 + d.killed * 10 + d.left, 100);
	assert_int_equal(host.shutdowns, 1);
	assert_nothing_left(f, "web", VM_STOPPED);
	assert_string_equal(row(f, "web").reason, "the host was shut down");
	assert_true(row(f, "web").wanted);
	assert_int_equal(vm_start(&f->c, &o, "web", &already, &vm, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_non_null(strstr(e.why, "shut down"));

	f->c.draining = false; /* the next controller */
	pass(f, 0);
	pass(f, 2);
	assert_true(becomes(f, "web", VM_RUNNING));
	host.guest_obeys = false;
	assert_int_equal(host_drain(&f->c, 300, &d, &e), 0);
	assert_int_equal(d.vms * 100 + d.killed * 10 + d.left, 110);
	assert_nothing_left(f, "web", VM_STOPPED);
	assert_true(row(f, "web").wanted);
}

/* A drain that read the rows before this VM was starting does not know of it. */
static void a_drain_interrupts_a_start(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "web", false);
	host.goes_down = true;
	assert_int_equal(start(f, "web", NULL, &e), -1);
	assert_non_null(strstr(e.why, "shut down"));
	assert_int_equal(host.boots, 0);
	assert_nothing_left(f, "web", VM_CREATED);
}

/* Monitors that accept a connection and never answer delay only their own VMs. */
static void stuck_monitors_do_not_hold_up_the_others(void **state)
{
	static const char *const names[] = { "stuck1", "stuck2", "stuck3", "web" };
	struct fixture *f = *state;
	struct error e = { 0 };
	struct drained d;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		(void)create(f, names[i], false);
		must_start(f, names[i]);
	}
	host.guest_obeys = true;
	assert_int_equal(host_drain(&f->c, 1000, &d, &e), 0);
	assert_int_equal(host.shutdowns, 1);
	assert_int_equal(d.vms * 100 + d.killed * 10 + d.left, 430);
}

/* A monitor that was taken over answers when it wants to.  The drain returns before that. */
static void a_hung_monitor_does_not_hold_up_a_drain(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct drained d;

	(void)create(f, "hung", false);
	(void)create(f, "web", false);
	must_start(f, "hung");
	must_start(f, "web");
	host.guest_obeys = true;
	assert_int_equal(host_drain(&f->c, 4000, &d, &e), 0);
	assert_false(host.late);
	assert_int_equal(host.shutdowns, 1);
	assert_int_equal(d.vms * 100 + d.killed * 10 + d.left, 210);
	assert_nothing_left(f, "hung", VM_STOPPED);
	assert_nothing_left(f, "web", VM_STOPPED);
	host.let_go = true;
	host_drain_wait(&f->c);
	assert_false(host.late);
}

/* A tap's line is found by its whole name.  What the tap sent is what the guest received. */
static void counters_of_a_tap(void **state)
{
	static const char network[] = "Inter-|   Receive  |  Transmit\n face |bytes packets\n"
				      "  bgr1: 11 1 0 0 0 0 0 0 12 1 0 0 0 0 0 0\n bgr10: 21 1 0 0 "
				      "0 0 0 0 22 1 0 0 0 0 0 0\n";
	struct fixture *f = *state;
	struct vm vm = { .slot = 10, .generation = 1, .owner = OWNER };
	struct stats s;

	assert_int_equal(stats_read(&f->c, &vm, network, &s), -1);
	put_cpu(f, &vm, 42);
	assert_int_equal(stats_read(&f->c, &vm, network, &s), 0);
	assert_int_equal(s.cpu_us, 42);
	assert_int_equal(s.sent, 21);
	assert_int_equal(s.received, 22);
}

/* ---- beside requests of users ---- */

static unsigned at_work;

static int one_of(struct fixture *f, unsigned what, struct error *e)
{
	struct operation o = operation(f);
	struct call_vm_create a = { .name = "web",
				    .image = "debian",
				    .restart = RESTART_ALWAYS + 1 };
	struct call_vm_set change = { .vm = "web", .restart = 1 + what % RESTART_POLICIES };
	bool already, forced;
	struct vm vm;

	switch (what % 8) {
	case 0:
		return vm_create(&f->c, &o, &a, &vm, e);
	case 1:
		return vm_delete(&f->c, &o, "web", e);
	case 2:
		return vm_stop(&f->c, &o, "web", 50, &already, &forced, e);
	case 3:
		return vm_kill(&f->c, &o, "web", &already, e);
	case 4:
		return vm_set(&f->c, &o, &change, e);
	case 5: /* it ends by itself */
		fake_helper_vmm_exit(f->fake, what / 8 % SLOTS);
		return 0;
	default:
		return vm_start(&f->c, &o, "web", &already, &vm, e);
	}
}

static void *person(void *arg)
{
	static unsigned seed;
	unsigned mine = __atomic_add_fetch(&seed, 1, __ATOMIC_RELAXED);
	uintptr_t bad = 0;

	for (int i = 0; i < 60; i++) {
		struct error e = { 0 };
		if (one_of(arg, (unsigned)rand_r(&mine), &e) < 0)
			bad += e.code != FAIL_STATE && e.code != FAIL_NOT_FOUND;
	}
	(void)__atomic_sub_fetch(&at_work, 1, __ATOMIC_RELAXED);
	return (void *)bad;
}

/* Return: true if the row agrees with the objects, once queued jobs are done. */
static bool is_so(struct fixture *f)
{
	struct error e = { 0 };
	struct vm vm;

	if (db_vm_find(f->c.db, &f->caller, "web", &vm, &e) < 0)
		return fake_helper_objects(f->fake, 0) == 0;
	_cleanup_close_ int pidfd = watch_pidfd(f->c.watch, vm.id);
	if (vm.state == VM_RUNNING)
		return pidfd_alive(pidfd) &&
		       fake_helper_objects(f->fake, 0) == ledger(f, &vm, NULL);
	return vm_at_rest(&vm) && fake_helper_objects(f->fake, 0) + ledger(f, &vm, NULL) == 0;
}

/* ---- the agent ---- */

#define PATIENCE_MS 60000 /* for what is waited for on a loaded machine */

/* Give a running VM one port, whose agent is this test. */
static int make_agent(struct fixture *f, const struct vm *vm)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/run/slots/%u/" AGENT_PORT, f->dir,
		       vm->slot, 0u);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 16), 0);
	f->c.config.agent_ports = 1;
	f->c.config.uid_base = getuid() - vm->slot;
	return fd;
}

/* Answer a question that comes within @ms.  Its connection stays open: each question is one.
 * Return: false if none comes. */
static bool answer(int agent, int ms, const char *text)
{
	struct pollfd p = { agent, POLLIN, 0 };

	if (poll(&p, 1, ms) != 1)
		return false;
	int fd = accept4(agent, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL); /* it may be over already */
	return true;
}

static void a_running_vm_is_asked_until_its_agent_answers(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	must_start(f, "web");
	struct vm vm = row(f, "web");
	_cleanup_close_ int agent = make_agent(f, &vm);
	pass(f, 0);
	assert_true(answer(agent, PATIENCE_MS, ""));
	for (int i = 0; i < 1000; i++) { /* a question that is not over yet is not repeated */
		pass(f, i ? 1 : 1000000);
		if (answer(agent, 100, ""))
			break;
	}
	pass(f, 100); /* less than a quarter of its time */
	assert_false(answer(agent, 200, "x"));
	assert_false(watch_is_ready(f->c.watch, vm.id));
	for (int i = 0; i < 1000 && !watch_is_ready(f->c.watch, vm.id); i++) {
		pass(f, 1000000);
		(void)answer(agent, 100, "x");
	}
	assert_true(watch_is_ready(f->c.watch, vm.id));
	while (answer(agent, 0, "x"))
		; /* questions that were over too early above */
	for (int i = 0; i < 3; i++) {
		pass(f, 1000000);
		assert_false(answer(agent, 200, "x"));
	}
}

static void no_agent_is_asked_without_ports(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	must_start(f, "web");
	struct vm vm = row(f, "web");
	_cleanup_close_ int agent = make_agent(f, &vm);
	f->c.config.agent_ports = 0;
	pass(f, 0);
	assert_false(answer(agent, 200, "x"));
}

static void policy_actions_beside_user_requests(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	pthread_t threads[4];
	struct vm vm;
	void *bad;

	at_work = ARRAY_SIZE(threads);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, person, f), 0);
	while (__atomic_load_n(&at_work, __ATOMIC_RELAXED)) {
		pump(f, 1);
		housekeeping_pass(f->c.housekeeping, now += S / 4);
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
	for (int i = 0; i < 500 && !is_so(f); i++)
		pump(f, 10);
	assert_true(is_so(f));
	assert_int_equal(fake_helper_violations(f->fake), 0);
	if (db_vm_find(f->c.db, &f->caller, "web", &vm, &e) == 0)
		assert_int_equal(one_of(f, 1, &e), 0);
	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, keep_setup, keep_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_vm_without_a_policy_stays_stopped),
		TEST(policy_always_restarts_except_after_a_stop),
		TEST(policy_on_failure_depends_on_the_guests_end),
		TEST(a_guest_that_reboots_is_started_again),
		TEST(a_reboot_in_firecracker_is_an_end),
		TEST(a_guest_that_only_reboots_is_given_up),
		TEST(the_longest_wait_ends_first),
		TEST(a_reboot_that_fails_is_repeated),
		TEST(the_reason_of_an_end_is_the_guests),
		TEST(restarts_end_after_the_limit_in_a_row),
		TEST(a_failed_restart_is_reported_and_repeated),
		TEST(vms_are_restarted_one_by_one),
		TEST(an_unfinished_release_is_repeated),
		TEST(an_exit_that_was_not_recorded_is_handled_later),
		TEST(a_locked_vm_is_left_alone),
		TEST(an_idle_vm_is_stopped_and_stays_stopped),
		TEST(a_vm_that_sends_is_not_idle),
		TEST(a_vm_with_a_new_session_is_not_idle),
		TEST(a_vm_without_counters_is_not_idle),
		TEST(a_new_start_is_not_idle),
		TEST(a_removed_object_causes_a_scan_at_once),
		TEST(a_drain_is_not_undone_by_a_policy),
		TEST(a_drain_interrupts_a_start),
		TEST(a_hung_monitor_does_not_hold_up_a_drain),
		TEST(stuck_monitors_do_not_hold_up_the_others),
		TEST(counters_of_a_tap),
		TEST(a_running_vm_is_asked_until_its_agent_answers),
		TEST(no_agent_is_asked_without_ports),
		TEST(policy_actions_beside_user_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
