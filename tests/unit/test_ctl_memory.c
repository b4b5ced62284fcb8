/* Tests each allocation of each verb without memory: the first, the second, the third ...
 * allocation fails, once alone and once with all later ones, until a run passes.  A failed verb
 * says so, leaves nothing, and works when there is memory again; a successful one is complete.  Of
 * SQLite's allocations, which are many and tested by SQLite, only some fail.
 *
 * The linker gives our own calls to the functions below (Makefile, --wrap). jansson's calls come
 * through one of ours.  SQLite is told to use the functions. */
#include <errno.h>
#include <sqlite3.h>

#include "controller/api/exchange.h"
#include "controller/api/image_calls.h"
#include "controller/api/vm_calls.h"
#include "controller/json.h"
#include "controller/objects/object.h"
#include "controller/objects/release.h"
#include "controller/recovery/online.h"
#include "controller/db/connection.h"
#include "tests/unit/ctl_fixture.h"

/* For this thread alone, because the roles are threads too. */
static _Thread_local struct {
	bool armed, on; /* on: once it failed, it goes on failing */
	bool sqlite;    /* SQLite's, not ours */
	unsigned left, failed;
} mem;

static bool fails(bool sqlite)
{
	if (!mem.armed || sqlite != mem.sqlite)
		return false;
	if (mem.left && --mem.left)
		return false;
	if (mem.failed && !mem.on)
		return false;
	mem.failed++;
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t n)
{
	return fails(false) ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails(false) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails(false) ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails(false) ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return fails(false) ? NULL : __real_strdup(s);
}

static sqlite3_mem_methods usual;

static void *sql_malloc(int n)
{
	return fails(true) ? NULL : usual.xMalloc(n);
}

static void *sql_realloc(void *p, int n)
{
	return fails(true) ? NULL : usual.xRealloc(p, n);
}

static void listen_to_all(void)
{
	sqlite3_mem_methods ours;

	assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &usual), SQLITE_OK);
	ours = usual;
	ours.xMalloc = sql_malloc;
	ours.xRealloc = sql_realloc;
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &ours), SQLITE_OK);
}

/* ---- verbs ---- */

static int do_create(struct fixture *f, struct error *e)
{
	struct operation o = operation(f);
	struct call_vm_create a = { .name = "web", .image = "debian", .nat = true };
	struct vm vm;

	return vm_create(&f->c, &o, &a, &vm, e);
}

static int do_start(struct fixture *f, struct error *e)
{
	return start(f, "web", NULL, e);
}

static int do_set(struct fixture *f, struct error *e)
{
	struct operation o = operation(f);
	struct call_vm_set a = { .nat = 1, .mem_mib = 256 };

	(void)snprintf(a.vm, sizeof(a.vm), "web");
	return vm_set(&f->c, &o, &a, e);
}

static int do_stop(struct fixture *f, struct error *e)
{
	struct operation o = operation(f);
	bool already, forced;

	return vm_stop(&f->c, &o, "web", 0, &already, &forced, e);
}

static int do_kill(struct fixture *f, struct error *e)
{
	struct operation o = operation(f);
	bool already;

	return vm_kill(&f->c, &o, "web", &already, e);
}

static int do_delete(struct fixture *f, struct error *e)
{
	struct operation o = operation(f);

	return vm_delete(&f->c, &o, "web", e);
}

static int do_repair(struct fixture *f, struct error *e)
{
	struct repaired n;

	int r = online_repair(&f->c, &(struct repair_options){ .restore = true }, &n, e);
	if (r == 0 && n.failed)
		r = error_set(e, FAIL_GENERAL, "repair", "%u failed", n.failed);
	return r;
}

enum before { NOTHING, CREATED, RUNS, RUNS_WITHOUT_ELEMENTS };

static bool there(struct fixture *f)
{
	struct error e = { 0 };
	struct vm vm;

	return db_vm_find(f->c.db, &f->caller, "web", &vm, &e) == 0;
}

static void bring_to(struct fixture *f, enum before want)
{
	struct error e = { 0 };

	if (want == RUNS && there(f) && row(f, "web").state == VM_RUNNING)
		return;
	if (want == RUNS_WITHOUT_ELEMENTS && there(f) && row(f, "web").state == VM_RUNNING) {
		fake_helper_drop(f->fake, OBJ_GUEST, row(f, "web").slot);
		return;
	}
	if (there(f) && do_delete(f, &e) < 0)
		fail_msg("delete: %s: %s", e.what, e.why);
	assert_int_equal(fake_helper_objects(f->fake, 0), 0);
	if (want == NOTHING)
		return;
	(void)create(f, "web", true);
	if (want == CREATED)
		return;
	must_start(f, "web");
	if (want == RUNS_WITHOUT_ELEMENTS)
		fake_helper_drop(f->fake, OBJ_GUEST, row(f, "web").slot);
}

/* Assert that the ledger and the roles' objects agree. */
static void assert_no_lie(struct fixture *f, const char *verb, unsigned n)
{
	size_t objects = fake_helper_objects(f->fake, 0);

	if (!there(f)) {
		if (objects)
			fail_msg("%s, allocation %u: %zu objects of no VM", verb, n, objects);
		return;
	}
	struct vm vm = row(f, "web");
	size_t held = ledger(f, &vm, NULL);
	bool rests = vm.state == VM_CREATED || vm.state == VM_STOPPED;
	if (rests && (objects || held || !runtime_is_empty(&vm)))
		fail_msg("%s, allocation %u: %s, with %zu objects and %zu rows", verb, n,
			 vm_state_name(vm.state), objects, held);
	if (objects > held)
		fail_msg("%s, allocation %u: %zu objects, %zu rows", verb, n, objects, held);
	if (vm.state != VM_RUNNING)
		return;
	if (!vm.runtime.tap[0] || vm.runtime.pid <= 0 || vm.runtime.pid_start <= 0 ||
	    !vm.runtime.boot_id[0] || !vm.runtime.dm[0] || !vm.runtime.storage[0] ||
	    !vm.runtime.api_socket[0] || vm.runtime.loop_base < 0)
		fail_msg("%s, allocation %u: a runtime with holes", verb, n);
}

static const struct verb {
	const char *name;
	enum before before;
	int (*fn)(struct fixture *f, struct error *e);
} verbs[] = {
	{ "create", NOTHING, do_create },
	{ "start", CREATED, do_start },
	{ "set", RUNS, do_set },
	{ "stop", RUNS, do_stop },
	{ "kill", RUNS, do_kill },
	{ "delete", RUNS, do_delete },
	{ "repair", RUNS_WITHOUT_ELEMENTS, do_repair },
};

/* Run @v with the @n-th allocation failing.  Return: false when the verb makes fewer
 * allocations. */
static bool one_try(struct fixture *f, const struct verb *v, unsigned n, bool on, bool sqlite)
{
	struct error e = { 0 };

	bring_to(f, v->before);
	mem = (typeof(mem)){ .armed = true, .on = on, .sqlite = sqlite, .left = n };
	int r = v->fn(f, &e);
	mem.armed = false;
	bool hit = mem.failed > 0;
	if (r < 0 && (e.code == FAIL_NONE || !e.why[0]))
		fail_msg("%s, allocation %u: no reason", v->name, n);
	if (!hit && r < 0)
		fail_msg("%s: %s: %s", v->name, e.what, e.why);
	if (r < 0 && v->fn != do_repair) {
		/* The verb is repeated with memory: it finishes what was half done, or does it
		 * again. */
		struct error again = { 0 };
		bool gone = v->fn == do_delete && !there(f);
		bool made = v->fn == do_create && there(f);
		if (!gone && !made && v->fn(f, &again) < 0)
			fail_msg("%s, allocation %u: again: %s: %s", v->name, n, again.what,
				 again.why);
	}
	if (r == 0 && v->fn == do_repair) {
		/* A verb that reported success has left nothing to repair. */
		struct repaired left;
		assert_int_equal(online_repair(&f->c, &(struct repair_options){ .restore = true },
					       &left, &e),
				 0);
		if (left.found)
			fail_msg("%s, allocation %u: it left %u", v->name, n, left.found);
	}
	assert_no_lie(f, v->name, n);
	return hit;
}

static void every_allocation_may_fail(void **state)
{
	struct fixture *f = *state;
	unsigned tries = 0;

	assert_int_equal(sqlite3_exec(f->c.db->sqlite, "PRAGMA synchronous = OFF", NULL, NULL,
				      NULL),
			 SQLITE_OK);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		for (int mode = 0; mode < 4; mode++) {
			const bool on = mode & 1, sqlite = mode & 2;
			unsigned n = 1 + 11 * (on && sqlite);
			for (; one_try(f, &verbs[i], n, on, sqlite); tries++)
				n += sqlite ? 23 : 1;
			assert_in_range(n, 2, 2000);
		}
	print_message("# %u tries\n", tries);
	bring_to(f, NOTHING);
	assert_int_equal(fake_helper_violations(f->fake), 0);
}

/* The opening checks the whole database.  A failure is reported and changes nothing. */
static void the_database_opens_or_says_why(void **state)
{
	struct fixture *f = *state;
	struct error e = { 0 };

	bring_to(f, RUNS);
	db_close(f->c.db);
	f->c.db = NULL;
	for (unsigned n = 1; !f->c.db; n += 9) {
		e = (struct error){ 0 };
		mem = (typeof(mem)){ .armed = true, .on = true, .sqlite = true, .left = n };
		f->c.db = db_open(f->db, &e);
		mem.armed = false;
		if (!f->c.db && (e.code == FAIL_NONE || !e.why[0]))
			fail_msg("allocation %u: no reason", n);
		assert_in_range(n, 1, 2000);
	}
	assert_no_lie(f, "open", 0);
	bring_to(f, NOTHING);
}

/* An identity that lost a character would make a living VM look dead, or a record look like another
 * user's. */
static void a_value_is_whole_or_not_there(void **state)
{
	static const char text[] = "{\"boot_id\":\"a573d705-81bc-4fee-bc9a-d0c8ae047021\","
				   "\"owner\":1000,\"pid_start\":3674221}";
	json_t *want = json_read(text, strlen(text));
	unsigned n = 1;

	(void)state;
	assert_non_null(want);
	for (bool hit = true; hit; n++)
		for (int on = 0; on < 2; on++) {
			mem = (typeof(mem)){ .armed = true, .on = on, .left = n };
			json_t *have = json_read(text, strlen(text));
			mem.armed = false;
			hit = mem.failed > 0;
			assert_true(have ? !hit && json_equal(have, want) : errno == ENOMEM);
			json_decref(have);
		}
	assert_true(n > 10);
	json_decref(want);
}

/* A list is gathered before it is sent: without memory for all rows the request fails, instead of
 * sending fewer. */
static void a_list_is_whole_or_says_why(void **state)
{
	static const struct {
		enum call_id id;
		exchange_fn fn;
	} lists[] = {
		{ CALL_VM_LIST, api_vm_list },
		{ CALL_IMAGE_LIST, api_image_list },
		{ CALL_KERNEL_LIST, api_kernel_list },
	};
	struct fixture *f = *state;

	bring_to(f, CREATED);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		unsigned n = 1;
		for (bool hit = true; hit; n++) {
			/* A client that has gone: nothing is sent. */
			struct exchange x = { .ctl = &f->c,
					      .fd = -1,
					      .caller = f->caller,
					      .call = control_call(lists[i].id),
					      .gone = true };
			mem = (typeof(mem)){ .armed = true, .left = n };
			int r = lists[i].fn(&x);
			mem.armed = false;
			hit = mem.failed > 0;
			if (r == EXCHANGE_DONE && hit)
				fail_msg("%s, allocation %u: a list without its rows", x.call->name,
					 n);
			assert_true(hit || r == EXCHANGE_DONE);
			if (hit && (x.error.code != FAIL_HOST ||
				    !strstr(x.error.why, "out of memory") || !x.error.hint[0]))
				fail_msg("%s, allocation %u: %d, \"%s\"", x.call->name, n,
					 x.error.code, x.error.why);
		}
		assert_true(n > 3); /* its ids, its rows */
	}
	bring_to(f, NOTHING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_allocation_may_fail),
		TEST(a_value_is_whole_or_not_there),
		TEST(the_database_opens_or_says_why),
		TEST(a_list_is_whole_or_says_why),
	};

	listen_to_all();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
