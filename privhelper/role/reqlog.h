/* reqlog.h - the request log of a role: one JSON line for what was asked, one for what came of it.
 *
 * The intent of a change is on the disk before the kernel is touched.  Each line ends with the SHA-256 of the line
 * before it (without its newline); the first of a process says "start" and has none.
 *
 * A request that changes nothing (it reads, was refused, or removes what is not there) costs its sender nothing, so a
 * hostile one could fill the disk with them: beyond a burst they are counted, and the next line says how many lines
 * were "skipped". */
#ifndef BANGER_PRIVHELPER_REQLOG_H
#define BANGER_PRIVHELPER_REQLOG_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/ops.h"

#define REQLOG_DIGEST 65 /* SHA-256 in lower-case hexadecimal, with the NUL */

struct reqlog {
	int fd;             /* O_APPEND */
	uint64_t size;      /* of the file; it ends at REQLOG_BYTES_MAX */
	const char *role;
	char prev[REQLOG_DIGEST]; /* of the last whole line; "" before the first */
	bool torn;          /* the last write ended inside a line: the next begins with a newline */
	bool failing;       /* said so on standard error already */
	uint64_t pings, reads;
	uint64_t owed_seq;            /* of the last request whose result is written in any case: it has an intent */
	uint64_t cheap_ns, looked_ns; /* the room for lines without one, in time: each costs REQLOG_CHEAP_NS */
	uint64_t skipped;             /* since the last line */
};

/* Where a log ends: creates are refused until it was rotated.  For net and blk, which write nothing else, the kernel
 * sees to it too (RLIMIT_FSIZE); spawn's limit would be its VMMs'. */
#define REQLOG_BYTES_MAX (UINT64_C(1) << 30)

/* A set that starts lists everything and asks for each VMM; then such lines are rare. */
#define REQLOG_CHEAP_BURST 2500
#define REQLOG_CHEAP_NS 50000000u

/* @size: of the file behind @fd, in bytes; nobody else writes to it. */
void reqlog_init(struct reqlog *l, int fd, uint64_t size, const char *role);

/* Each writes one line.  Return: 0, or -1 (logged once): nothing, or a part, of it was written. */
int reqlog_start(struct reqlog *l, pid_t pid, uint32_t uid);
/* Synced, and so slow (about 0.1 ms), for CREATE and REMOVE; READ operations have no intent. */
int reqlog_intent(struct reqlog *l, const struct request *q);
/* Take room for a record that no change stands behind.  Return: false when there is none; the line counts as skipped. */
bool reqlog_has_room(struct reqlog *l);
/* @us: microseconds that the operation took.  Without an intent it may be skipped.  Of a READ it is the only line; PING is counted alone. */
int reqlog_result(struct reqlog *l, const struct request *q, const struct reply *reply, uint64_t us);
/* A packet that no honest controller sends: its length and hash, never its bytes. */
int reqlog_violation(struct reqlog *l, const char *why, const void *packet, size_t len);
int reqlog_stop(struct reqlog *l);

#endif
