/* rows.h - records of the request logs as rows: an intent and its result together, filtered. */
#ifndef BANGER_CLI_AUDIT_ROWS_H
#define BANGER_CLI_AUDIT_ROWS_H

#include "controller/cli/out.h"

/* One request, or one record that is about none. */
struct audit_row {
	const json_t *asked;    /* the record that names the request */
	const json_t *answered; /* the one that has its result; NULL: there is none */
};

/* What --vm, --user and so on ask for; "" or UINT32_MAX: all. */
struct audit_filter {
	char vm[33];   /* a prefix of the VM's id */
	uint32_t slot; /* or its slot */
	uint32_t owner;
	const char *op, *status, *role, *operation;
	char since[40], until[40]; /* RFC 3339 */
};

struct audit_rows {
	struct audit_filter filter;
	json_t *intents; /* by role: the last intent, whose result is still to come */
	void (*row)(void *arg, const struct audit_row *row);
	void *arg;
	uint64_t next[3]; /* the byte of each log that a next reading begins with */
};

/* Fill in the filter from the options.  Return: 0, or -1 with @e. */
int audit_filter_read(struct cli *c, struct audit_filter *f, struct error *e);

/* Read all records from r->next on, from the daemon or (--logs) from the files, by time.
 * Return: 0, or -1 with @e. */
int audit_rows_read(struct cli *c, struct audit_rows *r, struct error *e);

/* Pass on the intents that have no result. */
void audit_rows_end(struct audit_rows *r);

const char *audit_text(const json_t *record, const char *member);
/* -1: there is no such number. */
int64_t audit_number(const json_t *record, const char *member);

/* "ok", "denied", "no answer"; "" for a record that is about no request. */
const char *audit_status(const struct audit_row *row);

#endif
