/* audit.h - the roles' request logs, merged by time, for the eyes of those whom they concern. */
#ifndef BANGER_CONTROLLER_HOST_AUDIT_H
#define BANGER_CONTROLLER_HOST_AUDIT_H

#include "controller/ctl.h"

/* A record that is longer, or than the control protocol's line, is skipped and counted. */
#define AUDIT_LINE_MAX 2047

struct audit_query {
	const struct caller *asker; /* sees the records of VMs that are its own; root sees every record */
	const char *op;  /* "": of any operation */
	bool op_is_ours; /* the operation is the caller's: its records of no VM are, too; another's VM's never are */
	int (*line)(void *arg, const char *json); /* negative: enough */
	void *arg;
};

struct audit_count {
	uint64_t shown, bad; /* bad: no record of ours (cut, too long, not JSON) */
};

/**
 * audit_read() - net.log, blk.log and spawn.log of @log_dir, in the order of their times
 *
 * Streams: its memory does not grow with the logs.  A log that is not there is
 * empty.  Return: 0, or -1 with the error filled in.
 */
int audit_read(const char *log_dir, const struct audit_query *q, struct audit_count *count, struct error *e);

#endif
