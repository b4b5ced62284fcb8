/* connection.c - queries, transactions and times, on the one connection to the state database.
 *
 * One connection suffices: a commit costs one fdatasync() of the log, and an operation takes a
 * hundred times as long.  No callback runs with the lock held, since a callback may wait for a
 * client. */
#include "controller/db/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/failpoint.h"

#define FOR_ACCOUNT                                                                              \
	"its folder and its files must belong to the controller's account, and its file system " \
	"be writable"

int db_fail(sqlite3 *db, const char *what, struct error *e)
{
	static const struct {
		int rc;
		const char *why, *hint;
	} known[] = {
		{ SQLITE_FULL, "no room left for the state database",
		  "free some space on the file system of the state directory" },
		/* SQLite also reports an EIO of a read as this (vdbe.c, SQLITE_IOERR_CORRUPTFS). */
		{ SQLITE_CORRUPT,
		  "the state database is damaged, or its disk fails: see the kernel's log",
		  DB_HINT_DAMAGED },
		{ SQLITE_NOTADB, "it is no database, or its beginning is damaged",
		  DB_HINT_DAMAGED },
		{ SQLITE_BUSY, "another program holds the state database",
		  "end it; `fuser -v` on the file names it" },
		{ SQLITE_READONLY, "the state database can not be written", FOR_ACCOUNT },
		{ SQLITE_CANTOPEN, "the state database can not be opened", FOR_ACCOUNT },
		{ SQLITE_PERM, "the state database can not be opened", FOR_ACCOUNT },
		{ SQLITE_IOERR, "the disk fails to read or write the state database",
		  "the kernel's log says why" },
		{ SQLITE_NOMEM, "out of memory", "nothing was changed; try again" },
	};
	int rc = db ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM;

	/* SQLite maps only ENOSPC to SQLITE_FULL (os_unix.c); an exceeded quota means the same. */
	if (rc == SQLITE_IOERR && sqlite3_system_errno(db) == EDQUOT)
		rc = SQLITE_FULL;
	/* A column could not be read for want of memory.  The statement is reset, and its code is
	 * lost. */
	if (rc == SQLITE_OK || rc == SQLITE_ROW)
		rc = SQLITE_NOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (known[i].rc != rc)
			continue;
		(void)error_set(e, FAIL_HOST, what, "%s", known[i].why);
		error_hint(e, "%s", known[i].hint);
		return -1;
	}
	return error_set(e, FAIL_GENERAL, what, "state database: %s", sqlite3_errmsg(db));
}

/* ---- queries ---- */

static sqlite3_stmt *prepared(struct db *s, const char *sql)
{
	size_t i;

	for (i = 0; i < DB_STATEMENTS && s->cache[i].sql; i++)
		if (s->cache[i].sql == sql)
			return s->cache[i].st;
	if (i == DB_STATEMENTS || sqlite3_prepare_v3(s->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT,
						     &s->cache[i].st, NULL) != SQLITE_OK)
		return NULL;
	s->cache[i].sql = sql;
	return s->cache[i].st;
}

struct query query(struct db *s, const char *sql)
{
	struct query q = { .s = s, .st = prepared(s, sql), .rc = SQLITE_OK };

	if (!q.st || s->torn)
		q.rc = SQLITE_NOMEM;
	return q;
}

void q_int(struct query *q, int64_t v)
{
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_bind_int64(q->st, ++q->bound, v);
}

void q_text(struct query *q, const char *v)
{
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_bind_text(q->st, ++q->bound, v, -1, SQLITE_STATIC);
}

void q_blob(struct query *q, const void *v, int n)
{
	if (q->rc == SQLITE_OK)
		q->rc = v ? sqlite3_bind_blob(q->st, ++q->bound, v, n, SQLITE_STATIC)
			  : sqlite3_bind_null(q->st, ++q->bound);
}

int q_row(struct query *q)
{
	if (q->rc != SQLITE_OK && q->rc != SQLITE_ROW)
		return -1;
	q->rc = sqlite3_step(q->st);
	q->column = 0;
	if (q->rc == SQLITE_DONE)
		return 0;
	return q->rc == SQLITE_ROW ? 1 : -1;
}

int q_end(struct query *q, int r)
{
	bool bad = q->rc != SQLITE_OK && q->rc != SQLITE_ROW && q->rc != SQLITE_DONE;

	if (q->st) {
		(void)sqlite3_reset(q->st);
		(void)sqlite3_clear_bindings(q->st);
	}
	return bad ? -1 : r;
}

int q_run(struct query *q)
{
	return q_end(q, q_row(q) < 0 ? -1 : 0);
}

int64_t q_get_int(struct query *q)
{
	return sqlite3_column_int64(q->st, q->column++);
}

/* Check a column's value.  SQLite may copy it to convert it: NULL then means "no memory", not
 * "empty". */
static const void *check_value(struct query *q, const void *v)
{
	if (!v && sqlite3_errcode(q->s->sqlite) == SQLITE_NOMEM)
		q->rc = SQLITE_NOMEM;
	return v;
}

const char *q_text_at(struct query *q)
{
	const char *text = check_value(q, sqlite3_column_text(q->st, q->column++));

	return text ? text : "";
}

void q_get_text(struct query *q, char *out, size_t size)
{
	(void)snprintf(out, size, "%s", q_text_at(q));
}

void q_get_id(struct query *q, uint8_t id[ID_LEN])
{
	const void *v = check_value(q, sqlite3_column_blob(q->st, q->column));

	if (v && sqlite3_column_bytes(q->st, q->column) == ID_LEN)
		memcpy(id, v, ID_LEN);
	else
		memset(id, 0, ID_LEN);
	q->column++;
}

int q_one_int(struct query *q, int64_t none, int64_t *out)
{
	int r = q_row(q);

	*out = r > 0 ? q_get_int(q) : none;
	return q_end(q, r < 0 ? -1 : 0);
}

int rowids_take(struct query *q, struct rowids *ids)
{
	size_t room = 0;
	int r;

	*ids = (struct rowids){ 0 };
	while ((r = q_row(q)) > 0) {
		if (ids->n == room) {
			room = room ? 2 * room : 64;
			int64_t *v = reallocarray(ids->v, room, sizeof(*v));
			if (!v) {
				r = db_no_memory(q->s, "list");
				break;
			}
			ids->v = v;
		}
		ids->v[ids->n++] = q_get_int(q);
	}
	return q_end(q, r);
}

/* ---- transactions ---- */

static int run_sql(struct db *s, const char *sql)
{
	struct query q = query(s, sql);

	return q_run(&q);
}

/* Take the lock.  If an earlier ROLLBACK failed for want of memory, it is repeated first, so that
 * uncommitted rows are never read. */
static void lock_store(struct db *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->why.code = FAIL_NONE;
	s->torn = false;
	if (!s->depth && !sqlite3_get_autocommit(s->sqlite))
		s->torn = run_sql(s, "ROLLBACK") < 0;
}

/* Fill in the error from s->why, or from SQLite's code if that is not set.  Return: -1. */
static int report_error(struct db *s, const char *what, struct error *e)
{
	if (s->why.code == FAIL_NONE)
		return db_fail(s->sqlite, what, e);
	*e = s->why;
	return -1;
}

int db_no_memory(struct db *s, const char *what)
{
	(void)error_set(&s->why, FAIL_HOST, what, "out of memory");
	error_hint(&s->why, "nothing was changed; try again");
	return -1;
}

int tx_begin(struct db *s, struct error *e)
{
	lock_store(s);
	if (s->depth++ || run_sql(s, "BEGIN IMMEDIATE") == 0)
		return 0;
	s->depth--;
	(void)db_fail(s->sqlite, "state", e);
	(void)pthread_mutex_unlock(&s->lock);
	return -1;
}

int tx_leave(struct db *s, int r, const char *what, struct error *e)
{
	const bool outermost = --s->depth == 0;

	if (r == 0 && outermost) {
		r = FAILPOINT_FAILS("commit.before") ? -1 : run_sql(s, "COMMIT");
		FAILPOINT("commit.after");
		if (r < 0)
			(void)db_fail(s->sqlite, what, e);
	}
	/* SQLite may have rolled back already, after a full disk or an I/O error
	 * (sqlite.org/lang_transaction.html). */
	if (r < 0 && outermost && !sqlite3_get_autocommit(s->sqlite))
		(void)run_sql(s, "ROLLBACK");
	(void)pthread_mutex_unlock(&s->lock);
	return r < 0 ? -1 : 0;
}

int tx_end(struct db *s, int r, const char *what, struct error *e)
{
	return tx_leave(s, r < 0 ? report_error(s, what, e) : 0, what, e);
}

void read_begin(struct db *s)
{
	lock_store(s);
}

int read_end(struct db *s, int r, const char *what, struct error *e)
{
	if (r < 0)
		(void)report_error(s, what, e);
	(void)pthread_mutex_unlock(&s->lock);
	return r;
}

/* ---- time ---- */

void time_text(uint64_t ns, char out[32])
{
	time_t seconds = (time_t)(ns / 1000000000u);
	struct tm t;
	size_t n;

	out[0] = '\0';
	if (!ns || !gmtime_r(&seconds, &t) || !(n = strftime(out, 20, "%Y-%m-%dT%H:%M:%S", &t)))
		return;
	(void)snprintf(out + n, 32 - n, ".%09uZ", (unsigned)(ns % 1000000000u));
}

/* Parse a fraction of a second: ".5" is 500,000,000 ns.  *end: behind the digits. */
static unsigned fraction(const char *text, const char **end)
{
	unsigned ns = 0, unit = 1000000000;

	for (text++; unit > 1 && *text >= '0' && *text <= '9'; text++)
		ns += (unsigned)(*text - '0') * (unit /= 10);
	*end = text;
	return ns;
}

uint64_t time_parse(const char *text)
{
	struct tm t = { 0 };
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &t);
	unsigned ns = p && *p == '.' ? fraction(p, &p) : 0;
	time_t seconds = timegm(&t);

	if (!p || strcmp(p, "Z") != 0 || seconds < 0)
		return 0;
	return (uint64_t)seconds * 1000000000u + ns;
}
