/* policy_print.h - prints the system calls of a policy, one rule a line (privhelper/README.md,
 * System calls). */
#ifndef BANGER_COMMON_POLICY_PRINT_H
#define BANGER_COMMON_POLICY_PRINT_H

#include "common/policy.h"

/* Print the rules of @p to standard output, in the order of its lists.  A failed write is told by
 * ferror(3). */
void policy_print_calls(const struct policy *p);

#endif
