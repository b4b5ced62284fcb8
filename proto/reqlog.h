/* reqlog.h - the files of a role's request log, which the role writes and `banger audit` reads.
 *
 * A log is lines of JSON.  privhelper/README.md describes the members of each type of record.
 * Every line ends with the members "prev" and "mac":
 *
 *   prev   SHA-256 of the whole line of the record before, without its newline; null in record 0
 *   mac    the first REQLOG_MAC bytes of HMAC-SHA-256(K, D); K is the key of this record's number,
 *          D is SHA-256 of the line before the text `,"mac":`
 *
 * The key of record n + 1 is SHA-256(REQLOG_KEY_LABEL, the key of record n), so that a key gives
 * no earlier one.  A key of zeros stands for none: anybody can compute these MACs. */
#ifndef BANGER_PROTO_REQLOG_H
#define BANGER_PROTO_REQLOG_H

#include <stdint.h>

#define REQLOG_DIGEST 65                     /* SHA-256 in lower-case hexadecimal, with the NUL */
#define REQLOG_KEY 32                        /* bytes of a key */
#define REQLOG_MAC 16                        /* bytes of a MAC; a line has 32 hexadecimal digits */
#define REQLOG_KEY_LABEL "banger reqlog key" /* without its NUL */

/* Records whose keys a role derives at once.  The key file holds the key of a record that is not
 * written yet, at most this number ahead.  So after a crash the next record has a number that is
 * at most this number higher. */
#define REQLOG_AHEAD 256

/* The size at which a log ends: creates are refused until it is rotated.  A role writes no longer
 * file, so the kernel enforces it too (RLIMIT_FSIZE). */
#define REQLOG_BYTES_MAX (UINT64_C(1) << 30)

/* The end of a log as a start record tells it. */
struct reqlog_tail {
	uint64_t after;           /* the first number that the key file did not count */
	uint64_t end;             /* bytes that the log should have */
	char prev[REQLOG_DIGEST]; /* hash of record after - 1; "": there is none */
	uint8_t moved;            /* 1: the log is another file than before */
	uint8_t zero[6];
};

/* The key file beside a log (net.key): this struct, overwritten before each record.  All zeros, or
 * an empty file, stand for a log without records and without a key. */
struct reqlog_state {
	uint64_t next;            /* the number of the next record */
	uint64_t start, end;      /* bytes of the log before and after record next - 1 */
	uint64_t dev, ino;        /* of the log */
	uint64_t ahead;           /* the record that `key` belongs to; next: after a clean stop */
	char prev[REQLOG_DIGEST]; /* hash of record next - 1; "": there is none */
	uint8_t key[REQLOG_KEY];
	uint8_t starting; /* 1: until the start record is on the disk, ... */
	uint8_t zero[6];
	struct reqlog_tail tail; /* ... which tells this, and ... */
	uint64_t size;           /* ... stands behind this number of bytes */
};
_Static_assert(sizeof(struct reqlog_state) == 248, "the same on all sides, without padding");

#endif
