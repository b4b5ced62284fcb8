/* Tests reconciliation while other operations run: flushed objects are restored, orphans are
 * removed, and a dry run changes nothing. */
#include <fcntl.h>
#include <sys/resource.h>

#include "controller/recovery/online.h"
#include "controller/recovery/stray_files.h"
#include "tests/unit/ctl_fixture.h"

static char said[1024];

static void note(void *arg, const char *line)
{
	size_t n = strlen(said);

	(void)arg;
	(void)snprintf(said + n, sizeof(said) - n, "%s\n", line);
}

static struct repaired look(struct fixture *f, bool restore, bool dry_run)
{
	struct repaired n;
	struct error e = { 0 };

	said[0] = '\0';
	if (online_repair(&f->c,
			  &(struct repair_options){
				  .restore = restore, .dry_run = dry_run, .report = note },
			  &n, &e) < 0)
		fail_msg("repair: %s", e.why);
	return n;
}

static void a_sound_host_has_no_findings(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", true);
	(void)create(f, "rests", false);
	must_start(f, "web");
	assert_int_equal(look(f, true, false).found, 0);
	assert_string_equal(said, "");
}

static void flushed_rules_are_restored(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", true);
	must_start(f, "web");
	fake_helper_drop(f->fake, OBJ_NAT, 0);
	fake_helper_drop(f->fake, OBJ_GUEST, 0);
	assert_int_equal(look(f, false, false).found, 0); /* gc leaves running VMs alone */
	struct repaired n = look(f, true, true);
	assert_int_equal(n.found, 1);
	assert_int_equal(n.mended, 0);
	assert_non_null(strstr(said, "web (slot 0), running: it lacks"));
	assert_false(fake_helper_has(f->fake, 0, OBJ_NAT)); /* it only looked */
	n = look(f, true, false);
	assert_int_equal(n.mended, 1);
	assert_true(fake_helper_has(f->fake, 0, OBJ_NAT));
	assert_true(fake_helper_has(f->fake, 0, OBJ_GUEST));
	assert_int_equal(row(f, "web").state, VM_RUNNING);
	assert_int_equal(look(f, true, false).found, 0);
}

static void an_object_that_can_not_be_restored_is_reported(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	must_start(f, "web");
	fake_helper_drop(f->fake, OBJ_TAP, 0);
	struct repaired n = look(f, true, false);
	assert_int_equal(n.failed, 1);
	assert_int_equal(row(f, "web").state, VM_DEGRADED);
	assert_non_null(strstr(row(f, "web").reason, "tap is gone"));
	assert_true(fake_helper_vmm(f->fake, 0) > 0);
}

static void an_invalid_snapshot_is_reported(void **state)
{
	struct fixture *f = *state;
	struct operation o = operation(f);
	struct error e = { 0 };
	bool already;

	(void)create(f, "web", false);
	must_start(f, "web");
	fake_helper_spoil_disk(f->fake, 0);
	struct repaired n = look(f, true, false);
	assert_int_equal(n.failed, 1);
	assert_int_equal(row(f, "web").state, VM_DEGRADED);
	assert_non_null(strstr(row(f, "web").reason, "given up by the kernel"));
	assert_int_equal(look(f, true, false).found, 0);
	assert_int_equal(vm_kill(&f->c, &o, "web", &already, &e), 0);
	assert_nothing_left(f, "web", VM_STOPPED);
	must_start(f, "web");
	assert_int_equal(look(f, true, false).found, 0);
}

/* A guest without a network must be reported until its tap is in the bridge again. */
static void a_tap_without_a_bridge_is_reported(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", false);
	must_start(f, "web");
	fake_helper_connect(f->fake, 0, false);
	assert_int_equal(look(f, true, false).failed, 1);
	assert_int_equal(row(f, "web").state, VM_DEGRADED);
	assert_non_null(strstr(row(f, "web").reason, "can not be put back into the bridge"));
	assert_true(fake_helper_vmm(f->fake, 0) > 0);
	assert_int_equal(look(f, true, false).found, 0);
	fake_helper_connect(f->fake, 0, true);
	assert_int_equal(look(f, true, false).mended, 1);
	assert_int_equal(row(f, "web").state, VM_RUNNING);
	assert_string_equal(row(f, "web").reason, "");
}

static void unwanted_nat_is_removed(void **state)
{
	struct fixture *f = *state;
	struct vm vm = create(f, "web", false);

	must_start(f, "web");
	fake_helper_put(f->fake, OBJ_NAT, vm.slot, vm.generation, OWNER);
	assert_int_equal(look(f, true, false).mended, 1);
	assert_false(fake_helper_has(f->fake, 0, OBJ_NAT));
}

static void objects_of_a_stopped_vm_are_removed(void **state)
{
	struct fixture *f = *state;
	struct vm vm = create(f, "web", false);

	fake_helper_put(f->fake, OBJ_TAP, vm.slot, vm.generation, OWNER);
	assert_int_equal(look(f, false, true).found, 1);
	assert_int_equal(fake_helper_objects(f->fake, 0), 1);
	assert_int_equal(look(f, false, false).mended, 1);
	assert_nothing_left(f, "web", VM_CREATED);
}

static void orphans_are_removed(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", true);
	must_start(f, "web");
	size_t ours = fake_helper_objects(f->fake, 0);
	fake_helper_put(f->fake, OBJ_TAP, 2, 7, OWNER);
	fake_helper_put(f->fake, OBJ_DM, 3, 1, OWNER);
	struct repaired n = look(f, false, true);
	assert_int_equal(n.found, 2);
	assert_int_equal(fake_helper_objects(f->fake, 0), ours + 2);
	n = look(f, false, false);
	assert_int_equal(n.mended, 2);
	assert_int_equal(n.failed, 0);
	assert_int_equal(fake_helper_objects(f->fake, 0), ours);
	/* The slot goes on above the orphan's generation, after the others. */
	assert_int_equal(create(f, "a", false).slot, 1);
	assert_int_equal(create(f, "b", false).generation, 2);
	assert_int_equal(create(f, "c", false).generation, 8);
}

static void gc_removes_files_without_a_vm(void **state)
{
	struct fixture *f = *state;
	char path[200];

	(void)create(f, "web", true);
	for (uint32_t slot = 0; slot < 3; slot++) {
		path_slot_state(&f->c.config, slot, "", path);
		assert_int_equal(mkdir(path, 0700), 0);
		path_slot_state(&f->c.config, slot, slot == 1 ? "disk" : STORAGE_OWNER, path);
		FILE *file = fopen(path, "w");
		assert_non_null(file);
		(void)fputs("00000000000000000000000000000001 5 4242\n", file);
		(void)fclose(file);
	}
	unsigned removes = host.removes;
	assert_int_equal(look(f, true, false).found, 0);
	assert_int_equal(look(f, false, true).found, 2);
	assert_int_equal(host.removes, removes);
	struct repaired n = look(f, false, false);
	assert_int_equal(n.found, 2);
	assert_int_equal(n.mended, 2);
	assert_int_equal(host.removes,
			 removes + 2); /* files in a VM's slot stay, even another VM's */
	host.remove_fails = true;
	n = look(f, false, false);
	assert_int_equal(n.mended, 0);
	assert_int_equal(n.failed, 2);
}

/* While VMs start and stop, none of their objects is taken for an orphan. */
static void *repair_on_and_on(void *arg)
{
	struct fixture *f = arg;
	struct repaired n;
	struct error e = { 0 };

	for (int i = 0; i < 60; i++)
		if (online_repair(&f->c,
				  &(struct repair_options){ .restore = true, .report = note }, &n,
				  &e) < 0 ||
		    n.failed)
			return (void *)1;
	return NULL;
}

static void a_scan_does_not_disturb_operations(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	void *bad;

	said[0] = '\0';
	assert_int_equal(pthread_create(&thread, NULL, repair_on_and_on, f), 0);
	for (int i = 0; i < 15; i++) {
		struct operation o = operation(f);
		struct error e = { 0 };
		(void)create(f, "web", true);
		must_start(f, "web");
		if (vm_delete(&f->c, &o, "web", &e) < 0)
			fail_msg("delete: %s", e.why);
	}
	assert_int_equal(pthread_join(thread, &bad), 0);
	assert_null(bad);
	assert_string_equal(said, "");
	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
}

/* No descriptor is left to read the slots: nothing is removed, and each slot is reported once. */
static void an_unreadable_slot_is_reported(void **state)
{
	struct fixture *f = *state;
	int probe = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0), failed[2];
	struct rlimit was, none;
	unsigned lines = 0;

	(void)close(probe);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = (rlim_t)probe; /* the lowest free number */
	said[0] = '\0';
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int dry_run = 0; dry_run < 2; dry_run++)
		failed[dry_run] = stray_files_remove(&f->c, dry_run, note, NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(failed[0], SLOTS);
	assert_int_equal(failed[1], 0); /* nothing was tried */
	for (const char *p = said; (p = strstr(p, "can not be read: Too many open files")); p++)
		lines++;
	assert_int_equal(lines, 2 * SLOTS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sound_host_has_no_findings),
		TEST(flushed_rules_are_restored),
		TEST(an_object_that_can_not_be_restored_is_reported),
		TEST(an_invalid_snapshot_is_reported),
		TEST(a_tap_without_a_bridge_is_reported),
		TEST(unwanted_nat_is_removed),
		TEST(objects_of_a_stopped_vm_are_removed),
		TEST(orphans_are_removed),
		TEST(gc_removes_files_without_a_vm),
		TEST(an_unreadable_slot_is_reported),
		TEST(a_scan_does_not_disturb_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
