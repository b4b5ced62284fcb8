/* holders.h - finds the programs that use a VM's disk and prevent its release. */
#ifndef BANGER_CLI_HOLDERS_H
#define BANGER_CLI_HOLDERS_H

#include "common/error.h"

/**
 * holders_hint() - name the users of a device-mapper disk in @e's hint
 * @dm:	the name of the disk; "" changes nothing
 *
 * For the error of a stop, kill or delete.  The hint does not change if no user of the disk is
 * found.  Any caller sees mounts of the disk and devices on top of it; only root sees other users'
 * processes (proc_pid_fd(5)).
 */
void holders_hint(const char *dm, struct error *e);

#endif
