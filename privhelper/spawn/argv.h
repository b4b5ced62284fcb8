/* argv.h - builds the command lines of VMMs. */
#ifndef BANGER_PRIVHELPER_SPAWN_ARGV_H
#define BANGER_PRIVHELPER_SPAWN_ARGV_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/ops.h"

#define ARGV_MAX 256
#define ARGV_TEXT 8192
#define PROGRAM_PATH 160

/* A command line. */
struct argv {
	char *v[ARGV_MAX + 1]; /* for execve(2): pointers into @text, then NULL */
	char text[ARGV_TEXT];
	size_t n, used; /* arguments in @v, bytes in @text */
	bool full;      /* an argument did not fit: the command line is unusable */
};

/* The path of each kind of VMM in the VMMs' root; "": this host has none. */
struct programs {
	char path[VMM_KINDS][PROGRAM_PATH];
};

/**
 * argv_vmm() - build the command line of a VMM from numbers and configured paths alone
 * @p:	the paths of the programs
 * @ports:	of the agent, 0 to AGENT_PORTS_MAX; QEMU takes their listening sockets from
 *		descriptor PORT_FD on
 * @slot, @v:	a VMM_SPAWN, with values in the bounds of proto/ops.def
 * @a:	out
 *
 * Return: 0, or -1 with errno; ENOENT: this host has no such VMM, or it needs KVM; ENOSPC: it does
 * not fit into @a.
 */
int argv_vmm(const struct programs *p, uint32_t ports, uint32_t slot, const struct req_vmm_spawn *v,
	     struct argv *a);

#endif
