/* holders.h - what keeps a VM's disk from being released. */
#ifndef BANGER_CLI_HOLDERS_H
#define BANGER_CLI_HOLDERS_H

#include "common/error.h"

/**
 * holders_hint() - name in @e's hint what still uses a device-mapper disk
 * @dm:	the name of the disk; "" changes nothing
 *
 * For the error of a stop, kill or delete.  The hint stays as it is when no user of the disk is
 * found.  Everybody sees mounts and devices on top of the disk; root alone sees the processes of
 * others (proc_pid_fd(5)).
 */
void holders_hint(const char *dm, struct error *e);

#endif
