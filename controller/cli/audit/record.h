/* record.h - reads one line of a request log, without a JSON parser: the members that the verifier
 * needs, in the form that roles write. */
#ifndef BANGER_CLI_AUDIT_RECORD_H
#define BANGER_CLI_AUDIT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/reqlog.h"

#define RECORD_TIME 30       /* bytes of "2026-11-29T19:46:36.749400000Z" */
#define RECORD_HASH 32       /* bytes of a SHA-256 */
#define RECORD_LINE_MAX 2048 /* a role writes no longer line */

enum record_type {
	RECORD_START,
	RECORD_READY,
	RECORD_INTENT,
	RECORD_RESULT,
	RECORD_ANSWER,
	RECORD_READ,
	RECORD_REPAIR,
	RECORD_VIOLATION,
	RECORD_STOP,
	RECORD_TYPES
};

struct record {
	enum record_type type;
	char role[8];
	uint64_t n, boot_ns;
	const char *time; /* RECORD_TIME bytes in the line */
	uint64_t seq;     /* of an intent, result, answer or read */
	uint64_t torn;    /* bytes of incomplete lines before this one, by the role's count */
	uint64_t after, end, size; /* of a start, as privhelper/README.md says */
	bool moved;                /* of a start: the log is a new file */
	bool first;                /* "prev" is null */
	uint8_t prev[RECORD_HASH], mac[REQLOG_MAC];
	size_t sealed; /* the number of bytes that the MAC is about */
};

/* Read @len bytes of a line, without its newline.  Return: 0, or -1: it is no record. */
int record_read(const char *line, size_t len, struct record *r);

/* Decode exactly 2 * @n digits of lower-case hexadecimal.  Return: 0, or -1. */
int record_hex(const char *text, uint8_t *out, size_t n);

/* True if the first RECORD_TIME bytes have the form of a time, and so can be printed. */
bool record_is_time(const char *time);

/* Nanoseconds since 1970 of RECORD_TIME bytes; 0: they are no time. */
uint64_t record_time_ns(const char *time);

#endif
