/* schema.c - the schema as a list of steps, and the migration.
 *
 * A released step is never edited: the database only records the number of steps that were applied
 * (PRAGMA user_version).  Each step and its number are one transaction. */
#include "controller/db/schema.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "controller/db/backup.h"
#include "controller/db/connection.h"

static const char *const steps[] = {
	/* 1: the first schema.  Times are RFC 3339 in UTC; uids are those of the owners. */
	"CREATE TABLE kernels ("
	"  id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT "
	"NULL,"
	"  size INTEGER NOT NULL, created TEXT NOT NULL, UNIQUE (owner, name)) STRICT;"
	"CREATE TABLE images ("
	"  id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT "
	"NULL,"
	"  kernel INTEGER NOT NULL REFERENCES kernels(id) ON DELETE RESTRICT,"
	"  size INTEGER NOT NULL, created TEXT NOT NULL, UNIQUE (owner, name)) STRICT;"
	"CREATE INDEX images_kernel ON images(kernel);"
	/* generation: number of VMs that had the slot; freed: the order in which slots were
	 * freed. */
	"CREATE TABLE slots ("
	"  slot INTEGER PRIMARY KEY, generation INTEGER NOT NULL, freed INTEGER NOT NULL DEFAULT "
	"0) STRICT;"
	"CREATE TABLE vms ("
	"  seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),"
	"  owner INTEGER NOT NULL, name TEXT NOT NULL,"
	"  image INTEGER NOT NULL REFERENCES images(id) ON DELETE RESTRICT,"
	"  slot INTEGER NOT NULL UNIQUE REFERENCES slots(slot) ON DELETE RESTRICT, generation "
	"INTEGER NOT NULL,"
	"  vcpus INTEGER NOT NULL, mem_mib INTEGER NOT NULL, disk_mib INTEGER NOT NULL, nat "
	"INTEGER NOT NULL,"
	"  ssh_key TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, created TEXT NOT NULL,"
	"  started TEXT NOT NULL, op TEXT NOT NULL, runtime TEXT NOT NULL DEFAULT '{}',"
	"  UNIQUE (owner, name)) STRICT;"
	"CREATE INDEX vms_image ON vms(image);"
	"CREATE TABLE operations ("
	"  seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, verb TEXT NOT NULL, vm BLOB, uid "
	"INTEGER, owner INTEGER,"
	"  begun TEXT NOT NULL, ended TEXT, code INTEGER, error TEXT) STRICT;"
	"CREATE INDEX operations_open ON operations(seq) WHERE ended IS NULL;"
	"CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;",

	/* 2: the ledger of kernel objects.  A VM with a row in it can not be deleted. */
	"CREATE TABLE ledger ("
	"  seq INTEGER PRIMARY KEY, vm BLOB NOT NULL REFERENCES vms(id) ON DELETE RESTRICT, kind "
	"TEXT NOT NULL,"
	"  state TEXT NOT NULL CHECK (state IN ('planned', 'present', 'releasing')),"
	"  ident INTEGER NOT NULL, op TEXT NOT NULL, error TEXT NOT NULL DEFAULT '', UNIQUE (vm, "
	"kind)) STRICT;",

	/* 3: restart policies. */
	"ALTER TABLE vms ADD COLUMN restart TEXT NOT NULL DEFAULT 'no';"
	"ALTER TABLE vms ADD COLUMN restart_max INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE vms ADD COLUMN auto_stop_s INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE vms ADD COLUMN wanted INTEGER NOT NULL DEFAULT 0;",

	/* 4: held VMs: enum hold. */
	"ALTER TABLE vms ADD COLUMN hold INTEGER NOT NULL DEFAULT 0;",

	/* 5: what images are made from (control.def). */
	"ALTER TABLE images ADD COLUMN origin TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE images ADD COLUMN config TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE images ADD COLUMN layers TEXT NOT NULL DEFAULT '';",

	/* 6: volumes, and the VMs that have them, as disk 0, 1, ... beside the root disk.  A volume
	 * of a VM can not be deleted; it stays when the VM is deleted. */
	"CREATE TABLE volumes ("
	"  id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT "
	"NULL UNIQUE,"
	"  size INTEGER NOT NULL, created TEXT NOT NULL, UNIQUE (owner, name)) STRICT;"
	"CREATE TABLE mounts ("
	"  vm BLOB NOT NULL REFERENCES vms(id) ON DELETE CASCADE, disk INTEGER NOT NULL,"
	"  volume INTEGER NOT NULL REFERENCES volumes(id) ON DELETE RESTRICT,"
	"  path TEXT NOT NULL, read_only INTEGER NOT NULL, PRIMARY KEY (vm, disk)) STRICT;"
	"CREATE INDEX mounts_volume ON mounts(volume);",
};

#define SCHEMA_VERSION ((int)ARRAY_SIZE(steps))

int schema_known(void)
{
	return SCHEMA_VERSION;
}

int schema_number(sqlite3 *db, const char *sql, int *out)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
		*out = sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : -1;
}

/* Copy the database to <path>.v<version> before a migration. */
static int copy_before_migration(sqlite3 *db, const char *path, int version, struct error *e)
{
	char to[512];

	if (strcmp(path, ":memory:") == 0)
		return 0;
	(void)snprintf(to, sizeof(to), "%s.v%d", path, version);
	if (db_copy(db, to) == 0)
		return 0;
	(void)error_set(e, FAIL_HOST, to,
			"the state database can not be backed up before its migration");
	error_hint(e, "check the room and the permissions of its folder");
	return -1;
}

static int step(sqlite3 *db, int version, struct error *e)
{
	char bump[64];

	(void)snprintf(bump, sizeof(bump), "PRAGMA user_version = %d", version);
	FAILPOINT("migrate.before");
	if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(db, steps[version - 1], NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(db, bump, NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK) {
		FAILPOINT("migrate.after");
		return 0;
	}
	(void)db_fail(db, "migration of the state database", e);
	(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

static int refuse_newer(const char *path, int version, struct error *e)
{
	char backup[512];

	(void)error_set(e, FAIL_STATE, path,
			"the state database has schema %d, this program knows up to %d", version,
			SCHEMA_VERSION);
	(void)snprintf(backup, sizeof(backup), "%s.v%d", path, SCHEMA_VERSION);
	if (access(backup, F_OK) == 0)
		error_hint(e, "install the newer banger again, or put the backup %s in its place",
			   backup);
	else
		error_hint(e, "install the newer banger again");
	return -1;
}

int schema_check(sqlite3 *db, const char *path, struct error *e)
{
	int version, tables;

	if (schema_number(db, "PRAGMA user_version", &version) < 0 ||
	    schema_number(db, "SELECT count(*) FROM sqlite_schema", &tables) < 0)
		return db_fail(db, path, e);
	if (version > SCHEMA_VERSION || version < 0)
		return refuse_newer(path, version, e);
	if (version > 0 || tables == 0)
		return 0;
	(void)error_set(e, FAIL_STATE, path, "it is a database, but not one of banger's");
	error_hint(e, "move it away");
	return -1;
}

int schema_migrate(sqlite3 *db, const char *path, struct error *e)
{
	int version;

	if (schema_number(db, "PRAGMA user_version", &version) < 0)
		return db_fail(db, path, e);
	if (version > 0 && version < SCHEMA_VERSION) {
		log_info("state database: schema %d becomes %d", version, SCHEMA_VERSION);
		if (copy_before_migration(db, path, version, e) < 0)
			return -1;
	}
	while (version < SCHEMA_VERSION)
		if (step(db, ++version, e) < 0)
			return -1;
	return 0;
}
