/* ops_failpoint.c - lists the operations for which a failpoint site exists; built by MODE=fail
 * alone. */
#include "proto/ops_failpoint.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "proto/ops.h"

static bool has_to_do_with(const struct op *op)
{
	const char *prefix = "banger-role-", *me = program_invocation_short_name;
	size_t n = strlen(prefix);

	return op->role == ROLE_ANY || strncmp(me, prefix, n) != 0 ||
	       strcmp(me + n, role_name(op->role)) == 0;
}

const char *ops_failpoint_each(size_t i)
{
	const struct op *op;

	for (size_t at = 0; (op = op_each(at)); at++)
		if (has_to_do_with(op) && i-- == 0)
			return op->name;
	return NULL;
}
