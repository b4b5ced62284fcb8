/* ops_failpoint.h - lists the operations for which a failpoint site exists (MODE=fail alone). */
#ifndef BANGER_PROTO_OPS_FAILPOINT_H
#define BANGER_PROTO_OPS_FAILPOINT_H

#include <stddef.h>

/* Return: the name of the @i-th operation of this program, or NULL past the end.  A role has its
 * own operations, the controller has all. */
const char *ops_failpoint_each(size_t i);

#endif
