/* out.h - what people and programs read: tables, JSON, errors, stages, and guest text made
 * harmless. */
#ifndef BANGER_CLI_OUT_H
#define BANGER_CLI_OUT_H

#include <jansson.h>

#include "controller/cli/cli.h"

#define TABLE_COLUMNS 8

/**
 * text_clean() - put ? in the place of each control character: C0, DEL, and C1 in UTF-8
 * @s:	UTF-8; its length stays as it is
 *
 * A terminal obeys escape sequences, and people read what a daemon sends: conn_call() calls it for
 * all text that comes.
 */
void text_clean(char *s);
/* The same for each text of an event or of a result. */
void fields_clean(const struct field *fields, void *base);

/* Rows of text; cells are copied.  Zero it, set the head, add rows, print, free. */
struct table {
	const char *head[TABLE_COLUMNS]; /* NULL ends them */
	char *(*rows)[TABLE_COLUMNS];
	size_t n;
};

/* Add a row: as many strings as there are heads.  Return: 0, or -1 with ENOMEM. */
int table_add(struct table *t, const char *const cells[TABLE_COLUMNS]);
/* Columns are as wide as their widest cell; the last one is not padded. */
void table_print(const struct table *t, FILE *f);
void table_free(struct table *t);

/* "512M", "2G", "1.5G" of @bytes. */
void format_size(uint64_t bytes, char out[16]);
/* "12 s", "3 min", "5 h", "2 d" since an RFC 3339 time; "-" when it is none. */
void format_age(const char *rfc3339, char out[16]);

/**
 * out_event_json() - an event as the object that -o json prints
 *
 * Keys are the protocol's names, with two changes: what is in MiB is given in
 * bytes (mem_mib is `memory`, disk_mib is `disk`), and runtime_<x> becomes
 * runtime.<x>, null when it is empty.  Return: a new reference.
 */
json_t *out_event_json(const struct event *event, const void *fields);

/* The result of a call as an object, likewise. */
json_t *out_fields_json(const struct field *fields, const void *base);

/* Print @j (and drop the reference) with a newline.  Return: 0, or FAIL_GENERAL when stdout failed.
 */
int out_json(struct cli *c, json_t *j);

/* The answer of a list command: one object an event, in the format of --output.  Set @c, @json (an
 * array) and the table's head. */
struct listing {
	struct cli *c;
	json_t *json;
	struct table table;
};

/**
 * listing_take() - take one object: keep it for -o json, print its name for -o name
 * @fields:	the event's struct; borrowed
 * @name:	the object's name
 *
 * Return: true if the caller must add the object's row to the table.
 */
bool listing_take(struct listing *l, const struct event *event, const void *fields,
		  const char *name);

/**
 * listing_end() - print the list, or the error of its call, and release what the list holds
 * @called:	result of conn_call(); negative: print @e
 *
 * Return: the exit status.
 */
int listing_end(struct listing *l, int called, const struct error *e);

/* Say what went wrong, as text or (-o json) as an object.  Return: e->code. */
int out_error(struct cli *c, const struct error *e);

/* A remark for a person on stderr; not with --progress none or json. */
void out_note(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A stage of an operation, as --progress says; and the end of the line that is being redrawn. */
void out_stage(struct cli *c, const struct ev_stage *s);
void out_stage_end(struct cli *c);

/* A state machine that drops control bytes, but \n and \t, and escape sequences (ECMA-48) from a
 * guest's output. */
struct clean {
	enum { CLEAN_TEXT, CLEAN_ESC, CLEAN_CSI, CLEAN_STRING, CLEAN_STRING_ESC, CLEAN_C2 } state;
};

/* Clean @n bytes into @out (room for @n + 1).  Return: how many came out. */
size_t clean_bytes(struct clean *s, const char *in, size_t n, char *out);

#endif
