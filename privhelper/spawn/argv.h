/* argv.h - command lines of VMMs. */
#ifndef BANGER_PRIVHELPER_SPAWN_ARGV_H
#define BANGER_PRIVHELPER_SPAWN_ARGV_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/ops.h"

#define ARGV_MAX 64
#define ARGV_TEXT 3072
#define PROGRAM_PATH 160

struct argv {
	char *v[ARGV_MAX + 1];
	char text[ARGV_TEXT];
	size_t n, used;
	bool full; /* something did not fit: not to be used */
};

/* The program of each kind of VMM, as the VMMs' root shows it; "": this host has none. */
struct programs {
	char path[VMM_KINDS][PROGRAM_PATH];
};

/**
 * argv_vmm() - the command line of a VMM, out of numbers and root's configuration alone
 * @p:	where the programs are
 * @q:	a VMM_SPAWN
 * @a:	out; a->v ends with NULL
 *
 * Return: 0, or -1 with errno: ENOENT this host has no such VMM, ENOSPC it does not fit.
 */
int argv_vmm(const struct programs *p, const struct request *q, struct argv *a);

#endif
