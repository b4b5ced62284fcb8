/* children.h - the four processes of a set. */
#ifndef BANGER_PRIVHELPER_SUPERVISOR_CHILDREN_H
#define BANGER_PRIVHELPER_SUPERVISOR_CHILDREN_H

#include "privhelper/supervisor/supervisor.h"

/* Forks and executes the roles and the controller, each with its descriptors; fills children[] and life_fd, and closes what
 * only they need.  Return: 0, or -1 (logged). */
int children_start(struct supervisor *s);

#endif
