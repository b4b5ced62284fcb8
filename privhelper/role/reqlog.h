/* reqlog.h - writes the request log of a role: one JSON line for a request, one for its result.
 *
 * The intent of a change is on the disk before the kernel is changed.  Each line has a number, the
 * SHA-256 of the line before it, and a MAC whose key is erased before the line is written
 * (proto/reqlog.h).  Numbers and hashes go on over restarts and rotation.
 *
 * A request that changes nothing (a read, a refused request, a removal of an object that does not
 * exist) costs its sender nothing, so a hostile sender could fill the disk with such lines.  Those
 * beyond a burst are not written but counted; the next line tells their number in "skipped".
 *
 * A checkpoint (count, hash, time) goes to the service's own log, which no role can read or change:
 * after the first line and the last, after REQLOG_CHECK_LINES lines, and with the first line that
 * is REQLOG_CHECK_NS later; for reads alone, which come all the time, after REQLOG_CHECK_LINES. */
#ifndef BANGER_PRIVHELPER_REQLOG_H
#define BANGER_PRIVHELPER_REQLOG_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/ops.h"
#include "proto/reqlog.h"

struct reqlog {
	int fd;        /* O_APPEND */
	int key_fd;    /* holds `state` */
	uint64_t size; /* of the file; it ends at REQLOG_BYTES_MAX */
	const char *role;
	pid_t pid; /* of this process, for the start record */
	uint32_t uid;
	struct reqlog_state state; /* next, prev: of the line that is written next */
	uint8_t key[REQLOG_KEY];   /* of record state.next */
	/* after writes that failed: bytes of incomplete lines at the end of the file */
	uint64_t torn;
	bool open;    /* the file does not end with a newline */
	bool failing; /* an error was logged since the last success */
	uint64_t pings, reads;
	/* the last request with an intent: its result is always written */
	uint64_t owed_seq;
	uint64_t intent_seq; /* the last request with an intent and without a result; 0: none */
	/* a token bucket for lines without an intent, in time, and its last refill */
	uint64_t cheap_ns, looked_ns;
	uint64_t skipped;             /* lines not written since the last line */
	uint64_t checked, checked_ns; /* the number of lines and the time of the last checkpoint */
	bool acted;                   /* a line since then is more than a read */
};

/* Lines without an intent: a burst, for a start that lists all objects and watches each VMM, then
 * 20 a second. */
#define REQLOG_CHEAP_BURST 2500
#define REQLOG_CHEAP_NS 50000000u

#define REQLOG_CHECK_LINES 256
#define REQLOG_CHECK_NS UINT64_C(10000000000)

/**
 * reqlog_init() - continue the log of @role, before lock-down
 * @fd:		the log, open for appending; no other process writes to it
 * @key_fd:	its key file, open for reading and writing
 *
 * The descriptors and @role stay the caller's.  The first record gets the number of the key in the
 * key file, so after a crash some numbers are never used; the start record tells them.
 * A key file of a wrong size counts as an empty one, loudly: the chain begins anew without a key.
 * Return: 0, or -1 with errno.
 */
int reqlog_init(struct reqlog *l, int fd, int key_fd, const char *role);

/* Each of the following writes one line.  Return: 0, or -1 (logged once): nothing or a part of it
 * was written. */

/* Write that the process starts, and wait for the disk; its preparation changes the kernel.  If
 * that fails, the start record is written before the next record that can be.  Then the key is in
 * the key file alone, because a process that the role forks inherits its memory. */
int reqlog_start(struct reqlog *l, pid_t pid, uint32_t uid);
/* Take the key from the key file again, after reqlog_start() and before lock-down.  Return: as
 * reqlog_init(). */
int reqlog_resume(struct reqlog *l);
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
/* Write that the role is about to repair @what, an object of the host or of @slot (-1: of none),
 * after a change by another process, and wait for the disk.  A repair takes a token too.
 * @what: text without '"' and '\'. */
int reqlog_repair(struct reqlog *l, const char *what, int slot);
/* Write length and hash of a packet that no honest controller sends, never its bytes, and wait for
 * the disk.
 * @why: text without '"' and '\'. */
int reqlog_violation(struct reqlog *l, const char *why, const void *packet, size_t len);
/* Write that the preparation is over: requests are served. */
int reqlog_ready(struct reqlog *l);
/* Write the last line of an orderly stop, and wait for the disk. */
int reqlog_stop(struct reqlog *l);

#endif
