/* connection.h - the database connection, its transactions and queries; for the files of this
 * room. */
#ifndef BANGER_CONTROLLER_DB_CONNECTION_H
#define BANGER_CONTROLLER_DB_CONNECTION_H

#include <sqlite3.h>
#include <string.h>

#include "controller/ctl.h"

#define DB_STATEMENTS 96

struct db {
	char path[256];
	pthread_mutex_t lock; /* recursive, for groups */
	unsigned depth;       /* nested transactions: a group and those within it are one */
	/* the latest ROLLBACK failed; all statements fail until it succeeds */
	bool torn;
	/* specific reason of a failure; FAIL_NONE: SQLite's code is the reason */
	struct error why;
	sqlite3 *sqlite;
	/* Prepared statements, found by the address of their text, which is a literal. */
	struct {
		const char *sql;
		sqlite3_stmt *st;
	} cache[DB_STATEMENTS];
};

/* True if @path names a database without a file. */
static inline bool db_in_memory(const char *path)
{
	return strcmp(path, ":memory:") == 0;
}

#define DB_HINT_DAMAGED                                                                           \
	"nothing was changed: keep it, and put a backup in its place without its -wal and -shm; " \
	"VMs run on meanwhile"

/* Fill in the error from SQLite's code: FAIL_HOST with a hint for problems of the host, else
 * FAIL_GENERAL with SQLite's message.  @db may be NULL: out of memory.  Return: -1. */
int db_fail(sqlite3 *db, const char *what, struct error *e);

/**
 * tx_begin(), tx_end() - begin and end a transaction; the database's lock is held in between
 * @r:		result of the statements; negative: roll back
 * @what:	subject of the error
 * @e:		filled in when -1 is returned, not touched otherwise
 *
 * A function that fails in between may set a specific error in the database's `why`.  Transactions
 * can be nested; only the outermost one commits.  Return: 0, or -1.  After a failed tx_begin() the
 * lock is free, and no tx_end() is due.
 */
int tx_begin(struct db *s, struct error *e);
int tx_end(struct db *s, int r, const char *what, struct error *e);

/* As tx_end(), for a caller that has an error already when @r is negative: @e is only filled in for
 * a failed commit. */
int tx_leave(struct db *s, int r, const char *what, struct error *e);

/* Begin and end a read: it needs the lock, and no transaction.  read_end() returns @r, with the
 * error filled in if @r is negative. */
void read_begin(struct db *s);
int read_end(struct db *s, int r, const char *what, struct error *e);

/* A running statement.  Values are bound, and columns are read, in order.  Errors are sticky: after
 * the first one all calls do nothing, and q_row(), q_run() and q_end() return -1, so that a caller
 * checks once. */
struct query {
	struct db *s;
	sqlite3_stmt *st;
	int bound, column, rc;
};

/* Begin a statement.  @sql is a literal.  The lock is held. */
struct query query(struct db *s, const char *sql);
void q_int(struct query *q, int64_t v);
void q_text(struct query *q, const char *v);        /* @v must live until the query ends */
void q_blob(struct query *q, const void *v, int n); /* likewise; NULL binds NULL */
int q_row(struct query *q);                         /* step: 1 a row, 0 the end, -1 an error */
int q_run(struct query *q);                         /* step to the end, without rows: 0 or -1 */
int q_end(struct query *q, int r);                  /* reset; returns @r, or -1 after an error */

int64_t q_get_int(struct query *q);
/* valid until the next call; "" for NULL and for no memory */
const char *q_text_at(struct query *q);
void q_get_text(struct query *q, char *out, size_t size);
void q_get_id(struct query *q, uint8_t id[ID_LEN]);

/* Run a query for one integer, and end it.  *out is @none if there is no row.  Return: 0 or -1. */
int q_one_int(struct query *q, int64_t none, int64_t *out);

/* Format nanoseconds since 1970 in UTC as RFC 3339, 30 bytes: "2024-05-06T07:08:09.000000001Z"; 0
 * gives "". */
void time_text(uint64_t ns, char out[32]);
uint64_t time_parse(const char *text); /* the inverse; 0 for any other text */

/* Set the database's `why` to "out of memory", between a begin and an end.  Return: -1. */
int db_no_memory(struct db *s, const char *what);

/* Row ids.  A list reads them with the lock held, and then loads each row without holding it in
 * between. */
struct rowids {
	int64_t *v;
	size_t n;
};

/* Read the ids of all rows of @q, and end it.  The caller frees ids->v, also after a failure.
 * Return: 0, or -1. */
int rowids_take(struct query *q, struct rowids *ids);

#endif
