/* show.c - audit show, tail, stats: prints records of the request logs, as tables or as JSON. */
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "controller/cli/audit/rows.h"

struct show {
	struct cli *c;
	json_t *json; /* -o json: the records */
	struct table table;
	uint64_t last; /* audit tail: only the last rows; 0: all */
	struct audit_rows rows;
};

static void format_us(int64_t us, char out[24])
{
	if (us < 0)
		out[0] = '\0';
	else if (us < 10000)
		(void)snprintf(out, 24, "%" PRId64 " us", us);
	else if (us < 10000000)
		(void)snprintf(out, 24, "%" PRId64 " ms", us / 1000);
	else
		(void)snprintf(out, 24, "%" PRId64 " s", us / 1000000);
}

static void format_user(int64_t uid, char out[40])
{
	static int64_t known = -1;
	static char name[40];

	if (uid >= 0 && uid != known) {
		const struct passwd *pw = getpwuid((uid_t)uid);
		known = uid;
		(void)snprintf(name, sizeof(name), "%.32s", pw ? pw->pw_name : "");
		if (!pw)
			(void)snprintf(name, sizeof(name), "%" PRId64, uid);
	}
	(void)snprintf(out, 40, "%s", uid >= 0 ? name : "");
}

/* The last rows alone are kept: drop the oldest half when there are twice as many. */
static void keep_last(struct table *t, uint64_t last)
{
	if (!last || t->n < 2 * last)
		return;
	size_t drop = t->n - last;
	for (size_t i = 0; i < drop; i++)
		for (size_t k = 0; k < TABLE_COLUMNS; k++)
			free(t->rows[i][k]);
	memmove(t->rows, t->rows + drop, (size_t)last * sizeof(t->rows[0]));
	t->n = (size_t)last;
}

static void show_json(struct show *s, const struct audit_row *row)
{
	json_array_append(s->json, (json_t *)row->asked);
	if (row->answered && row->answered != row->asked)
		json_array_append(s->json, (json_t *)row->answered);
	if (s->last && json_array_size(s->json) > 2 * s->last)
		json_array_remove(s->json, 0);
}

static void show_row(void *arg, const struct audit_row *row)
{
	struct show *s = arg;
	const json_t *q = row->asked;
	char when[24], slot[24] = "", took[24], user[40];
	const char *op = audit_text(q, "op_id"), *time = audit_text(q, "time"),
		   *what = audit_text(q, "op");

	if (s->json) {
		show_json(s, row);
		return;
	}
	/* "2026-11-29T19:46:36.7494Z" */
	(void)snprintf(when, sizeof(when), "%.10s %.8s", time, strlen(time) > 11 ? time + 11 : "");
	if (audit_number(q, "slot") >= 0)
		(void)snprintf(slot, sizeof(slot), "%" PRId64, audit_number(q, "slot"));
	format_us(audit_number(row->answered, "us"), took);
	format_user(audit_number(q, "owner"), user);
	char vm[13];
	(void)snprintf(vm, sizeof(vm), "%.12s", audit_text(q, "vm"));
	(void)table_add(&s->table,
			(const char *const[TABLE_COLUMNS]){
				when, audit_text(q, "role"), user, vm,
				what[0] ? what : audit_text(q, "type"), slot, audit_status(row),
				took, strspn(op, "0") == strlen(op) ? "" : op });
	keep_last(&s->table, s->last);
}

/* Print what has come so far, and forget it. */
static int print_rows(struct show *s)
{
	if (s->last && s->table.n > s->last) { /* up to twice as many were kept */
		struct table all = s->table;
		size_t drop = all.n - s->last;
		s->table.rows += drop;
		s->table.n = s->last;
		table_print(&s->table, s->c->out);
		s->table = all;
	} else if (!s->json) {
		table_print(&s->table, s->c->out);
	}
	if (!s->json)
		return 0;
	while (s->last && json_array_size(s->json) > s->last)
		json_array_remove(s->json, 0);
	return out_json(s->c, json_incref(s->json));
}

/* One row, as it comes; columns do not adapt any more. */
static void follow_row(void *arg, const struct audit_row *row)
{
	struct show *s = arg;
	size_t i;

	if (s->json) {
		json_t *a = json_pack("[OO?]", row->asked,
				      row->answered == row->asked ? NULL : row->answered);
		json_t *o;
		json_array_foreach(a, i, o)
		{
			(void)json_dumpf(o, s->c->out, JSON_COMPACT);
			(void)fputc('\n', s->c->out);
		}
		json_decref(a);
		return;
	}
	show_row(arg, row);
	for (size_t r = 0; r < s->table.n; r++)
		for (size_t k = 0; k + 1 < TABLE_COLUMNS && s->table.head[k]; k++)
			fprintf(s->c->out, "%s%s", s->table.rows[r][k],
				s->table.head[k + 1] ? "  " : "\n");
	while (s->table.n)
		for (size_t k = 0, r = --s->table.n; k < TABLE_COLUMNS; k++)
			free(s->table.rows[r][k]);
}

static int follow(struct show *s, struct error *e)
{
	s->rows.row = follow_row;
	for (;;) {
		if (fflush(s->c->out) != 0)
			return 0;
		(void)sleep(1);
		if (audit_rows_read(s->c, &s->rows, e) < 0)
			return -1;
	}
}

static int show(struct cli *c, uint64_t last)
{
	struct show s = { .c = c,
			  .last = last,
			  .table = { .head = { "WHEN (UTC)", "ROLE", "USER", "VM", "REQUEST",
					       "SLOT", "RESULT", "TIME", "OPERATION" } } };
	struct error e = { 0 };
	int ret = 0;

	s.rows.row = show_row;
	s.rows.arg = &s;
	s.json = c->opt.format == FORMAT_JSON ? json_array() : NULL;
	if (audit_filter_read(c, &s.rows.filter, &e) < 0 || audit_rows_read(c, &s.rows, &e) < 0) {
		ret = out_error(c, &e);
	} else {
		if (!c->opt.follow)
			audit_rows_end(&s.rows);
		ret = print_rows(&s);
		for (size_t i = 0; i < s.table.n; i++)
			for (size_t k = 0; k < TABLE_COLUMNS; k++)
				free(s.table.rows[i][k]);
		s.table.n = 0;
		if (ret == 0 && c->opt.follow && follow(&s, &e) < 0)
			ret = out_error(c, &e);
	}
	json_decref(s.json);
	json_decref(s.rows.intents);
	table_free(&s.table);
	return ret;
}

int cmd_audit_show(struct cli *c)
{
	return show(c, 0);
}

int cmd_audit_tail(struct cli *c)
{
	return show(c, c->opt.lines ? c->opt.lines : 20);
}

/* ---- stats ---- */

/* Names of users, or of kinds of requests, that are counted apart.  The writer of the log has
 * chosen the names. */
#define SUMS_MAX 512
#define SUM_OTHERS "(others)"

/* The requests of one user, or of one kind. */
struct sum {
	char name[48];
	uint64_t requests, refused, unanswered, us, slowest;
};

struct stats {
	struct cli *c;
	struct sum *users, *ops;
	size_t nusers, nops;
	struct audit_rows rows;
};

static struct sum *find(struct sum **list, size_t *n, const char *name)
{
	for (size_t i = 0; i < *n; i++)
		if (strcmp((*list)[i].name, name) == 0)
			return &(*list)[i];
	if (*n >= SUMS_MAX && strcmp(name, SUM_OTHERS) != 0)
		return find(list, n, SUM_OTHERS);
	struct sum *grown = reallocarray(*list, *n + 1, sizeof(**list));
	if (!grown)
		return NULL;
	*list = grown;
	grown[*n] = (struct sum){ 0 };
	(void)snprintf(grown[*n].name, sizeof(grown[*n].name), "%s", name);
	return &grown[(*n)++];
}

static void count(struct sum *s, const struct audit_row *row)
{
	int64_t us = audit_number(row->answered, "us");

	if (!s)
		return;
	s->requests++;
	s->unanswered += !row->answered;
	s->refused += row->answered && strcmp(audit_status(row), "ok") != 0;
	s->us += us > 0 ? (uint64_t)us : 0;
	s->slowest = us > (int64_t)s->slowest ? (uint64_t)us : s->slowest;
}

static void count_row(void *arg, const struct audit_row *row)
{
	struct stats *s = arg;
	const char *op = audit_text(row->asked, "op");
	char user[40];

	if (!op[0])
		return;
	format_user(audit_number(row->asked, "owner"), user);
	count(find(&s->users, &s->nusers, user[0] ? user : "(none)"), row);
	count(find(&s->ops, &s->nops, op), row);
}

static int by_requests(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;

	return (x->requests < y->requests) - (x->requests > y->requests);
}

static void print_sums(struct cli *c, const char *what, const struct sum *list, size_t n)
{
	struct table t = { .head = { what, "REQUESTS", "REFUSED", "NO ANSWER", "MEAN",
				     "SLOWEST" } };
	char text[5][24];

	for (size_t i = 0; i < n; i++) {
		const struct sum *s = &list[i];
		(void)snprintf(text[0], 24, "%" PRIu64, s->requests);
		(void)snprintf(text[1], 24, "%" PRIu64, s->refused);
		(void)snprintf(text[2], 24, "%" PRIu64, s->unanswered);
		format_us((int64_t)(s->us / s->requests), text[3]);
		format_us((int64_t)s->slowest, text[4]);
		(void)table_add(&t, (const char *const[TABLE_COLUMNS]){
					    s->name, text[0], text[1], text[2], text[3], text[4] });
	}
	table_print(&t, c->out);
	table_free(&t);
}

static json_t *sums_json(const struct sum *list, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, json_pack("{ss sI sI sI sI sI}", "name", list[i].name,
						   "requests", (json_int_t)list[i].requests,
						   "refused", (json_int_t)list[i].refused,
						   "unanswered", (json_int_t)list[i].unanswered,
						   "us", (json_int_t)list[i].us, "slowest_us",
						   (json_int_t)list[i].slowest));
	return a;
}

int cmd_audit_stats(struct cli *c)
{
	struct stats s = { .c = c };
	struct error e = { 0 };
	int ret = 0;

	s.rows.row = count_row;
	s.rows.arg = &s;
	if (audit_filter_read(c, &s.rows.filter, &e) < 0 || audit_rows_read(c, &s.rows, &e) < 0) {
		ret = out_error(c, &e);
	} else {
		audit_rows_end(&s.rows);
		qsort(s.users, s.nusers, sizeof(*s.users), by_requests);
		qsort(s.ops, s.nops, sizeof(*s.ops), by_requests);
		if (c->opt.format == FORMAT_JSON)
			ret = out_json(c,
				       json_pack("{so so}", "users", sums_json(s.users, s.nusers),
						 "requests", sums_json(s.ops, s.nops)));
		else {
			print_sums(c, "USER", s.users, s.nusers);
			(void)fputc('\n', c->out);
			print_sums(c, "REQUEST", s.ops, s.nops);
		}
	}
	json_decref(s.rows.intents);
	free(s.users);
	free(s.ops);
	return ret;
}
