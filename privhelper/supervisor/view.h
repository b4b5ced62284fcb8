/* view.h - what the controller sees of the host. */
#ifndef BANGER_PRIVHELPER_SUPERVISOR_VIEW_H
#define BANGER_PRIVHELPER_SUPERVISOR_VIEW_H

#include "common/config.h"

/**
 * view_enter() - the controller's process leaves the host's network and mount namespaces
 *
 * As root, before the change of ids: it needs CAP_SYS_ADMIN.
 * Return: 0; -1 with errno or logged.
 */
int view_enter(const struct config *c);

#endif
