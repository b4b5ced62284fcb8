/* Tests which user sees which records of the request log, in which order, and the treatment of
 * lines that are no records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants these first. */
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/observe/audit.h"

#define OP_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OP_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define T(s) "\"time\":\"2026-03-01T10:00:0" s ".000000000Z\""

struct place {
	char dir[64];
	char seen[16384]; /* what was shown, one "name" a line */
	unsigned limit;   /* lines that the caller takes; 0: all */
	unsigned n;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/banger-audit-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	*state = p;
	return 0;
}

static void path_of(const struct place *p, const char *role, char out[128])
{
	(void)snprintf(out, 128, "%s/%s.log", p->dir, role);
}

static int teardown(void **state)
{
	static const char *const roles[] = { "net", "blk", "spawn" };
	struct place *p = *state;
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		path_of(p, roles[i], path);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(p->dir), 0);
	free(p);
	return 0;
}

static void put(struct place *p, const char *role, const void *bytes, size_t n)
{
	char path[128];

	path_of(p, role, path);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, bytes, n), n);
}

static void put_text(struct place *p, const char *role, const char *text)
{
	put(p, role, text, strlen(text));
}

static int take(void *arg, const char *json)
{
	struct place *p = arg;
	const char *name = strstr(json, "\"name\":\"");

	assert_non_null(name);
	size_t used = strlen(p->seen);
	(void)snprintf(p->seen + used, sizeof(p->seen) - used, "%.*s ",
		       (int)strcspn(name + 8, "\""), name + 8);
	return p->limit && ++p->n >= p->limit ? -1 : 0;
}

static struct audit_count look(struct place *p, uint32_t uid, const char *op, bool ours)
{
	const struct caller asker = { .uid = uid };
	struct audit_query q = {
		.asker = &asker, .op = op, .op_is_ours = ours, .line = take, .arg = p
	};
	struct audit_count count;
	struct error e = { 0 };

	p->seen[0] = '\0';
	if (audit_read(p->dir, &q, &count, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	return count;
}

static void records(struct place *p)
{
	put_text(p, "net",
		 "{" T("0") ",\"name\":\"start\"}\n"
			    "{" T("2") ",\"op_id\":\"" OP_A "\",\"owner\":1001,\"name\":\"tap\"}\n"
				       "{" T("6") ",\"op_id\":\"" OP_B
						  "\",\"owner\":1002,\"name\":\"theirs\"}\n");
	put_text(p, "blk",
		 "{" T("3") ",\"op_id\":\"" OP_A "\",\"owner\":1001,\"name\":\"loop\"}\n"
			    "{" T("4") ",\"op_id\":\"" OP_A "\",\"name\":\"list\"}\n");
	put_text(p, "spawn",
		 "{" T("1") ",\"name\":\"begin\"}\n"
			    "{" T("5") ",\"op_id\":\"" OP_A
				       "\",\"owner\":1001,\"name\":\"vmm\"}\n");
}

static void root_sees_all_in_the_order_of_time(void **state)
{
	struct place *p = *state;

	records(p);
	assert_int_equal(look(p, 0, "", false).shown, 7);
	assert_string_equal(p->seen, "start begin tap loop list vmm theirs ");
	assert_int_equal(look(p, 0, OP_B, false).shown, 1);
	assert_string_equal(p->seen, "theirs ");
}

/* The wall clock was set back: the records of one role keep the role's order. */
static void a_clock_set_back_keeps_the_order_of_a_log(void **state)
{
	struct place *p = *state;

	put_text(p, "net",
		 "{" T("7") ",\"name\":\"first\"}\n{" T("1") ",\"name\":\"second\"}\n{" T(
			 "2") ",\"name\":\"third\"}\n");
	put_text(p, "blk", "{" T("3") ",\"name\":\"other\"}\n");
	assert_int_equal(look(p, 0, "", false).shown, 4);
	assert_string_equal(p->seen, "other first second third ");
}

static void a_user_sees_records_of_own_vms_alone(void **state)
{
	struct place *p = *state;

	records(p);
	(void)look(p, 1001, "", false);
	assert_string_equal(p->seen, "tap loop vmm ");
	(void)look(p, 1002, "", false);
	assert_string_equal(p->seen, "theirs ");
	assert_int_equal(look(p, 1003, "", false).shown, 0);
}

static void an_operation_is_shown_to_its_owner_alone(void **state)
{
	struct place *p = *state;

	records(p);
	(void)look(p, 1001, OP_A, true);
	assert_string_equal(p->seen, "tap loop list vmm ");
	/* The id of an operation opens no records of other users' VMs. */
	assert_int_equal(look(p, 1002, OP_A, true).shown, 1);
	assert_string_equal(p->seen, "list ");
	/* The operation is another user's: none of its records is the caller's. */
	assert_int_equal(look(p, 1002, OP_A, false).shown, 0);
	/* "ours" says nothing when no operation is asked for. */
	(void)look(p, 1003, "", true);
	assert_string_equal(p->seen, "");
}

static void a_record_whose_owner_is_no_uid_is_shown_to_no_user(void **state)
{
	struct place *p = *state;

	/* The wide one is 2^32 + 1001. */
	put_text(p, "net",
		 "{" T("0") ",\"owner\":\"1001\",\"name\":\"text\"}\n"
			    "{" T("0") ",\"owner\":4294968297,\"name\":\"wide\"}\n"
				       "{" T("0") ",\"owner\":1001.0,\"name\":\"real\"}\n"
						  "{" T("0") ",\"owner\":-1,\"name\":\"minus\"}\n");
	assert_int_equal(look(p, 1001, "", false).shown, 0);
	assert_int_equal(look(p, UINT32_MAX, "", false).shown, 0);
}

static void bad_lines_are_skipped_and_counted(void **state)
{
	struct place *p = *state;
	char longline[3 * AUDIT_LINE_MAX];

	put_text(p, "net",
		 "\n{\"time\":1}\nnot json\n[]\n{" T(
			 "0") ",\"name\":\"twice\",\"name\":\"twice\"}\n");
	put(p, "net", "{\0}\n", 4);
	memset(longline, 'x', sizeof(longline));
	longline[sizeof(longline) - 1] = '\n';
	put(p, "net", longline, sizeof(longline));
	put_text(p, "net",
		 "{" T("1") ",\"name\":\"good\"}\n{" T("2") ",\"name\":\"cut"); /* a torn end */
	struct audit_count count = look(p, 0, "", false);
	assert_string_equal(p->seen, "good ");
	assert_int_equal(count.bad, 8);
}

static void the_longest_line_passes(void **state)
{
	struct place *p = *state;
	char line[AUDIT_LINE_MAX + 2];
	int n = snprintf(line, sizeof(line), "{" T("0") ",\"name\":\"long\",\"pad\":\"");

	memset(line + n, 'x', sizeof(line) - (size_t)n);
	memcpy(line + AUDIT_LINE_MAX - 2, "\"}\n", 4);
	put_text(p, "spawn", line);
	assert_int_equal(look(p, 0, "", false).shown, 1);
}

static void logs_that_are_missing_are_empty_and_links_are_refused(void **state)
{
	struct place *p = *state;
	const struct caller root = { .uid = 0 };
	struct audit_query q = { .asker = &root, .op = "", .line = take, .arg = p };
	struct audit_count count;
	struct error e = { 0 };
	char path[128];

	assert_int_equal(look(p, 0, "", false).shown, 0);
	path_of(p, "blk", path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(audit_read(p->dir, &q, &count, &e), -1);
	assert_int_equal(e.code, FAIL_HOST);
}

static void a_caller_can_end_the_list(void **state)
{
	struct place *p = *state;

	records(p);
	p->limit = 2;
	(void)look(p, 0, "", false);
	assert_string_equal(p->seen, "start begin ");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(root_sees_all_in_the_order_of_time),
		TEST(a_clock_set_back_keeps_the_order_of_a_log),
		TEST(a_user_sees_records_of_own_vms_alone),
		TEST(an_operation_is_shown_to_its_owner_alone),
		TEST(a_record_whose_owner_is_no_uid_is_shown_to_no_user),
		TEST(bad_lines_are_skipped_and_counted),
		TEST(the_longest_line_passes),
		TEST(logs_that_are_missing_are_empty_and_links_are_refused),
		TEST(a_caller_can_end_the_list),
	};

	return cmocka_run_group_tests_name("ctl_audit", tests, NULL, NULL);
}
