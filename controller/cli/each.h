/* each.h - the commands that take several targets. */
#ifndef BANGER_CLI_EACH_H
#define BANGER_CLI_EACH_H

#include <jansson.h>

#include "controller/cli/cli.h"

/* Do it to @ref.  @said: what to tell beside the name; @result: an object for -o json.  Return: 0,
 * or -1 with @e. */
typedef int (*one_fn)(struct cli *c, const char *ref, const char **said, json_t **result,
		      struct error *e);

/**
 * each_target() - do it to each positional argument, side by side
 *
 * Of several each has a process of its own, at most 16 at once; one failure ends none of the
 * others.  Each that is done prints its line at its end; standard error has a summary.  Return: the
 * exit status: of several, FAIL_PARTLY when any failed.
 */
int each_target(struct cli *c, one_fn one);

#endif
