/* jail.h - builds the root that the launcher and all VMMs share. */
#ifndef BANGER_PRIVHELPER_SPAWN_JAIL_H
#define BANGER_PRIVHELPER_SPAWN_JAIL_H

#include "common/config.h"
#include "privhelper/spawn/argv.h"

/**
 * spawn_jail_enter() - build the root that all VMMs share, and move this process into it
 * @c:	folders and programs
 * @p:	out: the paths of the programs in that root
 *
 * Needs root and CAP_SYS_ADMIN.  Afterwards the process can reach no other file of the host.
 * Return: 0, or -1 (logged).
 */
int spawn_jail_enter(const struct config *c, struct programs *p);

#endif
