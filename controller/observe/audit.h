/* audit.h - reads the roles' request logs, merged by time and filtered by the caller's
 * permissions. */
#ifndef BANGER_CONTROLLER_OBSERVE_AUDIT_H
#define BANGER_CONTROLLER_OBSERVE_AUDIT_H

#include "controller/ctl.h"

/* Maximum length of a record in bytes, which also fits into a line of the control protocol.  A
 * longer record is skipped and counted as bad. */
#define AUDIT_LINE_MAX 2047

#define AUDIT_LOGS 3

struct audit_query {
	/* the caller: sees records about its own VMs; root sees all records */
	const struct caller *asker;
	/* id of an operation, in hexadecimal; "": all operations */
	const char *op;
	/* The operation @op belongs to the caller, which then also sees its records about no VM. */
	bool op_is_ours;
	/* the byte of each log to begin with, by role: net, blk, spawn */
	uint64_t from[AUDIT_LOGS];
	/* called with each record; a negative result ends the reading */
	int (*line)(void *arg, const char *json);
	void *arg;
};

/* Numbers of records.  bad: cut, too long, or not JSON. */
struct audit_count {
	uint64_t shown, bad;
	uint64_t end[AUDIT_LOGS]; /* the byte behind the last whole line that was read */
};

/**
 * audit_read() - pass the records of net.log, blk.log and spawn.log to q->line, in the order of
 *		their times
 * @log_dir:	the folder of the logs; a log that does not exist counts as empty
 * @count:	out
 *
 * The memory needed does not depend on the size of the logs.
 * Return: 0, or -1 with the error: a log can not be read.
 */
int audit_read(const char *log_dir, const struct audit_query *q, struct audit_count *count,
	       struct error *e);

#endif
