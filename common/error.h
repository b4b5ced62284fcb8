/* error.h - the error type of the controller and the command line, and the reasons for which a
 * request can fail. */
#ifndef BANGER_COMMON_ERROR_H
#define BANGER_COMMON_ERROR_H

#include "common/parse.h" /* ID_HEX */

/* The reason of a failure.  The number is also the exit status of the command line. */
enum fail {
	FAIL_NONE,
	FAIL_GENERAL,
	FAIL_USAGE,
	FAIL_NOT_FOUND,
	FAIL_NOT_ALLOWED,
	FAIL_STATE,
	FAIL_LIMIT,
	FAIL_TIMEOUT,
	FAIL_UNREACHABLE,
	FAIL_HOST,
	FAIL_PARTLY,
	FAIL_COUNT
};

/* An error is printed as "banger: <what>: <why>", "hint: <hint>" and "(op <op>)". */
struct error {
	enum fail code;
	char what[128], why[384], hint[256];
	char op[ID_HEX]; /* "": no operation */
};

/**
 * error_set() - fill @e; text that is too long is cut
 * @what:	the failed step or object
 * @why:	a printf(3) format of the reason
 *
 * The hint of an earlier error is removed; the operation's id is kept.
 * Return: -1, so that `return error_set(...)` reads well.
 */
int error_set(struct error *e, enum fail code, const char *what, const char *why, ...)
	__attribute__((format(printf, 4, 5)));

/* Add a hint to @e: the user's next step.  @hint is a printf(3) format. */
void error_hint(struct error *e, const char *hint, ...) __attribute__((format(printf, 2, 3)));

#endif
