/* Tests the state database: migrations, slots, references, the ledger, and a full disk. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "controller/db/check.h"
#include "controller/db/connection.h"
#include "controller/db/schema.h"
#include "controller/db/db.h"

#define DIGEST_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_K "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static const struct caller root = { .uid = 0 }, ann = { .uid = 1000 }, bob = { .uid = 1001 };
static struct config config = { .slots = 8, .max_vms_per_owner = 8 };
static _Thread_local struct error e;

static struct operation operation(const struct caller *c, unsigned n)
{
	struct operation o = { .caller = c };

	o.id[0] = (uint8_t)(n >> 8);
	o.id[1] = (uint8_t)n;
	format_id(o.id, o.hex);
	return o;
}

static void add_image(struct db *s, uint32_t owner, const char *name)
{
	struct artifact k = {
		.type = ARTIFACT_KERNEL, .owner = owner, .digest = DIGEST_K, .size = 5
	};
	struct artifact i = { .type = ARTIFACT_IMAGE,
			      .owner = owner,
			      .digest = DIGEST_A,
			      .kernel_digest = DIGEST_K,
			      .size = 1 << 20 };

	(void)snprintf(k.name, sizeof(k.name), "%s", name);
	(void)snprintf(i.name, sizeof(i.name), "%s", name);
	(void)snprintf(i.kernel, sizeof(i.kernel), "%s", name);
	assert_int_equal(db_artifact_add(s, &k, 8, &e), 0);
	assert_int_equal(db_artifact_add(s, &i, 8, &e), 0);
}

static int setup(void **state)
{
	struct db *s = db_open(":memory:", &e);

	if (!s)
		return -1;
	add_image(s, 0, "debian");
	config.slots = config.max_vms_per_owner = 8;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	db_close(*state);
	return 0;
}

static struct vm wanted(uint32_t owner, const char *name)
{
	struct vm vm = { .owner = owner,
			 .image = "debian",
			 .image_digest = DIGEST_A,
			 .vcpus = 2,
			 .mem_mib = 512,
			 .disk_mib = 1024,
			 .nat = true,
			 .ssh_key = "ssh-ed25519 AAAA x" };

	(void)snprintf(vm.name, sizeof(vm.name), "%s", name);
	return vm;
}

static int try_create(struct db *s, uint32_t owner, const char *name, struct vm *vm)
{
	static unsigned n;
	const struct caller c = { .uid = owner };
	struct operation o = operation(&c, __atomic_add_fetch(&n, 1, __ATOMIC_RELAXED));
	struct error mine = { 0 };
	int r;

	*vm = wanted(owner, name);
	r = db_vm_create(s, vm, &config, &o, &mine);
	if (r < 0)
		e = mine;
	return r;
}

static struct vm create(struct db *s, uint32_t owner, const char *name)
{
	struct vm vm;

	if (try_create(s, owner, name, &vm) < 0)
		fail_msg("%s: %s", e.what, e.why);
	return vm;
}

/* ---- files ---- */

static char folder[64];

static const char *in_folder(const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static int setup_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/banger-store-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown_folder(void **state)
{
	static const char *const names[] = { "db",        "db-wal",    "db-shm", "db.v1",
					     "db.v1-wal", "db.v1-shm", "db.v6",  "db.backup" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(in_folder(names[i]));
	return rmdir(folder); /* rmdir(2) fails if another file was left */
}

static void sql(const char *path, const char *text)
{
	sqlite3 *db;
	char *message = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s", message);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The first schema.  It must never be edited. */
static const char schema_1[] =
	"CREATE TABLE kernels (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, name TEXT NOT NULL, "
	"digest TEXT NOT NULL,"
	" size INTEGER NOT NULL, created TEXT NOT NULL, UNIQUE (owner, name)) STRICT;"
	"CREATE TABLE images (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, name TEXT NOT NULL, "
	"digest TEXT NOT NULL,"
	" kernel INTEGER NOT NULL REFERENCES kernels(id) ON DELETE RESTRICT, size INTEGER NOT NULL,"
	" created TEXT NOT NULL, UNIQUE (owner, name)) STRICT;"
	"CREATE TABLE slots (slot INTEGER PRIMARY KEY, generation INTEGER NOT NULL, freed INTEGER "
	"NOT NULL DEFAULT 0) STRICT;"
	"CREATE TABLE vms (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE CHECK (length(id) = "
	"16),"
	" owner INTEGER NOT NULL, name TEXT NOT NULL, image INTEGER NOT NULL REFERENCES images(id) "
	"ON DELETE RESTRICT,"
	" slot INTEGER NOT NULL UNIQUE REFERENCES slots(slot) ON DELETE RESTRICT, generation "
	"INTEGER NOT NULL,"
	" vcpus INTEGER NOT NULL, mem_mib INTEGER NOT NULL, disk_mib INTEGER NOT NULL, nat INTEGER "
	"NOT NULL,"
	" ssh_key TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, created TEXT NOT NULL,"
	" started TEXT NOT NULL, op TEXT NOT NULL, runtime TEXT NOT NULL DEFAULT '{}', UNIQUE "
	"(owner, name)) STRICT;"
	"CREATE TABLE operations (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, verb TEXT NOT "
	"NULL, vm BLOB,"
	" uid INTEGER, owner INTEGER, begun TEXT NOT NULL, ended TEXT, code INTEGER, error TEXT) "
	"STRICT;"
	"CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"
	"INSERT INTO kernels VALUES (1, 0, 'deb', 'k', 1, '2024-01-01T00:00:00Z');"
	"INSERT INTO images VALUES (1, 0, 'deb', 'd', 1, 1048576, '2024-01-01T00:00:00Z');"
	"INSERT INTO slots VALUES (3, 5, 0), (4, 1, 0);"
	"INSERT INTO vms VALUES (1, x'000102030405060708090a0b0c0d0e0f', 1000, 'old', 1, 3, 5, 1, "
	"256, 1, 1, '', 'running',"
	" '', '2024-01-02T03:04:05Z', '2024-01-02T03:04:06.5Z', '', '{\"tap\":\"bgr3\"}');"
	"INSERT INTO vms VALUES (2, x'100102030405060708090a0b0c0d0e0f', 1000, 'broken', 1, 4, 1, "
	"1, 256, 1, 0, '', 'dreaming',"
	" '', 'never', '', '', 'no JSON');"
	"PRAGMA user_version = 1;";

static void test_migration(void **state)
{
	struct db *s;
	struct vm vm;
	struct ledger_row rows[OBJ_COUNT];
	struct stat st;
	size_t n;
	const enum object tap = OBJ_TAP;

	(void)state;
	sql(in_folder("db"), schema_1);
	s = db_open(in_folder("db"), &e);
	if (!s)
		fail_msg("%s: %s", e.what, e.why);
	assert_int_equal(db_vm_find(s, &ann, "old", &vm, &e), 0);
	assert_string_equal(vm.runtime.tap, "bgr3");
	assert_int_equal(vm.runtime.loop_base, -1);
	assert_int_equal(vm.runtime.loop_cow, -1);
	assert_string_equal(vm.runtime.boot_id, "");
	assert_int_equal(vm.slot, 3);
	assert_int_equal(vm.generation, 5);
	assert_int_equal(vm.created_ns, 1704164645000000000u);
	assert_int_equal(vm.hold, HOLD_NONE);
	assert_int_equal(vm.state, VM_RUNNING);
	/* The new table works with the old row. */
	assert_int_equal(db_ledger_rows(s, vm.id, rows, &n, &e), 0);
	assert_int_equal(n, 0);
	assert_int_equal(db_ledger_plan(s, &vm, &tap, 1, NULL, &e), 0);
	/* An unreadable value is empty, and the row can still be read. */
	assert_int_equal(db_vm_find(s, &ann, "broken", &vm, &e), 0);
	assert_int_equal(vm.runtime.loop_base, -1);
	assert_int_equal(vm.state, VM_FAILED);
	db_close(s);
	assert_int_equal(stat(in_folder("db.v1"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	sql(in_folder("db.v1"), "SELECT count(*) FROM vms");

	/* A second time there is nothing to do. */
	assert_int_equal(unlink(in_folder("db.v1")), 0);
	s = db_open(in_folder("db"), &e);
	assert_non_null(s);
	db_close(s);
	assert_int_equal(access(in_folder("db.v1"), F_OK), -1);
}

static void test_new_file(void **state)
{
	struct db *s = db_open(in_folder("db"), &e);
	struct stat st;

	(void)state;
	assert_non_null(s);
	assert_int_equal(stat(in_folder("db"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(in_folder("db-wal"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	db_close(s);
	assert_int_equal(access(in_folder("db.v1"), F_OK), -1);
}

/* ---- damaged, locked and foreign files ---- */

#define PAGE 4096u

struct bytes {
	unsigned char *v;
	size_t n;
};

/* Read a file; a missing file has no bytes. */
static struct bytes slurp(const char *name)
{
	FILE *f = fopen(in_folder(name), "r");
	struct bytes b = { 0 };

	if (!f)
		return b;
	(void)fseek(f, 0, SEEK_END);
	b.n = (size_t)ftell(f);
	rewind(f);
	b.v = malloc(b.n + 1);
	assert_non_null(b.v);
	assert_int_equal(fread(b.v, 1, b.n, f), b.n);
	(void)fclose(f);
	return b;
}

static void spit(const char *name, const void *v, size_t n)
{
	FILE *f = fopen(in_folder(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(v, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void assert_same(const char *name, struct bytes *before)
{
	struct bytes now = slurp(name);

	assert_int_equal(now.n, before->n);
	if (now.n)
		assert_memory_equal(now.v, before->v, now.n);
	free(now.v);
	free(before->v);
}

/* Assert that the file is refused with a reason and a hint, and that its bytes did not change. */
static void assert_refused(enum fail code, const char *why)
{
	struct bytes db = slurp("db"), log = slurp("db-wal");

	assert_null(db_open(in_folder("db"), &e));
	assert_int_equal(e.code, code);
	assert_string_equal(e.what, in_folder("db"));
	if (!strstr(e.why, why))
		fail_msg("\"%s\" does not say \"%s\"", e.why, why);
	assert_true(e.hint[0]);
	assert_same("db", &db);
	assert_same("db-wal", &log);
}

static struct db *must_open(void)
{
	struct db *s = db_open(in_folder("db"), &e);

	if (!s)
		fail_msg("%s: %s", e.what, e.why);
	return s;
}

static void make_some(struct db *s, int from, int to)
{
	char name[16];

	config.slots = config.max_vms_per_owner = 1000;
	for (int i = from; i < to; i++) {
		(void)snprintf(name, sizeof(name), "vm%d", i);
		(void)create(s, 1000, name);
	}
}

static int count_vm(void *arg, const struct vm *vm)
{
	(void)vm;
	++*(int *)arg;
	return 0;
}

static int count_vms(struct db *s)
{
	int n = 0;

	assert_int_equal(db_vm_each(s, NULL, true, count_vm, &n, &e), 0);
	return n;
}

static void test_hold_is_kept(void **state)
{
	struct db *s = must_open();
	struct vm vm;

	(void)state;
	add_image(s, 0, "debian");
	make_some(s, 0, 1);
	assert_int_equal(db_vm_find(s, &ann, "vm0", &vm, &e), 0);
	assert_int_equal(vm.hold, HOLD_NONE);
	vm.hold = HOLD_DELETE;
	assert_int_equal(db_vm_update(s, &vm, &e), 0);
	db_close(s);
	s = must_open();
	assert_int_equal(db_vm_find(s, &ann, "vm0", &vm, &e), 0);
	assert_int_equal(vm.hold, HOLD_DELETE);
	db_close(s);
	/* A number of a newer program deletes nothing. */
	sql(in_folder("db"), "UPDATE vms SET hold = 99");
	s = must_open();
	assert_int_equal(db_vm_find(s, &ann, "vm0", &vm, &e), 0);
	assert_int_equal(vm.hold, HOLD_STOP);
	db_close(s);
}

static void test_newer_is_refused(void **state)
{
	char backup[16];

	(void)state;
	sql(in_folder("db"), "CREATE TABLE future (x); PRAGMA user_version = 99;");
	assert_refused(FAIL_STATE, "schema 99");
	assert_string_equal(e.hint,
			    "install the newer banger again"); /* there is no backup to be named */
	(void)snprintf(backup, sizeof(backup), "db.v%d", schema_known());
	spit(backup, "", 0);
	assert_refused(FAIL_STATE, "schema 99");
	assert_non_null(strstr(e.hint, backup));
}

static void test_foreign_is_refused(void **state)
{
	(void)state;
	sql(in_folder("db"), "CREATE TABLE cookies (x);");
	assert_refused(FAIL_STATE, "not one of banger's");
}

static void test_garbage_is_refused(void **state)
{
	static char x[PAGE];

	(void)state;
	memset(x, 'x', sizeof(x));
	spit("db", x, sizeof(x));
	assert_refused(FAIL_HOST, "no database");
	assert_null(db_open("/nonexistent/db", &e));
	assert_int_equal(e.code, FAIL_HOST);
	assert_int_equal(unlink(in_folder("db")), 0);
	assert_int_equal(symlink("/etc/hostname", in_folder("db")), 0);
	assert_null(db_open(in_folder("db"), &e));
	assert_int_equal(e.code, FAIL_HOST);
	assert_true(e.hint[0]);
}

static bool is_used(const unsigned char *page)
{
	for (size_t i = 0; i < PAGE; i++)
		if (page[i])
			return true;
	return false;
}

/* One page after the other is overwritten. */
static void test_damage_is_refused(void **state)
{
	struct db *s = must_open();
	unsigned refused = 0;

	(void)state;
	add_image(s, 0, "debian");
	make_some(s, 0, 60);
	db_close(s);
	struct bytes whole = slurp("db");
	assert_int_equal(unlink(in_folder("db-wal")), 0);
	for (size_t at = 0; at + PAGE <= whole.n; at += PAGE) {
		unsigned char was[PAGE];
		if (!is_used(whole.v + at))
			continue; /* reserved room, not a page yet */
		memcpy(was, whole.v + at, PAGE);
		memset(whole.v + at, 0x5a, PAGE);
		spit("db", whole.v, whole.n);
		assert_refused(FAIL_HOST, at ? "damaged" : "no database");
		memcpy(whole.v + at, was, PAGE);
		refused++;
	}
	assert_in_range(refused, 20, 200);
	spit("db", whole.v, whole.n);
	free(whole.v);
	s = must_open();
	assert_int_equal(count_vms(s), 60);
	db_close(s);
}

/* SQLite would take the file for a new one, and discard the log. */
static void test_a_cut_file_is_refused(void **state)
{
	struct db *s = must_open();

	(void)state;
	add_image(s, 0, "debian");
	db_close(s);
	assert_int_equal(truncate(in_folder("db"), 0), 0);
	assert_refused(FAIL_HOST, "it was cut");
	/* Without a log the file is one that an interrupted installation has left. */
	assert_int_equal(unlink(in_folder("db-wal")), 0);
	db_close(must_open());
}

static void test_a_locked_one_is_refused(void **state)
{
	struct db *s = must_open();
	sqlite3 *other;

	(void)state;
	add_image(s, 0, "debian");
	db_close(s);
	assert_int_equal(sqlite3_open(in_folder("db"), &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_null(db_open(in_folder("db"), &e));
	assert_int_equal(e.code, FAIL_HOST);
	assert_non_null(strstr(e.why, "another program holds"));
	assert_non_null(strstr(e.hint, "fuser"));
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	db_close(must_open());
}

/* A lock while the database is open: commits fail with the reason, and no change is half done. */
static void test_a_lock_while_it_is_open(void **state)
{
	struct db *s = must_open();
	sqlite3 *other;
	struct vm vm;

	(void)state;
	add_image(s, 0, "debian");
	make_some(s, 0, 1);
	assert_int_equal(sqlite3_open(in_folder("db"), &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_busy_timeout(s->sqlite, 10), SQLITE_OK);
	assert_int_equal(try_create(s, 1000, "late", &vm), -1);
	assert_int_equal(e.code, FAIL_HOST);
	assert_non_null(strstr(e.why, "another program holds"));
	assert_int_equal(count_vms(s), 1);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	make_some(s, 1, 2);
	assert_int_equal(count_vms(s), 2);
	db_close(s);
}

/* A power cut may leave a beginning of the log, and older bytes after it.  Only the last commits
 * are lost, and each is there whole or not at all. */
static void test_a_torn_log(void **state)
{
	struct db *s = must_open();
	const size_t frame = 24 + PAGE;
	int last = 0;

	(void)state;
	add_image(s, 0, "debian");
	assert_int_equal(sqlite3_wal_checkpoint_v2(s->sqlite, NULL, SQLITE_CHECKPOINT_FULL, NULL,
						   NULL),
			 SQLITE_OK);
	make_some(s, 0, 10);
	struct bytes db = slurp("db"), log = slurp("db-wal"); /* as a kill leaves them */
	db_close(s);
	for (size_t at = 0; last < 10 && at < log.n; at += frame + frame / 3) {
		spit("db", db.v, db.n);
		spit("db-wal", log.v, at);
		(void)unlink(in_folder("db-shm"));
		s = must_open();
		int n = count_vms(s);
		assert_in_range(n, last, 10);
		last = n;
		db_close(s);
	}
	assert_int_equal(last, 10);
	free(db.v);
	free(log.v);
}

/* Yesterday's database replaces today's, but the log beside it stays. */
static void test_a_copy_does_not_meet_another_ones_log(void **state)
{
	struct db *s = must_open();

	(void)state;
	add_image(s, 0, "debian");
	make_some(s, 0, 20);
	assert_int_equal(db_backup(s, 0, &e), 1);
	struct bytes yesterday = slurp("db.backup");
	make_some(s, 20, 300); /* with checkpoints, so that the log has only a part */
	struct bytes killed = slurp("db-wal");
	db_close(s); /* the clean stop that comes before */
	spit("db", yesterday.v, yesterday.n);
	s = must_open();
	assert_int_equal(count_vms(s), 20);
	db_close(s);

	/* After a kill the log is full.  The mixture is refused, and both files are kept. */
	spit("db", yesterday.v, yesterday.n);
	spit("db-wal", killed.v, killed.n);
	(void)unlink(in_folder("db-shm"));
	assert_refused(FAIL_HOST, "damaged");
	assert_int_equal(unlink(in_folder("db-wal")), 0);
	s = must_open();
	assert_int_equal(count_vms(s), 20);
	db_close(s);
	free(yesterday.v);
	free(killed.v);
}

/* The file's name is removed, or given to another file, while the database is in use. */
static void test_taken_away(void **state)
{
	char db[128], away[128], rescued[128];
	struct vm vm;

	(void)state;
	(void)snprintf(db, sizeof(db), "%s", in_folder("db"));
	(void)snprintf(away, sizeof(away), "%s", in_folder("db.v1"));
	(void)snprintf(rescued, sizeof(rescued), "%s", in_folder("db.rescued"));
	struct db *s = db_open(db, &e);
	assert_non_null(s);
	assert_int_equal(db_in_place(s, "web", &e), 0);
	assert_int_equal(rename(db, away), 0);
	assert_int_equal(db_in_place(s, "web", &e), -1);
	assert_int_equal(e.code, FAIL_HOST);
	assert_non_null(strstr(e.hint, "db.rescued"));
	assert_int_equal(rename(away, db), 0);
	assert_int_equal(db_in_place(s, "web", &e), 0);
	assert_int_equal(unlink(in_folder("db")), 0);
	sql(in_folder("db"), "CREATE TABLE other (id INTEGER)");
	assert_int_equal(db_in_place(s, "web", &e), -1);
	assert_int_equal(db_rescue(s, &e), 0);
	/* Later changes are rescued when the database is closed. */
	add_image(s, 0, "debian");
	config.slots = config.max_vms_per_owner = 8;
	vm = create(s, 1000, "late");
	db_close(s);
	(void)unlink(in_folder("db"));
	(void)unlink(in_folder("db-wal"));
	(void)unlink(in_folder("db-shm"));
	assert_int_equal(rename(rescued, db), 0);
	s = db_open(in_folder("db"), &e);
	assert_non_null(s);
	assert_int_equal(db_vm_by_id(s, vm.id, &vm, &e), 0);
	db_close(s);
}

static void test_backup(void **state)
{
	struct db *s = must_open();
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct stat st;

	(void)state;
	add_image(s, 0, "debian");
	make_some(s, 0, 3);
	assert_int_equal(db_backup(s, 86400, &e), 1);
	assert_int_equal(db_backup(s, 86400, &e), 0);
	assert_int_equal(utimensat(AT_FDCWD, in_folder("db.backup"), old, 0), 0);
	make_some(s, 3, 4);
	assert_int_equal(db_backup(s, 86400, &e), 1);
	assert_int_equal(stat(in_folder("db.backup"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	db_close(s);
	s = db_open(in_folder("db.backup"), &e);
	assert_non_null(s);
	assert_int_equal(count_vms(s), 4);
	db_close(s);
	(void)unlink(in_folder("db.backup-wal"));
	(void)unlink(in_folder("db.backup-shm"));
}

/* The database reserves room for what a full disk must not prevent: the greatest length of the log
 * (a checkpoint comes every 4 MiB). */
static void test_room_is_kept(void **state)
{
	struct db *s = must_open();
	struct stat st;

	(void)state;
	assert_int_equal(stat(in_folder("db-wal"), &st), 0);
	assert_in_range(st.st_size, 8 << 20, 9 << 20);
	assert_in_range(st.st_blocks * 512, 8 << 20, 9 << 20); /* blocks, not a hole */
	add_image(s, 0, "debian");
	make_some(s, 0, 300); /* several checkpoints */
	assert_int_equal(stat(in_folder("db-wal"), &st), 0);
	assert_in_range(st.st_size, 8 << 20, 9 << 20);
	db_close(s);
	assert_int_equal(stat(in_folder("db-wal"), &st), 0);
	assert_in_range(st.st_size, 8 << 20, 9 << 20);
	assert_int_equal(truncate(in_folder("db-wal"), 0), 0);
	db_close(must_open());
	assert_int_equal(stat(in_folder("db-wal"), &st), 0);
	assert_in_range(st.st_size, 8 << 20, 9 << 20);
}

static void test_survives_a_reopen(void **state)
{
	struct db *s = db_open(in_folder("db"), &e);
	struct vm vm, again;

	(void)state;
	add_image(s, 0, "debian");
	vm = create(s, 1000, "web");
	vm.state = VM_RUNNING;
	vm.started_ns = 1700000000123456789u;
	vm.runtime = (struct vm_runtime){ .boot_id = "b",
					  .tap = "bgr0",
					  .dm = "bgr-0",
					  .loop_base = 0,
					  .loop_cow = 12,
					  .pid = 77,
					  .pid_start = 88,
					  .vmm = VMM_FIRECRACKER,
					  .accel = ACCEL_KVM,
					  .storage = "copy",
					  .api_socket = "/run/x" };
	assert_int_equal(db_vm_update(s, &vm, &e), 0);
	db_close(s);
	s = db_open(in_folder("db"), &e);
	assert_int_equal(db_vm_by_id(s, vm.id, &again, &e), 0);
	assert_memory_equal(&again.runtime, &vm.runtime, sizeof(vm.runtime));
	assert_int_equal(again.started_ns, vm.started_ns);
	assert_int_equal(again.created_ns, vm.created_ns);
	assert_string_equal(again.ssh_key, vm.ssh_key);
	assert_string_equal(again.image, "debian");
	assert_string_equal(again.kernel_digest, DIGEST_K);
	db_close(s);
}

static void test_full(void **state)
{
	struct db *s = db_open(in_folder("db"), &e);
	struct vm vm;
	int made = 0;

	(void)state;
	add_image(s, 0, "debian");
	config.slots = config.max_vms_per_owner = 1000;
	assert_int_equal(sqlite3_exec(s->sqlite, "PRAGMA max_page_count = 40", NULL, NULL, NULL),
			 SQLITE_OK);
	for (char name[16]; made < 1000; made++) {
		(void)snprintf(name, sizeof(name), "vm%d", made);
		vm = wanted(1000, name);
		memset(vm.ssh_key, 'k', 3000);
		struct operation o = operation(&ann, (unsigned)made);
		if (db_vm_create(s, &vm, &config, &o, &e) < 0)
			break;
	}
	assert_in_range(made, 1, 100);
	assert_int_equal(e.code, FAIL_HOST);
	assert_non_null(strstr(e.why, "no room"));
	assert_true(e.hint[0]);
	/* The failed create left nothing, and a release still works. */
	assert_int_equal(db_vm_find(s, &ann, vm.name, &vm, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(db_vm_find(s, &ann, "vm0", &vm, &e), 0);
	assert_int_equal(db_vm_delete(s, &vm, &e), 0);
	assert_int_equal(sqlite3_exec(s->sqlite, "PRAGMA max_page_count = 4000", NULL, NULL, NULL),
			 SQLITE_OK);
	(void)create(s, 1000, "after");
	db_close(s);
}

/* ---- slots ---- */

static void test_name_taken(void **state)
{
	struct vm vm;

	(void)create(*state, 1000, "web");
	assert_int_equal(try_create(*state, 1000, "web", &vm), -1);
	assert_int_equal(e.code, FAIL_STATE);
	(void)create(*state, 1001, "web"); /* another's name space */
}

static void test_slots_exhausted(void **state)
{
	struct vm vm;

	config.slots = 2;
	(void)create(*state, 1000, "a");
	(void)create(*state, 1000, "b");
	assert_int_equal(try_create(*state, 1000, "c", &vm), -1);
	assert_int_equal(e.code, FAIL_LIMIT);
	assert_non_null(strstr(e.why, "slots"));
}

static void test_owner_cap(void **state)
{
	struct vm vm;

	config.max_vms_per_owner = 1;
	(void)create(*state, 1000, "a");
	assert_int_equal(try_create(*state, 1000, "b", &vm), -1);
	assert_int_equal(e.code, FAIL_LIMIT);
	assert_true(e.hint[0]);
	(void)create(*state, 1001, "a");
}

static void test_slot_reuse(void **state)
{
	struct vm a, b, c, d;

	config.slots = 3;
	a = create(*state, 1000, "a");
	b = create(*state, 1000, "b");
	assert_int_equal(a.slot, 0);
	assert_int_equal(b.slot, 1);
	assert_int_equal(a.generation, 1);
	assert_int_equal(db_vm_delete(*state, &b, &e), 0);
	assert_int_equal(db_vm_delete(*state, &a, &e), 0);
	c = create(*state, 1000, "c"); /* never used before used */
	assert_int_equal(c.slot, 2);
	d = create(*state, 1000, "d"); /* b's came back before a's */
	assert_int_equal(d.slot, 1);
	assert_int_equal(d.generation, 2);
	assert_memory_not_equal(d.id, b.id, ID_LEN);
}

static void test_slot_floor(void **state)
{
	struct vm vm;

	assert_int_equal(db_slot_floor(*state, 0, 41, &e), 0);
	assert_int_equal(db_slot_floor(*state, 0, 7, &e), 0); /* never down */
	assert_int_equal(db_slot_floor(*state, 0, UINT32_MAX, &e),
			 0); /* nor beyond all numbers, by a false report */
	config.slots = 1;
	vm = create(*state, 1000, "a");
	assert_int_equal(vm.slot, 0);
	assert_int_equal(vm.generation, 42);
}

static void *create_many(void *arg)
{
	static unsigned n;
	unsigned me = __atomic_fetch_add(&n, 1, __ATOMIC_RELAXED);
	struct vm vm;
	char name[32];
	uintptr_t made = 0;

	for (unsigned i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "vm-%u-%u", me, i);
		made += try_create(arg, 1000 + me, name, &vm) == 0;
	}
	return (void *)made;
}

static int mark_slot(void *arg, const struct vm *vm)
{
	unsigned *uses = arg;

	uses[vm->slot]++;
	return 0;
}

static void test_threads_never_share_a_slot(void **state)
{
	pthread_t t[8];
	unsigned uses[100] = { 0 };
	uintptr_t made = 0;
	void *r;

	config.slots = config.max_vms_per_owner = 100; /* 160 are wanted */
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, create_many, *state), 0);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(t[i], &r), 0);
		made += (uintptr_t)r;
	}
	assert_int_equal(made, 100);
	assert_int_equal(db_vm_each(*state, NULL, true, mark_slot, uses, &e), 0);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(uses[i], 1);
}

static void test_no_such_image(void **state)
{
	struct operation o = operation(&ann, 1);
	struct vm vm = wanted(1000, "a");

	vm.image_digest[0] = 'b';
	assert_int_equal(db_vm_create(*state, &vm, &config, &o, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
}

static void test_another_users_image(void **state)
{
	struct db *s = *state;
	struct operation o = operation(&ann, 1);
	struct vm vm = wanted(1000, "a");
	struct artifact i = { .type = ARTIFACT_IMAGE };
	bool last;

	/* Only bob has that content now. */
	assert_int_equal(db_artifact_find(s, &root, "debian", &i, &e), 0);
	assert_int_equal(db_artifact_delete(s, &i, &last, &e), 0);
	assert_true(last);
	add_image(s, 1001, "debian");
	assert_int_equal(db_vm_create(s, &vm, &config, &o, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(db_artifact_find(s, &ann, "debian", &i, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(db_artifact_find(s, &ann, "1001/debian", &i, &e), -1);
	assert_int_equal(db_artifact_find(s, &bob, "debian", &i, &e), 0);
	assert_int_equal(db_artifact_find(s, &root, "1001/debian", &i, &e), 0);
}

/* ---- references ---- */

static void test_find(void **state)
{
	struct vm web = create(*state, 1000, "web"), found;
	char hex[ID_HEX], prefix[ID_HEX];

	format_id(web.id, hex);
	assert_int_equal(db_vm_find(*state, &ann, "web", &found, &e), 0);
	assert_memory_equal(found.id, web.id, ID_LEN);
	assert_int_equal(found.vcpus, 2);
	assert_true(found.nat);
	assert_int_equal(db_vm_find(*state, &ann, hex, &found, &e), 0);
	(void)snprintf(prefix, sizeof(prefix), "%.6s", hex);
	assert_int_equal(db_vm_find(*state, &ann, prefix, &found, &e), 0);
	(void)snprintf(prefix, sizeof(prefix), "%.3s", hex);
	assert_int_equal(db_vm_find(*state, &ann, prefix, &found, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	/* Another user's VM is like a missing one. */
	assert_int_equal(db_vm_find(*state, &bob, "web", &found, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(db_vm_find(*state, &bob, hex, &found, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(db_vm_find(*state, &bob, "1000/web", &found, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	/* Root names the owner too, or the id. */
	assert_int_equal(db_vm_find(*state, &root, "web", &found, &e), -1);
	assert_int_equal(db_vm_find(*state, &root, "1000/web", &found, &e), 0);
	assert_int_equal(db_vm_find(*state, &root, hex, &found, &e), 0);
	static const char *const bad[] = { "",      "/",         "/web",
					   "1000/", "01000/web", "99999999999999999999/web",
					   "%",     "web'" };
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(db_vm_find(*state, &root, bad[i], &found, &e), -1);
		assert_int_equal(e.code, FAIL_NOT_FOUND);
	}
}

static void test_prefix_ambiguous(void **state)
{
	struct db *s = *state;
	struct vm found;

	(void)create(s, 1000, "a");
	(void)create(s, 1000, "b");
	(void)create(s, 1001, "c");
	(void)create(s, 1000, "abcd");
	assert_int_equal(
		sqlite3_exec(
			s->sqlite,
			"UPDATE vms SET id = x'abcd0000000000000000000000000001' WHERE name = 'a';"
			"UPDATE vms SET id = x'abcd1000000000000000000000000002' WHERE name = 'b';"
			"UPDATE vms SET id = x'abcd0000000000000000000000000003' WHERE name = 'c';",
			NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(db_vm_find(s, &ann, "abcd0", &found, &e), 0); /* ann may not see c */
	assert_string_equal(found.name, "a");
	assert_int_equal(db_vm_find(s, &root, "abcd0", &found, &e), -1);
	assert_int_equal(e.code, FAIL_USAGE);
	assert_int_equal(db_vm_find(s, &ann, "abcd", &found, &e), 0); /* a name goes first */
	assert_string_equal(found.name, "abcd");
	assert_int_equal(db_vm_delete(s, &found, &e), 0);
	assert_int_equal(db_vm_find(s, &ann, "abcd", &found, &e), -1);
	assert_int_equal(e.code, FAIL_USAGE);
}

struct names {
	struct db *s;
	char text[256];
	bool remove;
};

static int note(void *arg, const struct vm *vm)
{
	struct names *n = arg;
	struct error ignored;

	(void)snprintf(n->text + strlen(n->text), sizeof(n->text) - strlen(n->text), "%s ",
		       vm->name);
	return n->remove ? db_vm_delete(n->s, vm, &ignored) : 0;
}

static void test_each(void **state)
{
	struct names n = { .s = *state };

	(void)create(*state, 1000, "b");
	(void)create(*state, 1000, "a");
	(void)create(*state, 1001, "c");
	assert_int_equal(db_vm_each(*state, &ann, true, note, &n, &e), 0); /* only root lists all */
	assert_string_equal(n.text, "a b ");
	n.text[0] = '\0';
	assert_int_equal(db_vm_each(*state, &root, false, note, &n, &e), 0);
	assert_string_equal(n.text, "");
	n.remove = true; /* the callback may change the table */
	assert_int_equal(db_vm_each(*state, &root, true, note, &n, &e), 0);
	assert_string_equal(n.text, "a b c ");
	n.text[0] = '\0';
	assert_int_equal(db_vm_each(*state, NULL, false, note, &n, &e), 0);
	assert_string_equal(n.text, "");
}

/* ---- ledger ---- */

static void expect_rows(struct db *s, const struct vm *vm, const char *want)
{
	struct ledger_row rows[OBJ_COUNT];
	char have[256] = "";
	size_t n;

	assert_int_equal(db_ledger_rows(s, vm->id, rows, &n, &e), 0);
	for (size_t i = 0; i < n; i++)
		(void)snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s:%d:%d%s ",
			       object_name(rows[i].kind), (int)rows[i].state, (int)rows[i].ident,
			       rows[i].error);
	assert_string_equal(have, want);
}

static void test_ledger(void **state)
{
	struct db *s = *state;
	struct operation o = operation(&ann, 99);
	struct vm vm = create(s, 1000, "web"), again;
	const enum object kinds[] = { OBJ_LOOP_BASE, OBJ_TAP, OBJ_VMM };
	struct ledger_row rows[3] = { { .kind = OBJ_LOOP_BASE, .ident = 4 },
				      { .kind = OBJ_TAP, .ident = 17 },
				      { .kind = OBJ_VMM, .ident = 1 } };

	vm.state = VM_STARTING;
	assert_int_equal(db_ledger_plan(s, &vm, kinds, 3, &o, &e), 0);
	expect_rows(s, &vm, "loop-base:0:-1 tap:0:-1 vmm:0:-1 ");
	assert_int_equal(db_vm_by_id(s, vm.id, &again, &e), 0);
	assert_int_equal(again.state, VM_STARTING);
	assert_string_equal(again.op, o.hex);

	vm.state = VM_RUNNING;
	assert_int_equal(db_ledger_present(s, &vm, rows, 3, &e), 0);
	expect_rows(s, &vm, "loop-base:1:4 tap:1:17 vmm:1:1 ");
	assert_int_equal(db_vm_delete(s, &vm, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);

	/* One more object while the VM runs; then only that one is removed. */
	const enum object nat = OBJ_NAT;
	assert_int_equal(db_ledger_plan(s, &vm, &nat, 1, &o, &e), 0);
	expect_rows(s, &vm, "loop-base:1:4 tap:1:17 vmm:1:1 nat:0:-1 ");
	for (size_t i = 0; i < 3; i++)
		rows[i].state = LEDGER_PRESENT;
	assert_int_equal(db_ledger_settle(s, &vm, rows, 3, &e), 0);
	expect_rows(s, &vm, "loop-base:1:4 tap:1:17 vmm:1:1 ");

	/* A release that could not remove the tap keeps its row; the rows come in reverse order.
	 * One row was not in the ledger. */
	const struct ledger_row left[] = {
		{ .kind = OBJ_DM, .state = LEDGER_RELEASING, .ident = -1, .error = "busy" },
		{ .kind = OBJ_TAP, .state = LEDGER_RELEASING, .ident = 17, .error = "no" }
	};
	vm.state = VM_DEGRADED;
	assert_int_equal(db_ledger_settle(s, &vm, left, 2, &e), 0);
	expect_rows(s, &vm, "tap:2:17no dm:2:-1busy ");
	assert_int_equal(db_vm_delete(s, &vm, &e), -1);

	vm.state = VM_STOPPED;
	assert_int_equal(db_ledger_settle(s, &vm, NULL, 0, &e), 0);
	expect_rows(s, &vm, "");
	assert_int_equal(db_vm_delete(s, &vm, &e), 0);
	assert_int_equal(db_vm_delete(s, &vm, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(db_ledger_plan(s, &vm, kinds, 3, &o, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
}

/* A plan that fails half-way leaves no rows. */
static void test_plan_is_atomic(void **state)
{
	struct db *s = *state;
	struct operation o = operation(&ann, 98);
	struct vm vm = create(s, 1000, "web"), again;
	const enum object kinds[] = { OBJ_TAP, OBJ_VMM };

	assert_int_equal(sqlite3_exec(s->sqlite,
				      "CREATE TEMP TRIGGER t BEFORE INSERT ON ledger"
				      " WHEN new.kind = 'vmm'"
				      " BEGIN SELECT raise(ABORT, 'injected'); END",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	vm.state = VM_STARTING;
	assert_int_equal(db_ledger_plan(s, &vm, kinds, 2, &o, &e), -1);
	assert_int_equal(e.code, FAIL_GENERAL);
	assert_non_null(strstr(e.why, "injected"));
	expect_rows(s, &vm, "");
	assert_int_equal(db_vm_by_id(s, vm.id, &again, &e), 0);
	assert_int_equal(again.state, VM_CREATING);
}

/* ---- operations ---- */

static int note_op(void *arg, const uint8_t op[ID_LEN], const char *verb, const uint8_t vm[ID_LEN])
{
	struct names *n = arg;

	(void)snprintf(n->text + strlen(n->text), sizeof(n->text) - strlen(n->text), "%u%s%s ",
		       op[1], verb, vm ? "+" : "");
	return 0;
}

static void test_operations(void **state)
{
	struct db *s = *state;
	struct vm vm = create(s, 1000, "web");
	struct operation a = operation(&ann, 1), b = operation(&root, 2), c = operation(NULL, 3);
	struct names n = { .s = s };
	const struct error failed = { .code = FAIL_TIMEOUT, .what = "web", .why = "too slow" };

	assert_int_equal(db_op_begin(s, &a, "create", NULL, &e), 0);
	assert_int_equal(db_op_begin(s, &b, "stop", vm.id, &e), 0);
	assert_int_equal(db_op_begin(s, &c, "ended", vm.id, &e), 0);
	assert_int_equal(db_op_begin(s, &c, "ended", vm.id, &e), -1); /* an id is used once */
	assert_int_equal(db_op_unfinished(s, note_op, &n, &e), 0);
	assert_string_equal(n.text, "1create 2stop+ 3ended+ ");
	assert_int_equal(db_op_end(s, &a, NULL, &e), 0);
	assert_int_equal(db_op_end(s, &b, &failed, &e), 0);
	n.text[0] = '\0';
	assert_int_equal(db_op_unfinished(s, note_op, &n, &e), 0);
	assert_string_equal(n.text, "3ended+ ");

	assert_int_equal(db_op_visible(s, &ann, a.hex, &e), 1);
	assert_int_equal(db_op_visible(s, &bob, a.hex, &e), 0);
	assert_int_equal(db_op_visible(s, &root, a.hex, &e), 1);
	assert_int_equal(db_op_visible(s, &ann, b.hex, &e), 1); /* by root, but about ann's VM */
	assert_int_equal(db_op_visible(s, &bob, b.hex, &e), 0);
	assert_int_equal(db_op_visible(s, &ann, c.hex, &e), 1);
	assert_int_equal(db_vm_delete(s, &vm, &e), 0);
	assert_int_equal(db_op_visible(s, &ann, b.hex, &e), 1);
	assert_int_equal(db_op_visible(s, &ann, "nonsense", &e), 0);
}

static void test_operations_are_bounded(void **state)
{
	struct db *s = *state;
	struct operation ended = operation(&ann, 1), open = operation(&ann, 2),
			 next = operation(&ann, 3);
	struct names n = { .s = s };

	assert_int_equal(db_op_begin(s, &ended, "set", NULL, &e), 0);
	assert_int_equal(db_op_end(s, &ended, NULL, &e), 0);
	assert_int_equal(db_op_begin(s, &open, "start", NULL, &e), 0);
	assert_int_equal(sqlite3_exec(s->sqlite,
				      "INSERT INTO operations(seq, id, verb, begun) VALUES "
				      "(1000000, x'00', 'stop', '')",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(db_op_visible(s, &ann, ended.hex, &e), 1);
	assert_int_equal(db_op_begin(s, &next, "kill", NULL, &e), 0);
	assert_int_equal(db_op_visible(s, &ann, ended.hex, &e), 0);
	assert_int_equal(db_op_unfinished(s, note_op, &n, &e), 0);
	assert_non_null(strstr(n.text, "start")); /* one that goes on is kept */
}

/* ---- images, facts ---- */

static int count(void *arg, const struct artifact *a)
{
	*(unsigned *)arg += 1 + 10 * a->used_by;
	return 0;
}

static int each(struct db *s, enum artifact_type type, const struct caller *asker, unsigned *n)
{
	return db_artifact_each(s, &(struct artifact_walk){ type, asker, count, n }, &e);
}

static void test_used_is_undeletable(void **state)
{
	struct db *s = *state;
	struct vm vm = create(s, 1000, "web");
	struct artifact i = { .type = ARTIFACT_IMAGE }, k = { .type = ARTIFACT_KERNEL };
	unsigned n = 0;
	bool last;

	assert_int_equal(db_artifact_find(s, &ann, "debian", &i, &e), 0);
	assert_int_equal(db_artifact_find(s, &ann, "debian", &k, &e), 0);
	assert_int_equal(i.used_by, 1);
	assert_int_equal(strlen(i.created), 20);
	assert_int_equal(db_artifact_delete(s, &i, &last, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_int_equal(db_artifact_delete(s, &k, &last, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);

	add_image(s, 1000, "mine"); /* the same content under a name of ann's */
	assert_int_equal(each(s, ARTIFACT_IMAGE, &ann, &n), 0);
	assert_int_equal(n, 12);
	n = 0;
	assert_int_equal(each(s, ARTIFACT_IMAGE, &bob, &n), 0);
	assert_int_equal(n, 1); /* bob must not learn that ann uses it */
	n = 0;
	assert_int_equal(each(s, ARTIFACT_IMAGE, &root, &n), 0);
	assert_int_equal(n, 12);
	n = 0;
	assert_int_equal(each(s, ARTIFACT_KERNEL, &ann, &n), 0);
	assert_int_equal(n, 12); /* root's image on root's kernel is not ann's */
	n = 0;
	assert_int_equal(each(s, ARTIFACT_KERNEL, &root, &n), 0);
	assert_int_equal(n, 22);
	assert_int_equal(db_vm_delete(s, &vm, &e), 0);
	struct artifact was = i;
	struct artifact unlike = k;
	was.digest[0] ^= 1; /* as it was found, before the name was given to another content */
	unlike.digest[0] ^= 1;
	assert_int_equal(db_artifact_delete(s, &was, &last, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(db_artifact_delete(s, &unlike, &last, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(db_artifact_delete(s, &i, &last, &e), 0);
	assert_false(last);
	assert_int_equal(db_artifact_delete(s, &i, &last, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(db_artifact_find(s, &ann, "mine", &i, &e), 0);
	assert_int_equal(db_artifact_delete(s, &i, &last, &e), 0);
	assert_true(last);
	assert_int_equal(db_artifact_delete(s, &k, &last, &e), 0);
	assert_false(last);
}

/* ---- volumes ---- */

static struct artifact add_volume(struct db *s, uint32_t owner, const char *name, char digit)
{
	struct artifact v = { .type = ARTIFACT_VOLUME, .owner = owner, .size = 4 << 20 };

	(void)snprintf(v.name, sizeof(v.name), "%s", name);
	memset(v.digest, digit, 64);
	assert_int_equal(db_artifact_add(s, &v, 8, &e), 0);
	return v;
}

static void attach(struct vm *vm, const struct artifact *v, const char *path, bool read_only)
{
	struct vm_volume *to = &vm->volumes[vm->n_volumes++];

	(void)snprintf(to->name, sizeof(to->name), "%s", v->name);
	memcpy(to->digest, v->digest, sizeof(to->digest));
	(void)snprintf(to->path, sizeof(to->path), "%s", path);
	to->read_only = read_only;
}

static int try_create_with(struct db *s, struct vm *vm)
{
	static unsigned n = 1000;
	const struct caller c = { .uid = vm->owner };
	struct operation o = operation(&c, n++);

	return db_vm_create(s, vm, &config, &o, &e);
}

static void runs(struct db *s, const struct vm *vm)
{
	const enum object vmm = OBJ_VMM;

	assert_int_equal(db_ledger_plan(s, vm, &vmm, 1, NULL, &e), 0);
}

static void rests(struct db *s, const struct vm *vm)
{
	assert_int_equal(db_ledger_settle(s, vm, NULL, 0, &e), 0);
}

static void test_volumes_are_their_owners(void **state)
{
	struct db *s = *state;
	struct artifact v = { .type = ARTIFACT_VOLUME };
	unsigned n = 0;

	(void)add_volume(s, 1000, "data", '1');
	(void)add_volume(s, 0, "data", '2');
	(void)add_volume(s, 0, "roots", '3');
	assert_int_equal(db_artifact_find(s, &ann, "data", &v, &e), 0);
	assert_int_equal(v.owner, 1000);
	assert_string_equal(v.users, "");
	/* Root's are not everybody's to use, as its images are. */
	assert_int_equal(db_artifact_find(s, &ann, "roots", &v, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(db_artifact_find(s, &ann, "0/roots", &v, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(db_artifact_find(s, &bob, "data", &v, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(db_artifact_find(s, &bob, "1000/data", &v, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(db_artifact_find(s, &root, "1000/data", &v, &e), 0);
	assert_int_equal(each(s, ARTIFACT_VOLUME, &ann, &n), 0);
	assert_int_equal(n, 1);
	n = 0;
	assert_int_equal(each(s, ARTIFACT_VOLUME, &bob, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(each(s, ARTIFACT_VOLUME, &root, &n), 0);
	assert_int_equal(n, 3);
}

static void test_a_volume_stays_while_it_is_used(void **state)
{
	struct db *s = *state;
	const struct artifact data = add_volume(s, 1000, "data", '1'),
			      logs = add_volume(s, 1000, "logs", '2');
	struct vm vm = wanted(1000, "web"), found;
	struct artifact v = { .type = ARTIFACT_VOLUME };
	bool last;

	attach(&vm, &data, "/srv", false);
	attach(&vm, &logs, "/var/log", true);
	assert_int_equal(try_create_with(s, &vm), 0);
	assert_int_equal(db_vm_find(s, &ann, "web", &found, &e), 0);
	assert_int_equal(found.n_volumes, 2);
	assert_string_equal(found.volumes[0].name, "data");
	assert_string_equal(found.volumes[0].digest, data.digest);
	assert_string_equal(found.volumes[0].path, "/srv");
	assert_false(found.volumes[0].read_only);
	assert_int_equal(found.volumes[0].size_mib, 4);
	assert_string_equal(found.volumes[1].path, "/var/log");
	assert_true(found.volumes[1].read_only);
	assert_int_equal(db_artifact_find(s, &ann, "data", &v, &e), 0);
	assert_int_equal(v.used_by, 1);
	assert_string_equal(v.users, "web");
	assert_int_equal(db_artifact_delete(s, &v, &last, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_int_equal(db_vm_delete(s, &vm, &e), 0);
	assert_int_equal(db_artifact_find(s, &ann, "data", &v, &e), 0);
	assert_int_equal(v.used_by, 0);
	assert_int_equal(db_artifact_delete(s, &v, &last, &e), 0);
	assert_true(last);

	/* Deleted, or another one of its name, since it was found: no VM is left. */
	vm = wanted(1000, "late");
	attach(&vm, &data, "/srv", false);
	(void)add_volume(s, 1000, "data", '3');
	assert_int_equal(try_create_with(s, &vm), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	assert_int_equal(db_vm_find(s, &ann, "late", &found, &e), -1);
	/* Another user's volume is not found by its digest. */
	vm = wanted(1001, "his");
	attach(&vm, &logs, "/srv", false);
	assert_int_equal(try_create_with(s, &vm), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
}

static void test_one_writer(void **state)
{
	struct db *s = *state;
	const struct artifact data = add_volume(s, 1000, "data", '1');
	struct vm writer = wanted(1000, "writer"), reader = wanted(1000, "reader"),
		  other = wanted(1000, "other");

	attach(&writer, &data, "/srv", false);
	attach(&reader, &data, "/srv", true);
	attach(&other, &data, "/srv", true);
	assert_int_equal(try_create_with(s, &writer), 0);
	assert_int_equal(try_create_with(s, &reader), 0);
	assert_int_equal(try_create_with(s, &other), 0);
	assert_int_equal(db_volumes_free(s, &writer, &e), 0);
	runs(s, &writer);
	assert_int_equal(db_volumes_free(s, &writer, &e), 0); /* not in its own way */
	assert_int_equal(db_volumes_free(s, &reader, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_string_equal(e.what, "data");
	assert_non_null(strstr(e.why, "the VM writer runs with it, and can write it"));
	rests(s, &writer);
	assert_int_equal(db_volumes_free(s, &reader, &e), 0);
	runs(s, &reader);
	assert_int_equal(db_volumes_free(s, &other, &e), 0);
	assert_int_equal(db_volumes_free(s, &writer, &e), -1);
	assert_non_null(strstr(e.why, "the VM reader runs with it"));
}

static void test_image_limit(void **state)
{
	struct db *s = *state;
	struct artifact i = { .type = ARTIFACT_IMAGE,
			      .owner = 1000,
			      .name = "b",
			      .digest = "d",
			      .kernel = "debian",
			      .kernel_digest = DIGEST_K };
	struct artifact k = {
		.type = ARTIFACT_KERNEL, .owner = 1000, .name = "b", .digest = DIGEST_K
	};

	add_image(s, 1000, "a");
	assert_int_equal(db_artifact_check(s, &i, 1, &e), -1);
	assert_int_equal(e.code, FAIL_LIMIT);
	assert_true(e.hint[0]);
	assert_int_equal(db_artifact_add(s, &i, 1, &e), -1);
	assert_int_equal(e.code, FAIL_LIMIT);
	assert_int_equal(db_artifact_add(s, &k, 1, &e), -1);
	assert_int_equal(e.code, FAIL_LIMIT);
	assert_int_equal(db_artifact_add(s, &i, 2, &e), 0);
	struct artifact another = i;
	another.owner = 1001;
	assert_int_equal(db_artifact_check(s, &another, 1, &e), 0); /* another's do not count */
	assert_int_equal(db_artifact_check(s, &i, 9, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
}

static void test_image_names(void **state)
{
	struct db *s = *state;
	struct artifact i = { .type = ARTIFACT_IMAGE,
			      .owner = 0,
			      .name = "debian",
			      .digest = "d",
			      .kernel = "debian",
			      .kernel_digest = DIGEST_K };

	assert_int_equal(db_artifact_add(s, &i, 8, &e), -1);
	assert_int_equal(e.code, FAIL_STATE);
	assert_true(e.hint[0]);
	(void)snprintf(i.name, sizeof(i.name), "other");
	i.kernel_digest[0] = 'x';
	assert_int_equal(db_artifact_add(s, &i, 8, &e), -1);
	assert_int_equal(e.code, FAIL_NOT_FOUND);
	/* A user's own name hides root's. */
	add_image(s, 1000, "debian");
	assert_int_equal(db_artifact_find(s, &ann, "debian", &i, &e), 0);
	assert_int_equal(i.owner, 1000);
	assert_int_equal(db_artifact_find(s, &bob, "debian", &i, &e), 0);
	assert_int_equal(i.owner, 0);
	assert_int_equal(db_artifact_find(s, &ann, "0/debian", &i, &e), 0);
	assert_int_equal(i.owner, 0);
}

static void test_facts(void **state)
{
	char out[8];

	assert_int_equal(db_fact_get(*state, "kvm", out, sizeof(out)), 0);
	assert_int_equal(db_fact_set(*state, "kvm", "yes"), 0);
	assert_int_equal(db_fact_set(*state, "kvm", "no"), 0);
	assert_int_equal(db_fact_get(*state, "kvm", out, sizeof(out)), 1);
	assert_string_equal(out, "no");
}

/* A transaction could not be rolled back for lack of memory: it is rolled back before any read, so
 * that uncommitted rows are never seen. */
static void test_a_torn_transaction(void **state)
{
	struct db *s = *state;
	char out[8];

	assert_int_equal(sqlite3_exec(s->sqlite,
				      "BEGIN IMMEDIATE; INSERT INTO facts VALUES ('kvm', 'yes')",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(db_fact_get(s, "kvm", out, sizeof(out)), 0);
	assert_int_equal(sqlite3_exec(s->sqlite,
				      "BEGIN IMMEDIATE; INSERT INTO facts VALUES ('kvm', 'yes')",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	(void)create(s, 1000, "web");
	assert_int_equal(db_fact_get(s, "kvm", out, sizeof(out)), 0);
}

static void test_time(void **state)
{
	char out[32];

	(void)state;
	time_text(1704164645000000001u, out);
	assert_string_equal(out, "2024-01-02T03:04:05.000000001Z");
	assert_int_equal(time_parse(out), 1704164645000000001u);
	time_text(0, out);
	assert_string_equal(out, "");
	assert_int_equal(time_parse(""), 0);
	assert_int_equal(time_parse("2024-01-02T03:04:05+01:00"), 0);
	assert_int_equal(time_parse("2024-01-02T03:04:05Z"), 1704164645000000000u);
	assert_int_equal(time_parse("2024-01-02T03:04:05.5Z"), 1704164645500000000u);
}

/* A success does not touch the caller's error, a failure replaces what was there, and a group keeps
 * the first reason. */
static void test_errors_are_the_failures(void **state)
{
	struct db *s = *state;
	struct error before, mine = { 0 };
	struct operation o = operation(&ann, 77);
	struct vm vm = create(s, 1000, "web"), found;

	(void)error_set(&mine, FAIL_LIMIT, "before", "said before");
	before = mine;
	assert_int_equal(db_vm_find(s, &ann, "web", &found, &mine), 0);
	char prefix[ID_HEX];
	format_id(vm.id, prefix);
	prefix[8] = '\0';
	assert_int_equal(db_vm_find(s, &ann, prefix, &found, &mine),
			 0); /* not found by its name first */
	assert_int_equal(db_vm_each(s, NULL, true, count_vm, &(unsigned){ 0 }, &mine), 0);
	assert_int_equal(db_group_begin(s, &mine), 0);
	assert_int_equal(db_op_begin(s, &o, "start", vm.id, &mine), 0);
	assert_int_equal(db_vm_update(s, &vm, &mine), 0);
	assert_int_equal(db_group_end(s, 0, &mine), 0);
	assert_memory_equal(&mine, &before, sizeof(mine));

	assert_int_equal(db_vm_find(s, &ann, "nothing", &found, &mine), -1);
	assert_int_equal(mine.code, FAIL_NOT_FOUND);
	assert_string_equal(mine.what, "nothing");

	mine = before;
	assert_int_equal(db_group_begin(s, &mine), 0);
	assert_int_equal(db_group_end(s, -1, &mine), -1);
	assert_memory_equal(&mine, &before, sizeof(mine));
}

#define STORE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define FILES(f) cmocka_unit_test_setup_teardown(f, setup_folder, teardown_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILES(test_new_file),
		FILES(test_migration),
		FILES(test_newer_is_refused),
		FILES(test_hold_is_kept),
		FILES(test_foreign_is_refused),
		FILES(test_garbage_is_refused),
		FILES(test_damage_is_refused),
		FILES(test_a_cut_file_is_refused),
		FILES(test_a_locked_one_is_refused),
		FILES(test_a_lock_while_it_is_open),
		FILES(test_a_torn_log),
		FILES(test_a_copy_does_not_meet_another_ones_log),
		FILES(test_backup),
		FILES(test_taken_away),
		FILES(test_room_is_kept),
		FILES(test_survives_a_reopen),
		FILES(test_full),
		STORE(test_name_taken),
		STORE(test_slots_exhausted),
		STORE(test_owner_cap),
		STORE(test_slot_reuse),
		STORE(test_slot_floor),
		STORE(test_threads_never_share_a_slot),
		STORE(test_no_such_image),
		STORE(test_another_users_image),
		STORE(test_find),
		STORE(test_prefix_ambiguous),
		STORE(test_each),
		STORE(test_ledger),
		STORE(test_plan_is_atomic),
		STORE(test_operations),
		STORE(test_operations_are_bounded),
		STORE(test_volumes_are_their_owners),
		STORE(test_a_volume_stays_while_it_is_used),
		STORE(test_one_writer),
		STORE(test_image_limit),
		STORE(test_used_is_undeletable),
		STORE(test_image_names),
		STORE(test_facts),
		STORE(test_a_torn_transaction),
		STORE(test_errors_are_the_failures),
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
