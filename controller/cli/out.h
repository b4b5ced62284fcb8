/* out.h - the output for people and programs: tables, JSON, errors and stages; removes control
 * bytes from guests' text. */
#ifndef BANGER_CLI_OUT_H
#define BANGER_CLI_OUT_H

#include <jansson.h>

#include "controller/cli/cli.h"

#define TABLE_COLUMNS 10

/**
 * text_clean() - replace each control character by '?': C0, DEL, and C1 in UTF-8
 * @s:	UTF-8; its length does not change
 *
 * A terminal obeys escape sequences, so conn_call() cleans all text that the daemon sends.
 */
void text_clean(char *s);
/* text_clean() for each text of an event or of a result. */
void fields_clean(const struct field *fields, void *base);

/* A table of text, which copies its cells.  Zero it, set the head, add rows, print, free. */
struct table {
	const char *head[TABLE_COLUMNS]; /* NULL ends them */
	char *(*rows)[TABLE_COLUMNS];
	size_t n;
};

/* Add a row with one string for each head.  Return: 0, or -1 with ENOMEM. */
int table_add(struct table *t, const char *const cells[TABLE_COLUMNS]);
/* Print the table.  A column is as wide as its widest cell; the last column is not padded. */
void table_print(const struct table *t, FILE *f);
void table_free(struct table *t);

/* Write a size in bytes as "512M", "2G" or "1.5G". */
void format_size(uint64_t bytes, char out[16]);
/* Write the time since @rfc3339 as "12 s", "3 min", "5 h" or "2 d"; "-" if it is not a time. */
void format_age(const char *rfc3339, char out[16]);

/**
 * out_event_json() - make the JSON object of an event, for -o json
 *
 * The keys are the protocol's names, with two changes.  Sizes in MiB become bytes: mem_mib is
 * `memory`, disk_mib is `disk`.  runtime_<x> becomes runtime.<x>, and null if it is empty.
 * Return: a new reference.
 */
json_t *out_event_json(const struct event *event, const void *fields);

/* Make the JSON object of a result, as out_event_json().  Return: a new reference. */
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

/* Print an error, as text or (-o json) as an object.  Return: e->code. */
int out_error(struct cli *c, const struct error *e);

/* Print a remark on stderr, except with --progress none or json. */
void out_note(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Print a stage of an operation as --progress asks; out_stage_end() ends a line that is redrawn. */
void out_stage(struct cli *c, const struct ev_stage *s);
void out_stage_end(struct cli *c);

/* A state machine that drops escape sequences (ECMA-48) and control bytes from a guest's output,
 * but keeps \n and \t. */
struct clean {
	enum { CLEAN_TEXT, CLEAN_ESC, CLEAN_CSI, CLEAN_STRING, CLEAN_STRING_ESC, CLEAN_C2 } state;
};

/* Clean @n bytes into @out, which has room for @n + 1.  Return: the number of bytes in @out. */
size_t clean_bytes(struct clean *s, const char *in, size_t n, char *out);

#endif
