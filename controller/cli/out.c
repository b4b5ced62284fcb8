#include "controller/cli/out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"

/* ---- text of guests and other users ---- */

/* Return: the length of the control character at @s: 1 for C0 and DEL, 2 for C1 (U+0080 to U+009F,
 * C2 xx in UTF-8), 0 for others. */
static int control_bytes(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;

	if (u[0] < ' ' || u[0] == 127)
		return 1;
	return u[0] == 0xc2 && u[1] >= 0x80 && u[1] <= 0x9f ? 2 : 0;
}

void text_clean(char *s)
{
	while (*s) {
		int n = control_bytes(s);
		if (n)
			memset(s, '?', (size_t)n);
		s += n ? n : 1;
	}
}

void fields_clean(const struct field *fields, void *base)
{
	for (const struct field *f = fields; f->name; f++)
		if (f->type == FIELD_S)
			text_clean((char *)base + f->offset);
}

/* ---- tables ---- */

/* Copy @s without control characters: tables show names that other users chose. */
static char *cell(const char *s)
{
	char *copy = strdup(s && *s ? s : "-");

	if (copy)
		text_clean(copy);
	return copy;
}

int table_add(struct table *t, const char *const cells[TABLE_COLUMNS])
{
	void *more = realloc(t->rows, (t->n + 1) * sizeof(*t->rows));

	if (!more)
		return -1;
	t->rows = more;
	for (size_t i = 0; i < TABLE_COLUMNS; i++)
		t->rows[t->n][i] = t->head[i] ? cell(cells[i]) : NULL;
	t->n++;
	return 0;
}

static void print_row(FILE *f, char *const *cells, const char *const *head, const size_t *width)
{
	for (size_t i = 0; i < TABLE_COLUMNS && head[i]; i++) {
		const char *text = cells ? cells[i] : head[i];
		bool last = i + 1 == TABLE_COLUMNS || !head[i + 1];
		if (last)
			fprintf(f, "%s\n", text);
		else
			fprintf(f, "%-*s  ", (int)width[i], text);
	}
}

void table_print(const struct table *t, FILE *f)
{
	size_t width[TABLE_COLUMNS] = { 0 };

	for (size_t i = 0; i < TABLE_COLUMNS && t->head[i]; i++) {
		width[i] = strlen(t->head[i]);
		for (size_t r = 0; r < t->n; r++) {
			size_t n = t->rows[r][i] ? strlen(t->rows[r][i]) : 0;
			width[i] = n > width[i] ? n : width[i];
		}
	}
	print_row(f, NULL, t->head, width);
	for (size_t r = 0; r < t->n; r++)
		print_row(f, t->rows[r], t->head, width);
}

void table_free(struct table *t)
{
	for (size_t r = 0; r < t->n; r++)
		for (size_t i = 0; i < TABLE_COLUMNS; i++)
			free(t->rows[r][i]);
	free(t->rows);
	t->rows = NULL;
	t->n = 0;
}

void format_size(uint64_t bytes, char out[16])
{
	static const char units[] = "KMGTP";
	int u = -1;
	double v = (double)bytes;

	while (v >= 1024 && u < 4) {
		v /= 1024;
		u++;
	}
	if (u < 0)
		(void)snprintf(out, 16, "%u", (unsigned)bytes);
	else if (v < 10 && v != (double)(unsigned)v)
		(void)snprintf(out, 16, "%.1f%c", v, units[u]);
	else
		(void)snprintf(out, 16, "%.0f%c", v, units[u]);
}

void format_age(const char *rfc3339, char out[16])
{
	struct tm tm = { 0 };

	if (!strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm)) {
		(void)strcpy(out, "-");
		return;
	}
	long long s = (long long)(time(NULL) - timegm(&tm));
	unsigned age = s < 0 ? 0 : s > UINT32_MAX ? UINT32_MAX : (unsigned)s;
	if (age < 120)
		(void)snprintf(out, 16, "%u s", age);
	else if (age < 7200)
		(void)snprintf(out, 16, "%u min", age / 60);
	else if (age < 172800)
		(void)snprintf(out, 16, "%u h", age / 3600);
	else
		(void)snprintf(out, 16, "%u d", age / 86400);
}

/* ---- JSON ---- */

static json_t *value(const struct field *f, const void *base, bool null_if_empty, unsigned shift)
{
	const char *p = (const char *)base + f->offset;
	uint64_t u;

	switch (f->type) {
	case FIELD_U:
		memcpy(&u, p, sizeof(u));
		return null_if_empty && !u ? json_null() : json_integer((json_int_t)u << shift);
	case FIELD_F:
		return json_boolean(*(const bool *)p);
	case FIELD_S:
		return null_if_empty && !*p ? json_null() : json_string(p);
	default:
		return json_null();
	}
}

json_t *out_fields_json(const struct field *fields, const void *base)
{
	json_t *o = json_object(), *runtime = NULL;

	for (const struct field *f = fields; f->name; f++) {
		if (strncmp(f->name, "runtime_", 8) == 0) {
			if (!runtime)
				runtime = json_object();
			json_object_set_new(runtime, f->name + 8, value(f, base, true, 0));
		} else if (strcmp(f->name, "mem_mib") == 0) {
			json_object_set_new(o, "memory", value(f, base, false, 20));
		} else if (strcmp(f->name, "disk_mib") == 0) {
			json_object_set_new(o, "disk", value(f, base, false, 20));
		} else {
			json_object_set_new(o, f->name, value(f, base, false, 0));
		}
	}
	if (runtime)
		json_object_set_new(o, "runtime", runtime);
	return o;
}

json_t *out_event_json(const struct event *event, const void *fields)
{
	return out_fields_json(event->fields(), fields);
}

int out_json(struct cli *c, json_t *j)
{
	int bad = json_dumpf(j, c->out, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) < 0;

	json_decref(j);
	fputc('\n', c->out);
	return bad || ferror(c->out) ? FAIL_GENERAL : 0;
}

/* ---- errors and remarks ---- */

static const char *const codes[FAIL_COUNT] = {
	[FAIL_NONE] = "none",
	[FAIL_GENERAL] = "failed",
	[FAIL_USAGE] = "usage",
	[FAIL_NOT_FOUND] = "not_found",
	[FAIL_NOT_ALLOWED] = "not_allowed",
	[FAIL_STATE] = "state",
	[FAIL_LIMIT] = "limit",
	[FAIL_TIMEOUT] = "timeout",
	[FAIL_UNREACHABLE] = "unreachable",
	[FAIL_HOST] = "host",
	[FAIL_PARTLY] = "partly",
};

/* Print a peer's text without control characters. */
static void put_text(FILE *f, const char *s)
{
	while (*s) {
		int n = control_bytes(s);
		fputc(n ? '?' : *s, f);
		s += n ? n : 1;
	}
}

/* Make a JSON string of text that may quote a word or path that is no UTF-8. */
static json_t *quoted(const char *text)
{
	char shown[sizeof(((struct error *)NULL)->what) + sizeof(((struct error *)NULL)->why) + 8];

	text_printable(text, shown, sizeof(shown));
	return json_string(shown);
}

static void error_json(struct cli *c, const struct error *e)
{
	char text[sizeof(e->what) + sizeof(e->why) + 4];
	json_t *o = json_object();

	(void)snprintf(text, sizeof(text), "%s: %s", e->what, e->why);

	json_object_set_new(o, "code",
			    json_string(e->code < FAIL_COUNT ? codes[e->code] : "failed"));
	json_object_set_new(o, "exit", json_integer(e->code));
	json_object_set_new(o, "error", quoted(text));
	json_object_set_new(o, "hint", e->hint[0] ? quoted(e->hint) : json_null());
	json_object_set_new(o, "op_id", e->op[0] ? json_string(e->op) : json_null());
	(void)json_dumpf(o, c->err, JSON_COMPACT);
	fputc('\n', c->err);
	json_decref(o);
}

int out_error(struct cli *c, const struct error *e)
{
	out_stage_end(c);
	if (c->opt.format == FORMAT_JSON) {
		error_json(c, e);
		return e->code;
	}
	fputs("banger: ", c->err);
	put_text(c->err, e->what);
	fputs(": ", c->err);
	put_text(c->err, e->why);
	fputc('\n', c->err);
	if (e->hint[0]) {
		fputs("hint: ", c->err);
		put_text(c->err, e->hint);
		fputc('\n', c->err);
	}
	if (e->op[0])
		fprintf(c->err, "(op %s)\n", e->op);
	return e->code;
}

void out_note(struct cli *c, const char *fmt, ...)
{
	va_list ap;

	if (c->opt.progress == PROGRESS_NONE || c->opt.progress == PROGRESS_JSON)
		return;
	out_stage_end(c);
	va_start(ap, fmt);
	(void)vfprintf(c->err, fmt, ap);
	va_end(ap);
	fputc('\n', c->err);
	fflush(c->err);
}

/* ---- lists ---- */

bool listing_take(struct listing *l, const struct event *event, const void *fields,
		  const char *name)
{
	if (l->c->opt.format == FORMAT_JSON)
		(void)json_array_append_new(l->json, out_event_json(event, fields));
	else if (l->c->opt.format == FORMAT_NAME)
		fprintf(l->c->out, "%s\n", name);
	return l->c->opt.format == FORMAT_TABLE;
}

int listing_end(struct listing *l, int called, const struct error *e)
{
	int ret = 0;

	if (called < 0)
		ret = out_error(l->c, e);
	else if (l->c->opt.format == FORMAT_JSON)
		ret = out_json(l->c, json_incref(l->json));
	else if (l->c->opt.format == FORMAT_TABLE)
		table_print(&l->table, l->c->out);
	json_decref(l->json);
	table_free(&l->table);
	return ret;
}

/* ---- stages ---- */

static void stage_json(struct cli *c, const struct ev_stage *s)
{
	json_t *o = out_event_json(control_event(EVENT_STAGE), s);

	json_object_set_new(o, "event", json_string("stage"));
	(void)json_dumpf(o, c->err, JSON_COMPACT);
	fputc('\n', c->err);
	fflush(c->err);
	json_decref(o);
}

void out_stage(struct cli *c, const struct ev_stage *s)
{
	bool redraw = c->opt.progress == PROGRESS_AUTO && c->err_tty;

	if (c->opt.progress == PROGRESS_NONE)
		return;
	if (c->opt.progress == PROGRESS_JSON) {
		stage_json(c, s);
		return;
	}
	/* Carriage return, then erase to the end of the line (ECMA-48 EL). */
	fputs(redraw ? "\r\033[K  " : "  ", c->err);
	put_text(c->err, s->stage);
	if (s->detail[0]) {
		fputs(": ", c->err);
		put_text(c->err, s->detail);
	}
	if (s->us >= 1000000)
		fprintf(c->err, " (%.1f s)", (double)s->us / 1e6);
	else if (s->us)
		fprintf(c->err, " (%.1f ms)", (double)s->us / 1000);
	if (!redraw)
		fputc('\n', c->err);
	c->stage_open = redraw;
	fflush(c->err);
}

void out_stage_end(struct cli *c)
{
	if (c->stage_open)
		fputs("\r\033[K", c->err);
	c->stage_open = false;
	fflush(c->err);
}

/* ---- a guest's output ---- */

/* Set the state that follows the byte @b within a sequence; clean_bytes() handles plain text. */
static void clean_next(struct clean *s, unsigned char b)
{
	switch (s->state) {
	case CLEAN_TEXT:
		s->state = CLEAN_ESC;
		break;
	case CLEAN_ESC:
		if (b == '[')
			s->state = CLEAN_CSI;
		else if (strchr("]PX^_", b) && b)
			s->state = CLEAN_STRING; /* OSC, DCS, SOS, PM, APC: to ST or BEL */
		else if (b < 0x20 || b > 0x2f)
			s->state = CLEAN_TEXT;
		break;
	case CLEAN_CSI:
		if (b >= 0x40 && b <= 0x7e)
			s->state = CLEAN_TEXT;
		break;
	case CLEAN_STRING:
		if (b == 7)
			s->state = CLEAN_TEXT;
		else if (b == 27)
			s->state = CLEAN_STRING_ESC;
		break;
	case CLEAN_C2:
		s->state = b == 0x9b ? CLEAN_CSI : CLEAN_TEXT;
		break;
	case CLEAN_STRING_ESC:
		s->state = b == '\\' ? CLEAN_TEXT : CLEAN_STRING;
		break;
	}
}

size_t clean_bytes(struct clean *s, const char *in, size_t n, char *out)
{
	size_t have = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char b = (unsigned char)in[i];
		/* A line break ends an unfinished sequence, so that a guest can not hide the lines
		 * after it. */
		if (b == '\n')
			s->state = CLEAN_TEXT;
		/* U+0080 to U+009F (C2 xx in UTF-8) are control characters, but C2 also begins
		 * other letters.  A C2 without a second byte is dropped: a byte after a dropped
		 * sequence could complete it on the terminal. */
		if (s->state == CLEAN_C2 && (b & 0xe0) == 0xa0)
			out[have++] = '\xc2';
		if (s->state == CLEAN_C2 && (b & 0xe0) != 0x80)
			s->state = CLEAN_TEXT;
		if (s->state == CLEAN_TEXT && b == 0xc2)
			s->state = CLEAN_C2;
		else if (s->state != CLEAN_TEXT || b == 27)
			clean_next(s, b);
		else if (b == '\n' || b == '\t' || (b >= ' ' && b != 127))
			out[have++] = in[i];
	}
	return have;
}
