/* view.h - moves the controller into its view of the host. */
#ifndef BANGER_PRIVHELPER_SUPERVISOR_VIEW_H
#define BANGER_PRIVHELPER_SUPERVISOR_VIEW_H

#include "common/config.h"

/**
 * view_enter() - leave the host's network and mount namespaces for the controller's view
 *
 * Called in CHILD before exec, as root and before the change of ids, because it needs
 * CAP_SYS_ADMIN.
 * Return: 0, or -1 with errno or logged.
 */
int view_enter(const struct config *c);

#endif
