/* connection.h - what the files of the database share: the connection, transactions, and queries that are checked once. */
#ifndef BANGER_CONTROLLER_DB_CONNECTION_H
#define BANGER_CONTROLLER_DB_CONNECTION_H

#include <sqlite3.h>
#include <string.h>

#include "controller/ctl.h"

#define STORE_STATEMENTS 96

struct store {
	char path[256];
	pthread_mutex_t lock; /* recursive, for groups */
	unsigned depth;       /* transactions open: a group and those within it are one */
	bool torn;            /* the latest one could not be rolled back; nothing else can be done before */
	struct error why;     /* the finer reason why the statements under way fail; FAIL_NONE: SQLite's is the reason */
	sqlite3 *db;
	/* Prepared once and kept; found by the address of their text, which is a literal. */
	struct {
		const char *sql;
		sqlite3_stmt *st;
	} cache[STORE_STATEMENTS];
};

/* Is @path the name of a database without a file? */
static inline bool store_in_memory(const char *path)
{
	return strcmp(path, ":memory:") == 0;
}

#define STORE_HINT_DAMAGED \
	"nothing was changed: keep it, and put a backup in its place without its -wal and -shm; VMs run on meanwhile"

/* What a person can do about it: FAIL_HOST with a hint for what is the host's, else FAIL_GENERAL with SQLite's words. */
int store_fail(sqlite3 *db, const char *what, struct error *e);

/**
 * tx_begin(), tx_end() - one transaction, with the store's lock held from the one to the other
 * @r:	what the statements between said; negative rolls back
 * @e:	filled in when -1 is returned, and not touched otherwise
 *
 * What fails in between says why in the store's `why`, or leaves it to SQLite's code.
 * Return: 0, or -1.  After a tx_begin() that fails the lock is free.
 */
int tx_begin(struct store *s, struct error *e);
int tx_end(struct store *s, int r, const char *what, struct error *e);

/* The end of a transaction whose failure, when @r is negative, has its error already: @e is that of the commit alone. */
int tx_leave(struct store *s, int r, const char *what, struct error *e);

/* Reads need the lock and no transaction.  read_end(): @r, with the error filled in when it is negative. */
void read_begin(struct store *s);
int read_end(struct store *s, int r, const char *what, struct error *e);

/*
 * A statement under way.  Values are bound, and columns are read, in order.
 * It is sticky: after the first fault everything is a no-op and q_row() says -1,
 * so a caller checks once.
 */
struct query {
	struct store *s;
	sqlite3_stmt *st;
	int bound, column, rc;
};

/* @sql is a literal. */
struct query query(struct store *s, const char *sql);
void q_int(struct query *q, int64_t v);
void q_text(struct query *q, const char *v);        /* must live until the query ends */
void q_blob(struct query *q, const void *v, int n); /* likewise; NULL binds NULL */
int q_row(struct query *q);                         /* 1 a row, 0 the end, -1 */
int q_run(struct query *q);                         /* to the end, no row wanted: 0 or -1 */
int q_end(struct query *q, int r);                  /* reset, and pass @r on, or -1 after a fault */

int64_t q_get_int(struct query *q);
const char *q_text_at(struct query *q); /* until the next call; "" for NULL, and when there is no memory for it */
void q_get_text(struct query *q, char *out, size_t size);
void q_get_id(struct query *q, uint8_t id[ID_LEN]);

/* One integer of one row into *out, or @none when there is no row.  Return: 0 or -1. */
int q_one_int(struct query *q, int64_t none, int64_t *out);

/* RFC 3339, UTC, nanoseconds, 30 bytes: "2024-05-06T07:08:09.000000001Z"; 0 is "". */
void time_text(uint64_t ns, char out[32]);
uint64_t time_parse(const char *text); /* 0 when it is not such a text */

/* Out of memory, between a begin and an end.  Return: -1. */
int store_no_memory(struct store *s, const char *what);

/* Row ids, taken under the lock so that what follows can go without it. */
struct rowids {
	int64_t *v;
	size_t n;
};

int rowids_take(struct query *q, struct rowids *ids);

#endif
