#include "controller/cli/audit/rows.h"

#include <archive.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "common/parse.h"
#include "controller/cli/audit/place.h"
#include "controller/cli/conn.h"

const char *audit_text(const json_t *record, const char *member)
{
	const char *s = json_string_value(json_object_get(record, member));

	return s ? s : "";
}

int64_t audit_number(const json_t *record, const char *member)
{
	const json_t *j = json_object_get(record, member);

	return json_is_integer(j) ? json_integer_value(j) : -1;
}

const char *audit_status(const struct audit_row *row)
{
	if (!row->answered)
		return "no answer";
	return audit_text(row->answered, "status");
}

/* ---- the filter ---- */

/* A date, a date and time in UTC, or an age. */
static int read_time(const char *what, const char *s, char out[40], struct error *e)
{
	static const char shape[] = "0000-00-00T00:00:00.000000000Z";
	char unit[3] = "";
	unsigned long long n;
	size_t len = strlen(s);

	if (sscanf(s, "%llu%2[smhd]", &n, unit) == 2 && strlen(unit) == 1 && n < 1000000000) {
		uint64_t ago = n * (*unit == 's'   ? 1
				    : *unit == 'm' ? 60
				    : *unit == 'h' ? 3600
						   : 86400);
		time_t t = time(NULL) - (time_t)ago;
		struct tm tm;
		(void)strftime(out, 40, "%Y-%m-%dT%H:%M:%S", gmtime_r(&t, &tm));
		return 0;
	}
	bool good = len >= 10 && len < sizeof(shape);
	for (size_t i = 0; good && i < len; i++)
		good = shape[i] == '0' ? s[i] >= '0' && s[i] <= '9'
				       : s[i] == shape[i] || (i == 10 && s[i] == ' ');
	if (!good)
		return error_set(e, FAIL_USAGE, what,
				 "%s is no time: want 2026-11-29, 2026-11-29T19:46 or 2h", s);
	(void)snprintf(out, 40, "%s", s);
	if (len > 10)
		out[10] = 'T';
	return 0;
}

static int read_user(const char *s, uint32_t *owner, struct error *e)
{
	uint64_t v;
	const struct passwd *pw = getpwnam(s);

	if (pw) {
		*owner = pw->pw_uid;
		return 0;
	}
	if (parse_uint(s, 0, UINT32_MAX - 1, &v) < 0)
		return error_set(e, FAIL_NOT_FOUND, "user", "there is no user %s", s);
	*owner = (uint32_t)v;
	return 0;
}

/* A slot's number, a part of an id, or (by the daemon) a name. */
static int read_vm(struct cli *c, const char *s, struct audit_filter *f, struct error *e)
{
	struct ev_vm vm;
	uint64_t v;

	if (parse_uint(s, 0, 999, &v) == 0) {
		f->slot = (uint32_t)v;
		return 0;
	}
	if (strlen(s) >= 6 && strlen(s) < sizeof(f->vm) &&
	    strspn(s, "0123456789abcdef") == strlen(s)) {
		(void)snprintf(f->vm, sizeof(f->vm), "%s", s);
		return 0;
	}
	if (vm_lookup(c, s, &vm, e) < 0)
		return -1;
	(void)snprintf(f->vm, sizeof(f->vm), "%.32s", vm.id);
	return 0;
}

int audit_filter_read(struct cli *c, struct audit_filter *f, struct error *e)
{
	const struct options *o = &c->opt;

	*f = (struct audit_filter){ .slot = UINT32_MAX,
				    .owner = UINT32_MAX,
				    .op = o->op ? o->op : "",
				    .status = o->status ? o->status : "",
				    .role = o->role ? o->role : "",
				    /* the daemon looks for it itself */
				    .operation = o->logs && c->npos ? c->pos[0] : "" };
	if (!audit_role_known(c, e) || (o->user && read_user(o->user, &f->owner, e) < 0) ||
	    (o->vm && read_vm(c, o->vm, f, e) < 0) ||
	    (o->since && read_time("since", o->since, f->since, e) < 0) ||
	    (o->until && read_time("until", o->until, f->until, e) < 0))
		return -1;
	return 0;
}

static bool wanted(const struct audit_filter *f, const struct audit_row *row)
{
	const char *op = audit_text(row->asked, "op"), *time = audit_text(row->asked, "time");

	if (!op[0])
		op = audit_text(row->asked, "type");
	if ((f->op[0] && strcmp(f->op, op) != 0) ||
	    (f->role[0] && strcmp(f->role, audit_text(row->asked, "role")) != 0) ||
	    (f->operation[0] && strcmp(f->operation, audit_text(row->asked, "op_id")) != 0) ||
	    (f->since[0] && strcmp(time, f->since) < 0) ||
	    (f->until[0] && strcmp(time, f->until) >= 0) ||
	    (f->slot != UINT32_MAX && audit_number(row->asked, "slot") != f->slot) ||
	    (f->owner != UINT32_MAX && audit_number(row->asked, "owner") != f->owner) ||
	    strncmp(audit_text(row->asked, "vm"), f->vm, strlen(f->vm)) != 0)
		return false;
	if (strcmp(f->status, "!ok") == 0)
		return audit_status(row)[0] && strcmp(audit_status(row), "ok") != 0;
	return !f->status[0] || strcmp(audit_status(row), f->status) == 0;
}

/* ---- records ---- */

static void pass(struct audit_rows *r, const json_t *asked, const json_t *answered)
{
	const struct audit_row row = { asked, answered };

	if (wanted(&r->filter, &row))
		r->row(r->arg, &row);
}

static bool is_role(const char *name)
{
	for (size_t i = 0; i < AUDIT_ROLES; i++)
		if (strcmp(name, audit_roles[i]) == 0)
			return true;
	return false;
}

static void take(struct audit_rows *r, json_t *o)
{
	const char *type = audit_text(o, "type"), *role = audit_text(o, "role");
	json_t *intent = json_object_get(r->intents, role);
	bool answers = strcmp(type, "result") == 0 && intent &&
		       audit_number(intent, "seq") == audit_number(o, "seq");

	if (intent && strcmp(type, "repair") != 0) {
		pass(r, intent, answers ? o : NULL);
		json_object_del(r->intents, role);
	}
	if (strcmp(type, "intent") == 0 && is_role(role))
		json_object_set(r->intents, role, o);
	else if (!answers)
		pass(r, o, o);
}

void audit_rows_end(struct audit_rows *r)
{
	/* What is left was asked for and has no answer in the log. */
	for (void *i = json_object_iter(r->intents); i; i = json_object_iter_next(r->intents, i))
		pass(r, json_object_iter_value(i), NULL);
	json_decref(r->intents);
	r->intents = NULL;
}

/* ---- from the daemon ---- */

static int on_event(void *arg, const struct event *event, const union control_body *body,
		    struct error *e)
{
	(void)e;
	if (event->id != EVENT_LINE)
		return 0;
	json_t *o = json_loads(body->ev_line.text, 0, NULL);
	if (o)
		take(arg, o);
	json_decref(o);
	return 0;
}

static int ask_daemon(struct cli *c, struct audit_rows *r, struct error *e)
{
	const struct reply_to to = { .event = on_event, .arg = r };
	struct call_audit_show a = { .net = r->next[0], .blk = r->next[1], .spawn = r->next[2] };
	struct res_audit_show res;

	if (text_put(a.op, sizeof(a.op), "operation", c->npos ? c->pos[0] : "", e) < 0 ||
	    conn_call(c, CALL_AUDIT_SHOW, &a, NULL, &to, &res, e) < 0)
		return -1;
	r->next[0] = res.net;
	r->next[1] = res.blk;
	r->next[2] = res.spawn;
	return 0;
}

/* ---- from the files ---- */

/* The log of one role, at its next record. */
struct source {
	struct audit_files files;
	size_t file;
	struct archive *a; /* the open file */
	uint64_t at;       /* bytes read of it */
	uint64_t skip;     /* bytes of the last file that are not to be read again */
	char buf[8192];
	size_t have, used;
	json_t *record;
};

static void close_file(struct source *s)
{
	archive_read_free(s->a);
	s->a = NULL;
	s->have = s->used = 0;
}

static int open_file(struct source *s)
{
	struct archive_entry *entry;

	s->a = audit_reader();
	s->at = 0;
	if (!s->a ||
	    archive_read_open_filename(s->a, s->files.paths[s->file], sizeof(s->buf)) != ARCHIVE_OK)
		return -1;
	int r = archive_read_next_header(s->a, &entry);
	return r == ARCHIVE_OK || r == ARCHIVE_EOF ? 0 : -1;
}

/* The next whole line, without its newline.  Return: NULL at the end of the file. */
static char *next_line(struct source *s)
{
	for (;;) {
		char *start = s->buf + s->used, *end = memchr(start, '\n', s->have - s->used);
		if (end) {
			*end = '\0';
			s->used = (size_t)(end + 1 - s->buf);
			s->at += (uint64_t)(end + 1 - start);
			return start;
		}
		if (s->used == 0 && s->have == sizeof(s->buf)) {
			s->at += s->have;
			s->have = 0; /* longer than any record */
		}
		memmove(s->buf, start, s->have - s->used);
		s->have -= s->used;
		s->used = 0;
		la_ssize_t n = archive_read_data(s->a, s->buf + s->have, sizeof(s->buf) - s->have);
		if (n <= 0)
			return NULL;
		s->have += (size_t)n;
	}
}

static void next_record(struct source *s)
{
	const char *line;

	json_decref(s->record);
	s->record = NULL;
	while (!s->record && s->file < s->files.n) {
		bool last = s->file == s->files.n - 1;
		if (!s->a && open_file(s) < 0) {
			fprintf(stderr, "banger: audit: %s can not be read\n",
				s->files.paths[s->file]);
			line = NULL;
		} else {
			line = next_line(s);
		}
		if (line && !(last && s->at <= s->skip))
			s->record = json_loads(line, 0, NULL);
		if (line)
			continue;
		close_file(s);
		s->file++;
	}
}

static struct source *earliest(struct source *s)
{
	struct source *first = NULL;

	for (size_t i = 0; i < AUDIT_ROLES; i++)
		if (s[i].record && (!first || strcmp(audit_text(s[i].record, "time"),
						     audit_text(first->record, "time")) < 0))
			first = &s[i];
	return first;
}

static int read_files(struct cli *c, struct audit_rows *r, struct error *e)
{
	struct source *s = calloc(AUDIT_ROLES, sizeof(*s)), *next;
	char dir[512];
	int ret = s ? audit_place(c, dir, sizeof(dir), NULL, e) : -1;

	for (size_t i = 0; i < AUDIT_ROLES && ret == 0; i++) {
		ret = audit_list(dir, audit_roles[i], &s[i].files, e);
		s[i].skip = r->next[i];
		if (ret == 0 && s[i].skip) /* following: only the newest file */
			s[i].file = s[i].files.n - 1;
		if (ret == 0)
			next_record(&s[i]);
	}
	while (ret == 0 && (next = earliest(s))) {
		take(r, next->record);
		next_record(next);
	}
	for (size_t i = 0; s && i < AUDIT_ROLES; i++) {
		r->next[i] = s[i].at;
		audit_files_free(&s[i].files);
	}
	free(s);
	return ret;
}

int audit_rows_read(struct cli *c, struct audit_rows *r, struct error *e)
{
	if (!r->intents)
		r->intents = json_object();
	return c->opt.logs ? read_files(c, r, e) : ask_daemon(c, r, e);
}
