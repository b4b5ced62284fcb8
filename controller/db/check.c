/* check.c - reads a state database to check its integrity and its rows; it changes nothing. */
#include "controller/db/check.h"

#include <stdio.h>
#include <string.h>

#include "controller/db/schema.h"

static int take_first(void *arg, int n, char **values, char **names)
{
	char *out = arg;

	(void)names;
	if (!out[0])
		(void)snprintf(out, 160, "%s", n && values[0] ? values[0] : "?");
	return 0;
}

/* Make one line of a finding of integrity_check: "*** in database main ***\nTree 4 page 4: ...". */
static void one_line(char *text)
{
	const char *last = strrchr(text, '\n');

	if (last && last[1])
		memmove(text, last + 1, strlen(last + 1) + 1);
	text[strcspn(text, "\n")] = '\0';
}

int db_integrity(sqlite3 *db, char wrong[160])
{
	char table[160] = "";

	wrong[0] = '\0';
	if (sqlite3_exec(db, "PRAGMA integrity_check(1)", take_first, wrong, NULL) != SQLITE_OK)
		return -1;
	if (strcmp(wrong, "ok") != 0) {
		one_line(wrong);
		return 0;
	}
	wrong[0] = '\0';
	if (sqlite3_exec(db, "PRAGMA foreign_key_check", take_first, table, NULL) != SQLITE_OK)
		return -1;
	if (table[0])
		(void)snprintf(wrong, 160, "a row of %.100s refers to one that is not there",
			       table);
	return 0;
}

int db_schema_version(sqlite3 *db, int *version)
{
	return schema_number(db, "PRAGMA user_version", version);
}

int db_count_vms(sqlite3 *db, int *n)
{
	return schema_number(db, "SELECT count(*) FROM vms", n);
}

int db_count_releasing(sqlite3 *db, int *n)
{
	return schema_number(db, "SELECT count(*) FROM ledger WHERE state = 'releasing'", n);
}

/* Return: 1 for a row, 0 for the end of the rows, -1 for an error. */
static int step(sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

int db_slot_holder(sqlite3 *db, uint32_t slot, uint8_t id[ID_LEN])
{
	sqlite3_stmt *st = NULL;
	int r = -1;

	if (sqlite3_prepare_v2(db, "SELECT id FROM vms WHERE slot = ?1", -1, &st, NULL) ==
		    SQLITE_OK &&
	    sqlite3_bind_int64(st, 1, slot) == SQLITE_OK)
		r = step(st);
	if (r > 0 && sqlite3_column_bytes(st, 0) == ID_LEN)
		memcpy(id, sqlite3_column_blob(st, 0), ID_LEN);
	(void)sqlite3_finalize(st);
	return r;
}

int db_has_digest(sqlite3 *db, enum artifact_type type, const char *digest)
{
	static const char *const queries[ARTIFACT_TYPES] = {
		[ARTIFACT_IMAGE] = "SELECT 1 FROM images WHERE digest = ?1",
		[ARTIFACT_KERNEL] = "SELECT 1 FROM kernels WHERE digest = ?1",
		[ARTIFACT_VOLUME] = "SELECT 1 FROM volumes WHERE digest = ?1",
	};
	sqlite3_stmt *st = NULL;
	int r = -1;

	if (sqlite3_prepare_v2(db, queries[type], -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_bind_text(st, 1, digest, -1, SQLITE_STATIC) == SQLITE_OK)
		r = step(st);
	(void)sqlite3_finalize(st);
	return r;
}

int db_digests_each(sqlite3 *db, enum artifact_type type, void (*fn)(void *arg, const char *digest),
		    void *arg)
{
	static const char *const queries[ARTIFACT_TYPES] = {
		[ARTIFACT_IMAGE] = "SELECT digest FROM images",
		[ARTIFACT_KERNEL] = "SELECT digest FROM kernels",
		[ARTIFACT_VOLUME] = "SELECT digest FROM volumes",
	};
	sqlite3_stmt *st = NULL;
	int r = -1;

	if (sqlite3_prepare_v2(db, queries[type], -1, &st, NULL) == SQLITE_OK)
		while ((r = step(st)) > 0) {
			const char *digest = (const char *)sqlite3_column_text(st, 0);
			if (digest)
				fn(arg, digest);
		}
	(void)sqlite3_finalize(st);
	return r;
}
