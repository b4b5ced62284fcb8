/* each.h - the commands that take several targets. */
#ifndef BANGER_CLI_EACH_H
#define BANGER_CLI_EACH_H

#include <jansson.h>

#include "controller/cli/cli.h"

/* Carry out the command for the target @ref.  @said: out: text for the line of the target; @result:
 * out: an object for -o json.  Return: 0, or -1 with @e. */
typedef int (*one_fn)(struct cli *c, const char *ref, const char **said, json_t **result,
		      struct error *e);

/**
 * each_target() - carry out a command for each positional argument, side by side
 *
 * If there are several targets, each has a process of its own, at most 16 at once.  A failure does
 * not end the others.  The line of a target is printed when it is done, and at the end a summary on
 * standard error.
 * Return: the exit status; FAIL_PARTLY if one of several targets failed.
 */
int each_target(struct cli *c, one_fn one);

#endif
