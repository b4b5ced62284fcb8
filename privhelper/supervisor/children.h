/* children.h - starts the roles and the controller. */
#ifndef BANGER_PRIVHELPER_SUPERVISOR_CHILDREN_H
#define BANGER_PRIVHELPER_SUPERVISOR_CHILDREN_H

#include "privhelper/supervisor/supervisor.h"

/**
 * children_start() - fork and execute the three roles and the controller, each with its descriptors
 * @s:	needs config_fd, listen_fd and logs[], which are closed; children[] and life_fd are set
 *
 * Called as root.  After an error, children that run already are killed by the kernel when the
 * caller exits.
 * Return: 0, or -1 (logged).
 */
int children_start(struct supervisor *s);

#endif
