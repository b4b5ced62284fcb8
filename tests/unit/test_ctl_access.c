/* Tests the access rules as a table of verb, caller and owner, and that the database's SQL
 * functions give the same answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka.h wants these first. */
#include <cmocka.h>

#include "common/cleanup.h"
#include "controller/access.h"
#include "controller/db/connection.h"
#include "controller/db/db.h"

#define ANN 1001
#define BOB 1002

/* [verb][caller, in the order of callers][owner, in the order of owners] */
static const uid_t callers[] = { 0, ANN, BOB }, owners[] = { 0, ANN, BOB };
static const bool rules[ACCESS_VERBS][3][3] = {
	[ACCESS_VM] = { { 1, 1, 1 }, { 0, 1, 0 }, { 0, 0, 1 } },
	[ACCESS_USE] = { { 1, 1, 1 }, { 1, 1, 0 }, { 1, 0, 1 } },
	[ACCESS_REMOVE] = { { 1, 1, 1 }, { 0, 1, 0 }, { 0, 0, 1 } },
	[ACCESS_HOST] = { { 1, 1, 1 }, { 0, 0, 0 }, { 0, 0, 0 } },
};

static void each_rule(void (*check)(enum access_verb v, uid_t caller, uid_t owner, bool allowed,
				    void *arg),
		      void *arg)
{
	for (unsigned v = 0; v < ACCESS_VERBS; v++)
		for (size_t c = 0; c < ARRAY_SIZE(callers); c++)
			for (size_t o = 0; o < ARRAY_SIZE(owners); o++)
				check((enum access_verb)v, callers[c], owners[o], rules[v][c][o],
				      arg);
}

static void check_function(enum access_verb v, uid_t caller, uid_t owner, bool allowed, void *arg)
{
	const struct caller c = { .uid = caller };

	(void)arg;
	if (access_allows(&c, v, owner) != allowed)
		fail_msg("%s: uid %u, of uid %u: %d was wanted", access_verb_name(v), caller, owner,
			 allowed);
}

static void the_table_holds(void **state)
{
	const struct caller root = { .uid = 0 }, ann = { .uid = ANN };

	(void)state;
	each_rule(check_function, NULL);
	assert_true(access_sees_all(&root));
	assert_false(access_sees_all(&ann));
	assert_false(access_allows(&root, ACCESS_VERBS, 0));
}

static int ask_sql(sqlite3 *db, const char *text)
{
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_int_equal(sqlite3_column_type(st, 0), SQLITE_INTEGER);
	int answer = sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	return answer;
}

static void check_sql(enum access_verb v, uid_t caller, uid_t owner, bool allowed, void *arg)
{
	char text[96];

	(void)snprintf(text, sizeof(text), "SELECT access_%s(%u, %u)", access_verb_name(v), caller,
		       owner);
	assert_int_equal(ask_sql(arg, text), allowed);
}

/* A row without an owner and an invalid uid are never allowed.  Their NULL must not count as 0,
 * which is root. */
static void sql_says_the_same(void **state)
{
	struct error e = { 0 };
	struct db *s = db_open(":memory:", &e);

	(void)state;
	assert_non_null(s);
	each_rule(check_sql, s->sqlite);
	assert_int_equal(ask_sql(s->sqlite, "SELECT access_vm(NULL, 5)"), 0);
	assert_int_equal(ask_sql(s->sqlite, "SELECT access_use(5, NULL)"), 0);
	assert_int_equal(ask_sql(s->sqlite, "SELECT access_use(5, 'root')"), 0);
	assert_int_equal(ask_sql(s->sqlite, "SELECT access_use(5, 4294967296)"),
			 0); /* 0, if it were cut to 32 bits */
	assert_int_equal(ask_sql(s->sqlite, "SELECT access_vm(4294967296, 5)"), 0);
	assert_int_equal(ask_sql(s->sqlite, "SELECT access_vm(-1, 5)"), 0);
	db_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_holds),
		cmocka_unit_test(sql_says_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
