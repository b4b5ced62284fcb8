/* verify.h - checks the request log of one role, record by record, in constant memory. */
#ifndef BANGER_CLI_AUDIT_VERIFY_H
#define BANGER_CLI_AUDIT_VERIFY_H

#include <stdio.h>

#include "controller/cli/audit/record.h"

/* The faults of a log.  Those from FINDING_LOST on are told, and do not make it refused. */
enum finding {
	FINDING_LINE,       /* bytes that are no record, and that no record accounts for */
	FINDING_ROLE,       /* a record of another role */
	FINDING_DUPLICATE,  /* the number of the record before */
	FINDING_ORDER,      /* a lower number than the record before, or a record behind a stop */
	FINDING_GAP,        /* records are missing */
	FINDING_CHAIN,      /* "prev" is not the hash of the record before */
	FINDING_MAC,        /* the MAC is not by the key of the record's number */
	FINDING_KEY,        /* a key of no record in this log, or no key line */
	FINDING_RESULT,     /* a result without its intent */
	FINDING_ROTATION,   /* a file does not go on where the one before ended */
	FINDING_CLOCK,      /* an earlier time than the record before */
	FINDING_CUT,        /* a checkpoint counts more records than there are */
	FINDING_CHECKPOINT, /* a checkpoint has another hash than the record */
	FINDING_HEADS,      /* checkpoints contradict each other */
	FINDING_LOST,       /* the record that was being written when the role ended */
	FINDING_OPEN,       /* an intent whose result was not written */
	FINDING_EARLIER,    /* the log begins with a later record than 0 */
	FINDINGS
};

/* Called with each finding; @n: the record's number; @at: its byte in @file. */
typedef void (*finding_fn)(void *arg, enum finding f, const char *file, uint64_t at, uint64_t n,
			   const char *why);

#define VERIFY_KEYS 64

struct verify_key {
	uint64_t n;
	uint8_t key[REQLOG_KEY];
};

struct verifier {
	const char *role;
	finding_fn tell;
	void *arg;
	FILE *checkpoints; /* lines with "checkpoint ROLE COUNT HASH TIME" in them, or NULL */
	struct verify_key keys[VERIFY_KEYS]; /* by number */
	size_t nkeys;

	/* what has been read */
	uint64_t records, files, bytes;
	uint64_t first, last;                   /* numbers, if records > 0 */
	uint64_t proven, proven_from, unproven; /* records with a MAC that was checked; others */
	uint64_t ends;                          /* starts without a stop before */
	uint64_t counts[FINDINGS];
	/* the newest checkpoint that matched: its count and its time */
	uint64_t checked, checkpoints_read;
	char checked_time[RECORD_TIME + 1];

	/* where the reading is */
	const char *file;
	uint64_t at, file_at; /* the byte of the line; of the first record's line in the file */
	bool file_empty;
	uint64_t junk; /* bytes since the last record that are none */
	struct record now;
	enum record_type type; /* of the record before */
	uint64_t seq, boot_ns; /* its open intent, 0: none; its clock */
	char time[RECORD_TIME];
	uint8_t hash[REQLOG_AHEAD][RECORD_HASH]; /* of the last records, by number */
	bool keyed;
	size_t next_key;
	uint64_t walked;       /* keys that were derived for records behind gaps */
	struct verify_key key; /* of record key.n */
	struct {
		bool there;
		uint64_t count;
		uint8_t hash[RECORD_HASH];
		char time[RECORD_TIME + 1];
	} check;
};

void verify_begin(struct verifier *v, const char *role, finding_fn tell, void *arg);

/* Add a line "banger-key ROLE NUMBER KEY"; one of another role is ignored.  Return: 0, or -1: it is
 * no such line. */
int verify_add_key(struct verifier *v, const char *line);

/* Replace a key by that of the next record. */
void verify_next_key(struct verify_key *k);

/* Read the next file of the log, compressed or not.  @name: for findings; the caller keeps it until
 * verify_end().  Return: 0, or -1 with errno: it can not be read. */
int verify_file(struct verifier *v, int fd, const char *name);

/* Compare the end of the log with the checkpoints and keys that are left.  Return: true if the log
 * is not refused. */
bool verify_end(struct verifier *v);

/* Write what is proven, what is only chained and what is missing, as sentences. */
void verify_summary(const struct verifier *v, FILE *out);

/* The name of a finding: "gap". */
const char *finding_name(enum finding f);

#endif
