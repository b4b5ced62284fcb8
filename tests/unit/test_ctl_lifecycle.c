/* Tests starts, stops and deletes against roles that refuse, delay and die.  In each case nothing
 * is left behind, and the state is true. */
#include "controller/objects/object.h"
#include "controller/policy/actions.h"
#include "controller/recovery/online.h"
#include "controller/db/connection.h"
#include "controller/tsc.h"
#include "tests/unit/ctl_fixture.h"

static const enum op_code makes[] = {
	OP_TAP_CREATE,  OP_GUEST_ALLOW,     OP_NAT_ADD,   OP_LOOP_ATTACH,
	OP_LOOP_ATTACH, OP_SNAPSHOT_CREATE, OP_VMM_SPAWN,
};
static const enum op_code removes[] = {
	OP_VMM_KILL,   OP_SNAPSHOT_REMOVE, OP_LOOP_DETACH, OP_LOOP_DETACH,
	OP_NAT_REMOVE, OP_GUEST_DENY,      OP_TAP_RETIRE,  OP_TAP_SWEEP,
};

static int stop(struct fixture *f, const char *name, uint64_t ms, bool *already, bool *forced,
		struct error *e)
{
	struct operation o = operation(f);
	bool a, b;

	return vm_stop(&f->c, &o, name, ms, already ? already : &a, forced ? forced : &b, e);
}

static void must_stop(struct fixture *f, const char *name)
{
	struct error e = { 0 };

	if (stop(f, name, 1000, NULL, NULL, &e) < 0)
		fail_msg("stop: %s: %s", e.what, e.why);
}

static int delete (struct fixture *f, const char *name, struct error *e)
{
	struct operation o = operation(f);

	return vm_delete(&f->c, &o, name, e);
}

/* Assert that the requests since the last fake_helper_forget() are these, in this order. */
static void assert_requests(struct fixture *f, const enum op_code *ops, size_t n)
{
	struct request q;

	assert_int_equal(fake_helper_total(f->fake), n);
	for (size_t i = 0; i < n; i++) {
		assert_true(fake_helper_request(f->fake, i, &q));
		assert_string_equal(q.op->name, op_find(ops[i])->name);
	}
}

/* ---- without faults ---- */

static void start_makes_and_stop_removes_in_order(void **state)
{
	struct fixture *f = *state;
	struct ledger_row rows[OBJ_COUNT];
	bool forced = true;
	struct error e = { 0 };

	(void)create(f, "web", true);
	must_start(f, "web");
	assert_requests(f, makes, ARRAY_SIZE(makes));
	struct request spawn;
	assert_true(fake_helper_request(f->fake, ARRAY_SIZE(makes) - 1, &spawn));
	assert_int_equal(spawn.vmm_spawn.tsc_khz, tsc_khz()); /* the fixture's VMM uses TCG */
	struct vm vm = row(f, "web");
	assert_true(vm.disk_mib > 0);
	assert_int_equal(spawn.vmm_spawn.disk_mib, vm.disk_mib); /* and no more */
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(ledger(f, &vm, rows), OBJ_COUNT - 1);
	for (size_t i = 0; i < OBJ_COUNT - 1; i++) {
		assert_int_equal(rows[i].kind, OBJ_TAP + i);
		assert_int_equal(rows[i].state, LEDGER_PRESENT);
	}
	assert_int_equal(rows[0].ident, 100);
	assert_string_equal(vm.runtime.tap, "bgr0");
	assert_string_equal(vm.runtime.dm, "bgr-0");
	assert_string_equal(vm.runtime.boot_id, f->c.boot_id);
	assert_int_equal(vm.runtime.pid, fake_helper_vmm(f->fake, 0));
	assert_non_null(strstr(vm.runtime.api_socket, "/run/slots/0/api.sock"));
	assert_true(vm.started_ns > 0);

	fake_helper_forget(f->fake);
	assert_int_equal(stop(f, "web", 0, NULL, &forced, &e), 0);
	assert_false(forced);
	assert_requests(f, removes, ARRAY_SIZE(removes));
	assert_nothing_left(f, "web", VM_STOPPED);
}

static void start_of_a_running_vm_and_stop_of_a_stopped_one_say_already(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	bool already = false;

	(void)create(f, "web", false);
	assert_int_equal(stop(f, "web", 0, &already, NULL, &e), 0);
	assert_true(already);
	must_start(f, "web");
	fake_helper_forget(f->fake);
	already = false;
	assert_int_equal(start(f, "web", &already, &e), 0);
	assert_true(already);
	assert_int_equal(fake_helper_total(f->fake), 0);
}

static int count_commit(void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

static void start_costs_two_durable_commits(void **state)
{
	struct fixture *f = *state;
	unsigned commits = 0;

	(void)create(f, "web", true);
	(void)sqlite3_commit_hook(f->c.db->sqlite, count_commit, &commits);
	must_start(f, "web");
	assert_int_equal(commits, 2);
	must_stop(f, "web");
	assert_true(commits <= 5);
	(void)sqlite3_commit_hook(f->c.db->sqlite, NULL, NULL);
}

static void a_vm_can_be_started_again(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", true);
	for (int i = 0; i < 3; i++) {
		must_start(f, "web");
		must_stop(f, "web");
		assert_nothing_left(f, "web", VM_STOPPED);
	}
	assert_int_equal(host.boots, 3);
}

/* Root lowered the limit after the create: a monitor could not write to the end of the disk. */
static void a_disk_above_the_limit_is_not_started(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	bool already;

	struct vm vm = create(f, "web", false);
	f->c.config.max_disk_mib = vm.disk_mib - 1;
	fake_helper_forget(f->fake);
	assert_int_equal(start(f, "web", &already, &e), -1);
	assert_int_equal(e.code, FAIL_LIMIT);
	assert_int_equal(fake_helper_total(f->fake), 0);
	assert_nothing_left(f, "web", VM_CREATED);
	f->c.config.max_disk_mib = vm.disk_mib;
	must_start(f, "web");
}

static void a_guest_that_ignores_the_shutdown_is_killed(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	bool forced = false;

	host.guest_obeys = false;
	(void)create(f, "web", false);
	must_start(f, "web");
	assert_int_equal(stop(f, "web", 60, NULL, &forced, &e), 0);
	assert_true(forced);
	assert_nothing_left(f, "web", VM_STOPPED);

	host.shutdown_fails = true; /* a monitor that does not answer is not waited for */
	must_start(f, "web");
	assert_int_equal(stop(f, "web", 3600000, NULL, &forced, &e), 0);
	assert_true(forced);
	assert_nothing_left(f, "web", VM_STOPPED);
}

/* ---- volumes ---- */

/* A volume of the caller's, with its file. */
static void add_volume(struct fixture *f, const char *name, char digit, uint64_t size)
{
	struct artifact v = { .type = ARTIFACT_VOLUME, .owner = OWNER, .size = size };
	struct error e = { 0 };
	char path[256];

	(void)snprintf(v.name, sizeof(v.name), "%s", name);
	memset(v.digest, digit, 64);
	assert_int_equal(db_artifact_add(f->c.db, &v, 8, &e), 0);
	path_volume(&f->c.config, v.digest, path);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
}

static int create_with(struct fixture *f, const char *name, const char *volumes, struct error *e)
{
	struct operation o = operation(f);
	struct call_vm_create a = { 0 };
	struct vm vm;

	(void)snprintf(a.name, sizeof(a.name), "%s", name);
	(void)snprintf(a.image, sizeof(a.image), "debian");
	(void)snprintf(a.volumes, sizeof(a.volumes), "%s", volumes);
	return vm_create(&f->c, &o, &a, &vm, e);
}

static void a_start_brings_its_volumes(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct request q;
	char path[200];
	struct stat st;

	host.files = true; /* the slots have folders */
	add_volume(f, "data", '1', 100 << 20);
	add_volume(f, "logs", '2', 200 << 20);
	assert_int_equal(create_with(f, "web", "logs:/var/log:ro data:/srv", &e), 0);
	fake_helper_forget(f->fake);
	must_start(f, "web");
	bool found = false;
	for (size_t i = 0; !found && fake_helper_request(f->fake, i, &q); i++)
		found = q.op->code == OP_VMM_SPAWN;
	assert_true(found);
	assert_int_equal(q.vmm_spawn.volumes, 2);
	assert_int_equal(q.vmm_spawn.read_only, 1 << 1); /* /srv is before /var/log */
	assert_int_equal(q.vmm_spawn.disk_mib, 100);     /* the largest that is written */
	path_slot_state(&f->c.config, 0, "vol0", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	path_slot_state(&f->c.config, 0, "vol1", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);

	assert_int_equal(create_with(f, "two", "data:/srv", &e), 0);
	assert_int_equal(start(f, "two", NULL, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_non_null(strstr(e.why, "the VM web runs with it"));
	assert_int_equal(row(f, "two").state, VM_CREATED);
	must_stop(f, "web");
	must_start(f, "two");
	must_stop(f, "two");
	f->c.config.max_disk_mib = 99;
	assert_int_equal(start(f, "two", NULL, &e), -1);
	assert_int_equal(e.code, FAIL_LIMIT);
}

static void a_volume_without_its_file_is_told(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	char path[256];

	host.files = true;
	add_volume(f, "data", '1', 1 << 20);
	assert_int_equal(create_with(f, "web", "data:/srv", &e), 0);
	path_volume(&f->c.config, row(f, "web").volumes[0].digest, path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(start(f, "web", NULL, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_string_equal(e.what, "data");
	assert_nothing_left(f, "web", VM_CREATED);
}

/* The disk goes with the VM, the volume does not: what the guest has not written yet matters. */
static void a_delete_lets_a_guest_write_its_volume(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	host.files = true;
	add_volume(f, "data", '1', 1 << 20);
	(void)create(f, "plain", false);
	must_start(f, "plain");
	assert_int_equal(delete (f, "plain", &e), 0);
	assert_int_equal(host.shutdowns, 0);
	assert_int_equal(create_with(f, "reader", "data:/srv:ro", &e), 0);
	must_start(f, "reader");
	assert_int_equal(delete (f, "reader", &e), 0);
	assert_int_equal(host.shutdowns, 0);
	assert_int_equal(create_with(f, "writer", "data:/srv", &e), 0);
	must_start(f, "writer");
	assert_int_equal(delete (f, "writer", &e), 0);
	assert_int_equal(host.shutdowns, 1);
}

static void volumes_that_are_refused(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *volumes;
		enum fail code;
	} cases[] = {
		{ "data", FAIL_USAGE },
		{ "data:srv", FAIL_USAGE },
		{ "data:/", FAIL_USAGE },
		{ "data:/a/", FAIL_USAGE },
		{ "data:/a//b", FAIL_USAGE },
		{ "data:/a/./b", FAIL_USAGE },
		{ "data:/..", FAIL_USAGE },
		{ "data:/a\tb", FAIL_USAGE },
		{ "data:/dev/x", FAIL_USAGE },
		{ "data:/run", FAIL_USAGE },
		{ "data:/srv:no", FAIL_USAGE },
		{ "data:/srv data:/other", FAIL_USAGE },
		{ "data:/srv logs:/srv", FAIL_USAGE },
		{ "none:/srv", FAIL_NOT_FOUND },
	};
	struct error e = { 0 };

	add_volume(f, "data", '1', 1 << 20);
	add_volume(f, "logs", '2', 1 << 20);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (create_with(f, "web", cases[i].volumes, &e) == 0)
			fail_msg("\"%s\" is taken", cases[i].volumes);
		assert_int_equal(e.code, cases[i].code);
	}
	/* A text of the protocol is whole UTF-8: no word is quoted that an error would cut. */
	char longest[600] = "data:/x";
	for (size_t n = strlen(longest); n < 500; n += 2)
		memcpy(longest + n, "\xc3\xa9", 3);
	assert_int_equal(create_with(f, "web", longest, &e), -1);
	assert_int_equal(e.code, FAIL_USAGE);
	assert_string_equal(e.why, "a name has up to 63 bytes, and a path up to 255");
	/* What only begins like a folder of the guest's, or like a step up, is none. */
	assert_int_equal(create_with(f, "web", "data:/runs/..x logs:/.a/...", &e), 0);
}

static void files_that_a_vmm_left_are_removed(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = { "api.sock", "x" };
	char path[200];

	(void)create(f, "web", false);
	must_start(f, "web");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		path_slot_run(&f->c.config, 0, names[i], path);
		int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		(void)close(fd);
	}
	path_slot_run(&f->c.config, 0, "d", path);
	make_dir(path);
	must_stop(f, "web");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		path_slot_run(&f->c.config, 0, names[i], path);
		assert_int_equal(access(path, F_OK), -1);
	}
	path_slot_run(&f->c.config, 0, "d", path);
	assert_int_equal(access(path, F_OK), -1);
}

/* A monitor may leave as many files as its memory holds: other VMs do not wait for their
 * removal. */
static void very_many_files_take_more_than_one_release(void **state)
{
	struct fixture *f = *state;
	char path[200], name[16];
	struct error e = { 0 };

	(void)create(f, "web", false);
	must_start(f, "web");
	for (int i = 0; i < 20001; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		path_slot_run(&f->c.config, 0, name, path);
		assert_int_equal(mknod(path, S_IFIFO | 0600, 0), 0);
	}
	assert_int_equal(stop(f, "web", 0, NULL, NULL, &e), -1);
	assert_non_null(strstr(e.why, "run folder: its VMM left more than 20000 files"));
	assert_int_equal(row(f, "web").state, VM_DEGRADED);
	must_stop(f, "web");
	assert_nothing_left(f, "web", VM_STOPPED);
	must_start(f, "web");
	must_stop(f, "web");
}

/* ---- a start that fails ---- */

/* Assert that the objects were removed in reverse order, each once, after the last one was made. */
static void assert_walked_backwards(struct fixture *f)
{
	size_t n = fake_helper_total(f->fake), next = 0;
	struct request q;

	for (size_t i = 0; i < n; i++) {
		assert_true(fake_helper_request(f->fake, i, &q));
		if (q.op->effect == EFFECT_CREATE) {
			assert_int_equal(next, 0);
			continue;
		}
		assert_true(next < ARRAY_SIZE(removes));
		assert_string_equal(q.op->name, op_find(removes[next++])->name);
	}
	assert_int_equal(next, ARRAY_SIZE(removes));
}

static void each_step_failing_with_each_status_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	unsigned tried = 0;

	(void)create(f, "web", true);
	for (size_t i = 0; i < ARRAY_SIZE(makes); i++)
		for (int s = ST_ABSENT; s < ST_COUNT; s++) {
			struct error e = { 0 };
			bool waits = s == ST_BUSY ||
				     s == ST_LIMIT; /* two seconds each: at two steps only */
			if (waits && makes[i] != OP_TAP_CREATE && makes[i] != OP_VMM_SPAWN)
				continue;
			fake_helper_forget(f->fake);
			fake_helper_fail(f->fake, makes[i], (enum status)s, waits ? UINT32_MAX : 1);
			assert_int_equal(start(f, "web", NULL, &e), -1);
			fake_helper_fail(f->fake, makes[i], ST_OK, 0);
			if (waits) {
				assert_true(fake_helper_count(f->fake, makes[i]) > 5);
				assert_nothing_left(f, "web", VM_CREATED);
				tried++;
				continue;
			}
			assert_true(e.code != FAIL_NONE && e.what[0] && e.why[0] && e.op[0]);
			assert_walked_backwards(f);
			assert_nothing_left(f, "web", VM_CREATED);
			tried++;
		}
	assert_int_equal(tried, ARRAY_SIZE(makes) * (ST_COUNT - 3) + 4);
	must_start(f, "web");
}

static void a_refusal_says_what_and_why(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "web", false);
	fake_helper_fail(f->fake, OP_TAP_CREATE, ST_LIMIT, UINT32_MAX);
	assert_int_equal(start(f, "web", NULL, &e), -1);
	fake_helper_fail(f->fake, OP_TAP_CREATE, ST_OK, 0);
	assert_int_equal(e.code, FAIL_LIMIT);
	assert_string_equal(e.what, "tap");
	assert_non_null(strstr(e.why, "no free port"));
	assert_true(e.hint[0] != '\0');
	fake_helper_fail(f->fake, OP_VMM_SPAWN, ST_NOLOG, 1);
	assert_int_equal(start(f, "web", NULL, &e), -1);
	assert_int_equal(e.code, FAIL_HOST);
	assert_non_null(strstr(e.why, "request log"));
}

static void a_host_without_a_monitor_starts_nothing(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "web", true);
	host.choose_fails = true;
	assert_int_equal(start(f, "web", NULL, &e), -1);
	assert_int_equal(e.code, FAIL_HOST);
	assert_int_equal(fake_helper_count(f->fake, OP_TAP_CREATE), 0);
	assert_nothing_left(f, "web", VM_CREATED);
}

static void a_boot_that_fails_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "web", true);
	host.boot_fails = true;
	assert_int_equal(start(f, "web", NULL, &e), -1);
	assert_int_equal(e.code, FAIL_TIMEOUT);
	assert_walked_backwards(f);
	assert_nothing_left(f, "web", VM_CREATED);
}

/* Return: the error of a start whose VMM ended by itself. */
static struct error die_at_start(struct fixture *f)
{
	struct error e = { 0 };

	(void)create(f, "web", true);
	must_start(f, "web");
	must_stop(f, "web");
	host.boot_dies = true;
	assert_int_equal(start(f, "web", NULL, &e), -1);
	assert_nothing_left(f, "web", VM_STOPPED);
	return e;
}

static void a_vmm_that_dies_says_its_last_line(void **state)
{
	struct error e = die_at_start(*state);

	assert_string_equal(e.why, "it ended while it started; its last line: fake guest");
}

static void a_vmm_that_dies_silently_adds_no_last_line(void **state)
{
	struct fixture *f = *state;

	fake_helper_silence(f->fake);
	struct error e = die_at_start(f);
	assert_string_equal(e.why, "it ended while it started");
}

static void a_commit_that_fails_at_the_end_undoes_the_start(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	static const char trap[] =
		"CREATE TEMP TRIGGER t BEFORE UPDATE ON vms WHEN new.state = 'running'"
		" BEGIN SELECT raise(ABORT, 'disk I/O error'); END;";

	(void)create(f, "web", true);
	assert_int_equal(sqlite3_exec(f->c.db->sqlite, trap, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(start(f, "web", NULL, &e), -1);
	assert_non_null(strstr(e.why, "disk I/O error"));
	assert_walked_backwards(f);
	assert_nothing_left(f, "web", VM_CREATED);
	assert_int_equal(row(f, "web").started_ns, 0);
}

static void a_plan_that_can_not_be_written_asks_for_nothing(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	static const char trap[] = "CREATE TEMP TRIGGER t BEFORE INSERT ON ledger"
				   " BEGIN SELECT raise(ABORT, 'no ledger'); END;";

	(void)create(f, "web", true);
	assert_int_equal(sqlite3_exec(f->c.db->sqlite, trap, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(start(f, "web", NULL, &e), -1);
	assert_non_null(strstr(e.why, "no ledger"));
	for (size_t i = 0; i < ARRAY_SIZE(makes); i++)
		assert_int_equal(fake_helper_count(f->fake, makes[i]), 0);
	assert_nothing_left(f, "web", VM_CREATED);
}

/* ---- a release that fails ---- */

static void each_removal_failing_is_degraded_until_it_works(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", true);
	for (size_t i = 0; i < ARRAY_SIZE(removes); i++) {
		struct error e = { 0 };
		must_start(f, "web");
		fake_helper_forget(f->fake);
		fake_helper_fail(f->fake, removes[i], ST_KERNEL, 1);
		assert_int_equal(stop(f, "web", 0, NULL, NULL, &e), -1);
		/* Every step was tried, but no sweep was asked for a tap that could not be
		 * retired. */
		assert_int_equal(fake_helper_total(f->fake),
				 ARRAY_SIZE(removes) - (removes[i] == OP_TAP_RETIRE));
		struct vm vm = row(f, "web");
		struct ledger_row rows[OBJ_COUNT];
		assert_int_equal(vm.state, VM_DEGRADED);
		assert_non_null(strstr(vm.reason, "the kernel refused it"));
		assert_int_equal(ledger(f, &vm, rows), 1);
		assert_int_equal(rows[0].state, LEDGER_RELEASING);
		assert_non_null(strstr(rows[0].error, "the kernel refused it"));
		must_stop(f, "web");
		assert_nothing_left(f, "web", VM_STOPPED);
		assert_string_equal(row(f, "web").reason, "");
	}
}

static void a_busy_removal_is_repeated(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", true);
	must_start(f, "web");
	fake_helper_fail(f->fake, OP_VMM_KILL, ST_BUSY, 3);
	fake_helper_fail(f->fake, OP_SNAPSHOT_REMOVE, ST_BUSY, 3);
	must_stop(f, "web");
	assert_int_equal(fake_helper_count(f->fake, OP_VMM_KILL), 4);
	assert_int_equal(fake_helper_count(f->fake, OP_SNAPSHOT_REMOVE), 4);
	assert_nothing_left(f, "web", VM_STOPPED);
}

struct job {
	struct fixture *f;
	const char *name;
	int r;
	bool already;
	struct error e;
	struct operation o;
	pthread_t thread;
};

static void *kill_thread(void *arg)
{
	struct job *j = arg;

	j->r = vm_kill(&j->f->c, &j->o, j->name, &j->already, &j->e);
	return NULL;
}

/* A VMM that was killed and does not exit: the role, which waits for a while at each VMM_KILL and
 * serves no other request then, is asked again when the VMM has exited. */
static void a_kill_asks_again_when_the_vmm_has_exited(void **state)
{
	struct fixture *f = *state;
	struct job j = { .f = f, .name = "web", .o = operation(f) };

	struct vm vm = create(f, "web", true);
	must_start(f, "web");
	fake_helper_fail(f->fake, OP_VMM_KILL, ST_BUSY, UINT32_MAX);
	assert_int_equal(pthread_create(&j.thread, NULL, kill_thread, &j), 0);
	while (fake_helper_count(f->fake, OP_VMM_KILL) == 0)
		(void)poll(NULL, 0, 1);
	(void)poll(NULL, 0, 1000);
	assert_int_equal(fake_helper_count(f->fake, OP_VMM_KILL), 1);
	fake_helper_fail(f->fake, OP_VMM_KILL, ST_OK, 0);
	fake_helper_vmm_exit(f->fake, vm.slot);
	(void)pthread_join(j.thread, NULL);
	assert_int_equal(j.r, 0);
	assert_int_equal(fake_helper_count(f->fake, OP_VMM_KILL), 2);
	assert_nothing_left(f, "web", VM_STOPPED);
}

static void a_rate_that_is_reached_only_delays_a_start(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", true);
	fake_helper_fail(f->fake, OP_NAT_ADD, ST_LIMIT, 3);
	fake_helper_fail(f->fake, OP_LOOP_ATTACH, ST_BUSY, 3);
	must_start(f, "web");
	assert_int_equal(fake_helper_count(f->fake, OP_NAT_ADD), 4);
	assert_int_equal(fake_helper_count(f->fake, OP_LOOP_ATTACH), 5);
}

static void a_start_cleans_up_what_a_stop_could_not(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "web", true);
	must_start(f, "web");
	fake_helper_fail(f->fake, OP_TAP_RETIRE, ST_KERNEL, 1);
	assert_int_equal(stop(f, "web", 0, NULL, NULL, &e), -1);
	must_start(f, "web");
	assert_int_equal(row(f, "web").state, VM_RUNNING);
}

static void a_dead_role_is_degraded_with_every_row_kept(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "web", true);
	must_start(f, "web");
	fake_helper_die(f->fake, ROLE_NET);
	assert_int_equal(stop(f, "web", 0, NULL, NULL, &e), -1);
	assert_non_null(strstr(e.why, "the net role is gone"));
	struct vm vm = row(f, "web");
	assert_int_equal(vm.state, VM_DEGRADED);
	assert_int_equal(ledger(f, &vm, NULL), 3);
	assert_string_equal(vm.runtime.tap, "bgr0");
	assert_int_equal(vm.runtime.pid, 0);
}

/* ---- delete ---- */

static void delete_of_a_running_vm_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct vm vm;

	(void)create(f, "web", true);
	must_start(f, "web");
	assert_int_equal(delete (f, "web", &e), 0);
	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
	assert_int_equal(host.removes, 1);
	assert_int_equal(db_vm_find(f->c.db, &f->caller, "web", &vm, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(delete (f, "web", &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
}

static void delete_keeps_the_row_of_what_it_can_not_release(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "web", true);
	must_start(f, "web");
	fake_helper_fail(f->fake, OP_NAT_REMOVE, ST_KERNEL, 1);
	assert_int_equal(delete (f, "web", &e), -1);
	assert_int_equal(row(f, "web").state, VM_DEGRADED);
	assert_int_equal(host.removes, 0);
	host.remove_fails = true;
	assert_int_equal(delete (f, "web", &e), -1);
	/* Some files may be gone: the VM must not be startable. */
	assert_nothing_left(f, "web", VM_FAILED);
	assert_string_equal(row(f, "web").reason, "its deletion has begun");
	host.remove_fails = false;
	assert_int_equal(delete (f, "web", &e), 0);
}

/* The files were never complete, or are not any more: no later failure makes the VM look
 * complete. */
static void an_incomplete_vm_stays_failed(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct repaired n;

	(void)create(f, "web", true);
	must_start(f, "web");
	struct vm vm = row(f, "web");
	vm.state = VM_CREATING; /* as one whose end could not be recorded */
	assert_int_equal(db_vm_update(f->c.db, &vm, &e), 0);
	fake_helper_fail(f->fake, OP_NAT_REMOVE, ST_KERNEL, 1);
	assert_int_equal(delete (f, "web", &e), -1);
	assert_int_equal(row(f, "web").state, VM_FAILED);
	assert_int_equal(online_repair(&f->c, &(struct repair_options){ .restore = true }, &n, &e),
			 0);
	assert_int_equal(n.mended, 1);
	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
	assert_int_equal(row(f, "web").state, VM_FAILED);
	vm_release_again(&f->c, vm.id);
	assert_int_equal(row(f, "web").state, VM_FAILED);
	assert_int_equal(start(f, "web", NULL, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_int_equal(delete (f, "web", &e), 0);
}

static void a_start_finishes_a_release_that_failed(void **state)
{
	struct fixture *f = *state;
	struct operation o = operation(f);
	struct error e = { 0 };
	bool already;

	(void)create(f, "web", true);
	must_start(f, "web");
	pid_t pid = fake_helper_vmm(f->fake, 0);
	fake_helper_fail(f->fake, OP_VMM_KILL, ST_KERNEL, 1);
	assert_int_equal(vm_kill(&f->c, &o, "web", &already, &e), -1);
	assert_int_equal(row(f, "web").state, VM_DEGRADED);
	assert_int_equal(fake_helper_vmm(f->fake, 0), pid);
	must_start(f, "web");
	assert_int_equal(row(f, "web").state, VM_RUNNING);
	assert_int_not_equal(fake_helper_vmm(f->fake, 0), pid);
}

static void the_generation_goes_up_on_reuse(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	uint32_t last[SLOTS] = { 0 };

	for (int i = 0; i < 2 * SLOTS; i++) {
		struct vm vm = create(f, "web", true);
		assert_true(vm.generation > last[vm.slot]);
		last[vm.slot] = vm.generation;
		must_start(f, "web");
		assert_int_equal(delete (f, "web", &e), 0);
	}
	for (int i = 0; i < SLOTS; i++)
		assert_int_equal(last[i], 2);
}

/* ---- several at once ---- */

static void *start_thread(void *arg)
{
	struct job *j = arg;
	struct vm vm;

	j->r = vm_start(&j->f->c, &j->o, j->name, &j->already, &vm, &j->e);
	return NULL;
}

static void begin_start(struct fixture *f, struct job *j)
{
	*j = (struct job){ .f = f, .name = "web", .o = operation(f) };
	assert_int_equal(pthread_create(&j->thread, NULL, start_thread, j), 0);
}

static void wait_for_boot(void)
{
	for (int i = 0; i < 5000 && !__atomic_load_n(&host.boots, __ATOMIC_RELAXED); i++)
		(void)poll(NULL, 0, 1);
	assert_int_equal(__atomic_load_n(&host.boots, __ATOMIC_RELAXED), 1);
}

static void of_two_starts_at_once_one_says_already(void **state)
{
	struct fixture *f = *state;
	struct job a, b;

	(void)create(f, "web", true);
	fake_helper_delay(f->fake, OP_TAP_CREATE, 30);
	begin_start(f, &a);
	begin_start(f, &b);
	(void)pthread_join(a.thread, NULL);
	(void)pthread_join(b.thread, NULL);
	assert_int_equal(a.r, 0);
	assert_int_equal(b.r, 0);
	assert_int_equal(a.already + b.already, 1);
	assert_int_equal(host.boots, 1);
	assert_requests(f, makes, ARRAY_SIZE(makes));
}

static void delete_interrupts_a_start(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct job j;

	(void)create(f, "web", true);
	host.boot_waits = true;
	begin_start(f, &j);
	wait_for_boot();
	assert_int_equal(delete (f, "web", &e), 0);
	(void)pthread_join(j.thread, NULL);
	assert_int_equal(j.r, -1);
	assert_non_null(strstr(j.e.why, "interrupted"));
	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
}

static void kill_interrupts_a_start(void **state)
{
	struct fixture *f = *state;
	struct operation o = operation(f);
	struct error e = { 0 };
	bool already = false;
	struct job j;

	(void)create(f, "web", true);
	host.boot_waits = true;
	begin_start(f, &j);
	wait_for_boot();
	assert_int_equal(vm_kill(&f->c, &o, "web", &already, &e), 0);
	(void)pthread_join(j.thread, NULL);
	assert_int_equal(j.r, -1);
	assert_true(already);
	assert_nothing_left(f, "web", VM_CREATED);
}

static void *stop_thread(void *arg)
{
	struct job *j = arg;
	bool forced;

	j->r = vm_stop(&j->f->c, &j->o, j->name, 3600000, &j->already, &forced, &j->e);
	j->already = forced;
	return NULL;
}

static void kill_hurries_a_stop(void **state)
{
	struct fixture *f = *state;
	struct operation o = operation(f);
	struct error e = { 0 };
	bool already = false;
	struct job j = { .f = f, .name = "web", .o = operation(f) };

	host.guest_obeys = false;
	(void)create(f, "web", true);
	must_start(f, "web");
	assert_int_equal(pthread_create(&j.thread, NULL, stop_thread, &j), 0);
	while (row(f, "web").state != VM_STOPPING)
		(void)poll(NULL, 0, 1);
	assert_int_equal(vm_kill(&f->c, &o, "web", &already, &e), 0);
	(void)pthread_join(j.thread, NULL);
	assert_int_equal(j.r, 0);
	assert_true(j.already); /* forced */
	assert_nothing_left(f, "web", VM_STOPPED);
}

/* ---- a VMM that ends by itself ---- */

static void a_vmm_that_ends_is_released(void **state)
{
	struct fixture *f = *state;

	(void)create(f, "web", true);
	must_start(f, "web");
	fake_helper_vmm_exit(f->fake, 0);
	for (int i = 0; i < 6000 && row(f, "web").state != VM_STOPPED; i++)
		pump(f, 10);
	/* The operation's last commit comes after the state's, so stop() waits for the operation
	 * lock. */
	must_stop(f, "web");
	assert_nothing_left(f, "web", VM_STOPPED);
	assert_string_equal(row(f, "web").reason, "the VMM ended");
}

static void a_late_report_of_an_exit_changes_nothing(void **state)
{
	struct fixture *f = *state;

	struct vm vm = create(f, "web", true);
	must_start(f, "web");
	must_stop(f, "web");
	must_start(f, "web");
	fake_helper_forget(f->fake);
	vm_on_exit(&f->c, vm.id);
	assert_int_equal(fake_helper_total(f->fake), 0);
	assert_int_equal(row(f, "web").state, VM_RUNNING);
}

static void a_start_notices_that_the_vmm_has_ended(void **state)
{
	struct fixture *f = *state;
	bool already = true;
	struct error e = { 0 };

	(void)create(f, "web", true);
	must_start(f, "web");
	fake_helper_vmm_exit(f->fake, 0);
	assert_int_equal(start(f, "web", &already, &e), 0);
	assert_false(already);
	assert_int_equal(host.boots, 2);
	assert_int_equal(row(f, "web").state, VM_RUNNING);
	assert_true(fake_helper_vmm(f->fake, 0) > 0);
}

/* ---- create and set ---- */

static int try_create(struct fixture *f, const char *name, uint64_t vcpus, uint64_t mem,
		      uint64_t disk, struct error *e)
{
	struct operation o = operation(f);
	struct call_vm_create a = { .vcpus = vcpus, .mem_mib = mem, .disk_mib = disk };
	struct vm vm;

	(void)snprintf(a.name, sizeof(a.name), "%s", name);
	(void)snprintf(a.image, sizeof(a.image), "debian");
	return vm_create(&f->c, &o, &a, &vm, e);
}

static void create_checks_names_and_sizes(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *name;
		uint64_t vcpus, mem, disk;
		enum fail code;
		const char *says;
	} bad[] = {
		{ "Web", 0, 0, 0, FAIL_USAGE, "Web" },
		{ "a b", 0, 0, 0, FAIL_USAGE, "host name" },
		{ "../x", 0, 0, 0, FAIL_USAGE, "host name" },
		{ "web", 5, 0, 0, FAIL_LIMIT, "4" },
		{ "web", 0, 63, 0, FAIL_USAGE, "64 MiB" },
		{ "web", 0, 4097, 0, FAIL_LIMIT, "4096 MiB" },
		{ "web", 0, 0, 63, FAIL_USAGE, "64 MiB" },
		{ "web", 0, 0, 8193, FAIL_LIMIT, "8192 MiB" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error e = { 0 };
		assert_int_equal(try_create(f, bad[i].name, bad[i].vcpus, bad[i].mem, bad[i].disk,
					    &e),
				 -1);
		assert_int_equal(e.code, bad[i].code);
		assert_non_null(strstr(e.why, bad[i].says));
	}
	struct error e = { 0 };
	assert_int_equal(try_create(f, "web", 4, 4096, 8192, &e), 0);
	assert_int_equal(try_create(f, "web", 0, 0, 0, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
}

static void create_makes_a_name_and_fills_in_sizes(void **state)
{
	struct fixture *f = *state;
	struct vm vm = create(f, "", false);

	assert_int_equal(strlen(vm.name), 9);
	assert_true(strncmp(vm.name, "vm-", 3) == 0 && parse_is_label(vm.name));
	assert_int_equal(vm.vcpus, 1);
	assert_int_equal(vm.mem_mib, 512);
	assert_int_equal(vm.disk_mib, 64);
	assert_int_equal(vm.owner, OWNER);
}

static void a_create_that_fails_leaves_no_row(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct vm vm;

	for (int seed = 0; seed < 2; seed++) {
		host.create_fails = !seed;
		host.seed_fails = seed;
		assert_int_equal(try_create(f, "web", 0, 0, 0, &e), -1);
		assert_non_null(strstr(e.why, seed ? "seed" : "disk"));
		assert_int_equal(db_vm_find(f->c.db, &f->caller, "web", &vm, &(struct error){ 0 }),
				 -1);
	}
	assert_int_equal(host.removes, 2);
	host.remove_fails = true;
	assert_int_equal(try_create(f, "web", 0, 0, 0, &e), -1);
	assert_int_equal(row(f, "web").state, VM_FAILED);
	assert_int_equal(start(f, "web", NULL, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	host.remove_fails = false;
	assert_int_equal(delete (f, "web", &e), 0);
}

static void a_create_whose_end_can_not_be_recorded_is_undone(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };
	struct vm vm;
	static const char trap[] =
		"CREATE TEMP TRIGGER t BEFORE UPDATE ON operations WHEN new.code = 0"
		" BEGIN SELECT raise(ABORT, 'no end'); END;";

	assert_int_equal(sqlite3_exec(f->c.db->sqlite, trap, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(try_create(f, "web", 0, 0, 0, &e), -1);
	assert_non_null(strstr(e.why, "no end"));
	assert_int_equal(db_vm_find(f->c.db, &f->caller, "web", &vm, &e), -1);
}

static int set(struct fixture *f, uint64_t vcpus, uint64_t mem, uint64_t nat, struct error *e)
{
	struct operation o = operation(f);
	struct call_vm_set a = { .vm = "web", .vcpus = vcpus, .mem_mib = mem, .nat = nat };

	return vm_set(&f->c, &o, &a, e);
}

static void set_is_stored_and_nat_is_live(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "web", false);
	assert_int_equal(set(f, 2, 1024, 0, &e), 0);
	must_start(f, "web");
	assert_int_equal(set(f, 3, 0, 2, &e), 0);
	struct vm vm = row(f, "web");
	assert_int_equal(vm.vcpus, 3);
	assert_int_equal(vm.mem_mib, 1024);
	assert_true(vm.nat);
	assert_int_equal(vm.state, VM_RUNNING);
	assert_true(fake_helper_has(f->fake, 0, OBJ_NAT));
	assert_int_equal(set(f, 0, 0, 1, &e), 0);
	assert_false(fake_helper_has(f->fake, 0, OBJ_NAT));
	assert_false(row(f, "web").nat);
	assert_int_equal(set(f, 5, 0, 0, &e), -1);
	assert_int_equal(e.code, FAIL_LIMIT);
	assert_int_equal(set(f, 0, 1, 0, &e), -1);
	assert_int_equal(e.code, FAIL_USAGE);
	must_stop(f, "web");
	assert_nothing_left(f, "web", VM_STOPPED);
}

static void set_that_fails_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "web", false);
	must_start(f, "web");
	fake_helper_fail(f->fake, OP_NAT_ADD, ST_NOLOG, 1);
	assert_int_equal(set(f, 2, 0, 2, &e), -1);
	assert_int_equal(e.code, FAIL_HOST);
	struct vm vm = row(f, "web");
	assert_false(vm.nat);
	assert_int_equal(vm.vcpus, 1);
	assert_int_equal(vm.state, VM_RUNNING);
}

static void other_users_can_not_find_a_vm(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	(void)create(f, "web", false);
	f->caller.uid = OWNER + 1;
	assert_int_equal(start(f, "web", NULL, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(delete (f, "web", &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(fake_helper_total(f->fake), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(start_makes_and_stop_removes_in_order),
		TEST(start_of_a_running_vm_and_stop_of_a_stopped_one_say_already),
		TEST(start_costs_two_durable_commits),
		TEST(a_vm_can_be_started_again),
		TEST(a_disk_above_the_limit_is_not_started),
		TEST(a_guest_that_ignores_the_shutdown_is_killed),
		TEST(a_start_brings_its_volumes),
		TEST(a_volume_without_its_file_is_told),
		TEST(a_delete_lets_a_guest_write_its_volume),
		TEST(volumes_that_are_refused),
		TEST(files_that_a_vmm_left_are_removed),
		TEST(very_many_files_take_more_than_one_release),
		TEST(each_step_failing_with_each_status_leaves_nothing),
		TEST(a_refusal_says_what_and_why),
		TEST(a_host_without_a_monitor_starts_nothing),
		TEST(a_boot_that_fails_leaves_nothing),
		TEST(a_vmm_that_dies_says_its_last_line),
		TEST(a_vmm_that_dies_silently_adds_no_last_line),
		TEST(a_commit_that_fails_at_the_end_undoes_the_start),
		TEST(a_plan_that_can_not_be_written_asks_for_nothing),
		TEST(each_removal_failing_is_degraded_until_it_works),
		TEST(a_busy_removal_is_repeated),
		TEST(a_kill_asks_again_when_the_vmm_has_exited),
		TEST(a_rate_that_is_reached_only_delays_a_start),
		TEST(a_start_cleans_up_what_a_stop_could_not),
		TEST(a_dead_role_is_degraded_with_every_row_kept),
		TEST(delete_of_a_running_vm_leaves_nothing),
		TEST(delete_keeps_the_row_of_what_it_can_not_release),
		TEST(an_incomplete_vm_stays_failed),
		TEST(a_start_finishes_a_release_that_failed),
		TEST(the_generation_goes_up_on_reuse),
		TEST(of_two_starts_at_once_one_says_already),
		TEST(delete_interrupts_a_start),
		TEST(kill_interrupts_a_start),
		TEST(kill_hurries_a_stop),
		TEST(a_vmm_that_ends_is_released),
		TEST(a_late_report_of_an_exit_changes_nothing),
		TEST(a_start_notices_that_the_vmm_has_ended),
		TEST(create_checks_names_and_sizes),
		TEST(create_makes_a_name_and_fills_in_sizes),
		TEST(a_create_that_fails_leaves_no_row),
		TEST(a_create_whose_end_can_not_be_recorded_is_undone),
		TEST(set_is_stored_and_nat_is_live),
		TEST(set_that_fails_changes_nothing),
		TEST(other_users_can_not_find_a_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
