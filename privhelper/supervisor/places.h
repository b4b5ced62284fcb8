/* places.h - what root makes before anybody serves: folders, control groups, logs, the control socket. */
#ifndef BANGER_PRIVHELPER_SUPERVISOR_PLACES_H
#define BANGER_PRIVHELPER_SUPERVISOR_PLACES_H

#include "privhelper/supervisor/supervisor.h"

/**
 * places_make() - every folder, the slots' tmpfs and the control groups
 *
 * Checks what an earlier start made and takes it again.  Fills config.cgroup_dir when it is empty, and lock_fd.
 * Return: 0, or -1 (logged).
 */
int places_make(struct supervisor *s);

/* Opens or makes the request log of each role into logs[].  Return: 0, or -1 (logged). */
int places_open_logs(struct supervisor *s);

/* Makes the control socket and listens at it: listen_fd.  Return: 0, or -1 (logged). */
int places_listen(struct supervisor *s);

#endif
