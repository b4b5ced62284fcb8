/* confine.h - what banger-unpack may do once it looks at its input. */
#ifndef BANGER_UNPACK_CONFINE_H
#define BANGER_UNPACK_CONFINE_H

#include <stdint.h>

/**
 * confine() - give up everything but two open descriptors
 * @folder:	a folder whose files can still be read, or -1
 * @file_max:	bytes of the largest file that may be written
 *
 * Sets limits, no_new_privs, Landlock where the kernel has it, and a seccomp filter: no sockets, no
 * programs, no processes.
 * Return: 0, or -1 with errno: EOPNOTSUPP: a @folder needs Landlock, which this kernel lacks.
 */
int confine(int folder, uint64_t file_max);

/* Print the system calls that confine() leaves, as `banger-privhelper --print-policy` does. */
void confine_print(void);

#endif
