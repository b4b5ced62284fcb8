/* places.h - makes folders, control groups, request logs and the control socket, as root before
 * lock-down. */
#ifndef BANGER_PRIVHELPER_SUPERVISOR_PLACES_H
#define BANGER_PRIVHELPER_SUPERVISOR_PLACES_H

#include "privhelper/supervisor/supervisor.h"

/**
 * places_make() - make every folder, the slots' tmpfs and the control groups
 * @s:	needs config; sets lock_fd, and config.cgroup_dir if it is empty
 *
 * Those of an earlier start are checked and used again.
 * Return: 0, or -1 (logged).
 */
int places_make(struct supervisor *s);

/* Open or make the request log of each role and its key file; sets logs[] and keys[].  Return: 0,
 * or -1 (logged). */
int places_open_logs(struct supervisor *s);

/* Make the control socket and listen on it; sets listen_fd.  Return: 0, or -1 (logged). */
int places_listen(struct supervisor *s);

#endif
