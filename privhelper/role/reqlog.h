/* reqlog.h - writes the request log of a role: one JSON line for a request, one for its result.
 *
 * The intent of a change is on the disk before the kernel is changed.  Each line ends with the
 * SHA-256 of the line before it (without its newline).  The first line of a process is "start"; its
 * digest is null.
 *
 * A request that changes nothing (a read, a refused request, a removal of an object that does not
 * exist) costs its sender nothing, so a hostile sender could fill the disk with such lines.  Those
 * beyond a burst are not written but counted; the next line tells their number in "skipped". */
#ifndef BANGER_PRIVHELPER_REQLOG_H
#define BANGER_PRIVHELPER_REQLOG_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/ops.h"

#define REQLOG_DIGEST 65 /* SHA-256 in lower-case hexadecimal, with the NUL */

struct reqlog {
	int fd;        /* O_APPEND */
	uint64_t size; /* of the file; it ends at REQLOG_BYTES_MAX */
	const char *role;
	char prev[REQLOG_DIGEST]; /* of the last complete line; "" before the first */
	/* the last write ended inside a line: the next one begins with a newline */
	bool torn;
	bool failing; /* an error was logged since the last success */
	uint64_t pings, reads;
	/* the last request with an intent: its result is always written */
	uint64_t owed_seq;
	/* a token bucket for lines without an intent, in time, and its last refill */
	uint64_t cheap_ns, looked_ns;
	uint64_t skipped; /* lines not written since the last line */
};

/* The size at which a log ends: creates are refused until it is rotated.  A role writes nothing
 * else, so the kernel enforces it too (RLIMIT_FSIZE). */
#define REQLOG_BYTES_MAX (UINT64_C(1) << 30)

/* Lines without an intent: a burst, for a start that lists all objects and watches each VMM, then
 * 20 a second. */
#define REQLOG_CHEAP_BURST 2500
#define REQLOG_CHEAP_NS 50000000u

/* Start the log of @role on @fd, which is open for appending and stays the caller's, as does
 * @role.  @size: bytes of the file; no other process writes to it. */
void reqlog_init(struct reqlog *l, int fd, uint64_t size, const char *role);

/* Each of the following writes one line.  Return: 0, or -1 (logged once): nothing or a part of it
 * was written. */
int reqlog_start(struct reqlog *l, pid_t pid, uint32_t uid);
/* Write the intent of a CREATE or REMOVE, and wait until it is on the disk (about 0.1 ms).  A READ
 * has no intent. */
int reqlog_intent(struct reqlog *l, const struct request *q);
/* Take a token for a line of a request that changes nothing.  Return: true, or false: the line
 * counts as skipped. */
bool reqlog_has_room(struct reqlog *l);
/* Write the result; @us: microseconds that the operation took.  It may be skipped if there was no
 * intent.  It is the only line of a READ.  PINGs are counted and not written. */
int reqlog_result(struct reqlog *l, const struct request *q, const struct reply *reply,
		  uint64_t us);
/* Write length and hash of a packet that no honest controller sends, never its bytes, and wait for
 * the disk.
 * @why: text without '"' and '\'. */
int reqlog_violation(struct reqlog *l, const char *why, const void *packet, size_t len);
/* Write the last line of an orderly stop, and wait for the disk. */
int reqlog_stop(struct reqlog *l);

#endif
