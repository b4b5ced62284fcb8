/* audit.c - audit show: prints the request logs of the privileged roles, as a table or as JSON. */
#include <string.h>

#include "common/cleanup.h"
#include "controller/cli/cli.h"
#include "controller/cli/conn.h"
#include "controller/cli/out.h"

struct audit {
	struct cli *c;
	json_t *json;    /* -o json: the records */
	json_t *intents; /* by role: the last intent, whose result is still to come */
	struct table table;
};

static const char *text(const json_t *record, const char *member)
{
	const char *s = json_string_value(json_object_get(record, member));

	return s ? s : "";
}

/* @asked: the record that names the request; @answered: the one that has its result, or NULL. */
static void row(struct audit *a, const json_t *asked, const json_t *answered)
{
	const json_t *slot = json_object_get(asked, "slot"), *us = json_object_get(answered, "us");
	char when[24], number[24] = "", took[32] = "";
	const char *op = text(asked, "op_id");

	/* "2026-11-29T19:46:36.7494Z" */
	(void)snprintf(when, sizeof(when), "%.10s %.8s", text(asked, "time"),
		       strlen(text(asked, "time")) > 11 ? text(asked, "time") + 11 : "");
	if (json_is_integer(slot))
		(void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(slot));
	if (json_is_integer(us))
		(void)snprintf(took, sizeof(took), "%lld us", (long long)json_integer_value(us));
	(void)table_add(&a->table,
			(const char *const[TABLE_COLUMNS]){
				when, text(asked, "role"),
				text(asked, text(asked, "op")[0] ? "op" : "type"), number,
				answered ? text(answered, "status") : "no answer", took,
				strspn(op, "0") == strlen(op) ? "" : op });
}

static void record(struct audit *a, json_t *o)
{
	const char *type = text(o, "type"), *role = text(o, "role");
	json_t *intent = json_object_get(a->intents, role);
	bool answers = strcmp(type, "result") == 0 && intent &&
		       json_integer_value(json_object_get(intent, "seq")) ==
			       json_integer_value(json_object_get(o, "seq"));

	if (intent) {
		row(a, intent, answers ? o : NULL);
		json_object_del(a->intents, role);
	}
	if (strcmp(type, "intent") == 0)
		json_object_set(a->intents, role, o);
	else if (!answers)
		row(a, o, o);
}

static int audit_line(void *arg, const struct event *event, const union control_body *body,
		      struct error *e)
{
	struct audit *a = arg;

	(void)e;
	if (event->id != EVENT_LINE)
		return 0;
	json_t *o = json_loads(body->ev_line.text, 0, NULL);
	if (a->c->opt.format == FORMAT_JSON)
		json_array_append_new(a->json,
				      o ? json_incref(o) : json_string(body->ev_line.text));
	else if (o)
		record(a, o);
	json_decref(o);
	return 0;
}

static void print_rows(struct audit *a)
{
	/* What is left was asked for and has no answer in the log. */
	for (void *i = json_object_iter(a->intents); i; i = json_object_iter_next(a->intents, i))
		row(a, json_object_iter_value(i), NULL);
	table_print(&a->table, a->c->out);
}

int cmd_audit_show(struct cli *c)
{
	struct audit audit = { .c = c,
			       .json = json_array(),
			       .intents = json_object(),
			       .table = { .head = { "WHEN (UTC)", "ROLE", "REQUEST", "SLOT",
						    "RESULT", "TIME", "OPERATION" } } };
	const struct reply_to to = { .event = audit_line, .arg = &audit };
	struct call_audit_show a = { 0 };
	struct res_audit_show r;
	struct error e = { 0 };
	int ret = 0;

	if (text_put(a.op, sizeof(a.op), "operation", c->npos ? c->pos[0] : "", &e) < 0 ||
	    conn_call(c, CALL_AUDIT_SHOW, &a, NULL, &to, &r, &e) < 0)
		ret = out_error(c, &e);
	else if (c->opt.format == FORMAT_JSON)
		ret = out_json(c, json_incref(audit.json));
	else
		print_rows(&audit);
	json_decref(audit.json);
	json_decref(audit.intents);
	table_free(&audit.table);
	return ret;
}
