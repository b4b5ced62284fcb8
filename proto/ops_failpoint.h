/* ops_failpoint.h - failpoints of which there is one for each operation (MODE=fail alone). */
#ifndef BANGER_PROTO_OPS_FAILPOINT_H
#define BANGER_PROTO_OPS_FAILPOINT_H

#include <stddef.h>

/* Names of the operations that this program has to do with: a role of its own, the controller of all. */
const char *ops_failpoint_each(size_t i);

#endif
