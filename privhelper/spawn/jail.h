/* jail.h - the VMMs' root. */
#ifndef BANGER_PRIVHELPER_SPAWN_JAIL_H
#define BANGER_PRIVHELPER_SPAWN_JAIL_H

#include "common/config.h"
#include "privhelper/spawn/argv.h"

/**
 * spawn_jail_enter() - build the root that all VMMs share, and move this process into it
 * @c:	places and programs
 * @p:	out: where the programs are in that root
 *
 * Takes root and CAP_SYS_ADMIN; afterwards the host's files are out of reach.
 * Return: 0, or -1 (logged).
 */
int spawn_jail_enter(const struct config *c, struct programs *p);

#endif
