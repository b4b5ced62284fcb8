/* fake_qmp.h - QEMU's machine protocol in a thread: greeting, negotiation, a few commands, and
 * faults as asked. */
#ifndef BANGER_TESTS_FAKE_QMP_H
#define BANGER_TESTS_FAKE_QMP_H

#include <stdbool.h>

struct fake_qmp;

enum qmp_fault {
	QMP_NONE,
	QMP_MUTE,        /* accepts, says nothing */
	QMP_HANG,        /* greets, then never answers */
	QMP_SLOW,        /* the right answer, seven bytes each millisecond */
	QMP_TRICKLE,     /* every byte after 200 ms */
	QMP_DRIP,        /* a blank each 10 ms instead of a greeting: ten minutes to QMP_LONG */
	QMP_GARBAGE,     /* a line that is no JSON */
	QMP_NO_GREETING, /* JSON, but no greeting */
	QMP_HALF,        /* half of the answer, then the end */
	QMP_CLOSE,       /* the end instead of an answer */
	QMP_LONG,        /* a line without end */
	QMP_EVENTS,      /* events without end instead of an answer */
	QMP_ERROR,       /* an error, with bytes that a terminal should not see raw */
	QMP_WRONG_ID,    /* the answer to another request's id */
	QMP_DEEP,        /* JSON nested without measure */
};

/* Start a fake that listens on @path at once.  Return: NULL on failure. */
struct fake_qmp *fake_qmp_start(const char *path);
void fake_qmp_stop(struct fake_qmp *f);

void fake_qmp_fault(struct fake_qmp *f, enum qmp_fault fault);

/* Set the status that query-status returns ("running"), and the number of queries after which it
 * returns "running" in any case. */
void fake_qmp_status(struct fake_qmp *f, const char *status, unsigned queries);

/* Return: true if system_powerdown was received. */
bool fake_qmp_powerdown(struct fake_qmp *f);

#endif
