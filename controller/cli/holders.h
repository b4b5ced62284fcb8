/* holders.h - who keeps a VM's disk from going away. */
#ifndef BANGER_CLI_HOLDERS_H
#define BANGER_CLI_HOLDERS_H

#include "controller/cli/cli.h"

/**
 * holders_hint() - name in @e's hint who still uses the device-mapper disk of the VM @ref
 *
 * For an error of a stop, kill or delete; nothing changes when the VM has no such disk or nobody is found.  Processes of
 * others are seen by root alone (proc_pid_fd(5)); mounts and devices on top of it by everybody.
 */
void holders_hint(struct cli *c, const char *ref, struct error *e);

#endif
