/* vm_end.h - notices the end of a VM during another wait. */
#ifndef BANGER_CLI_VM_END_H
#define BANGER_CLI_VM_END_H

#include "controller/cli/cli.h"

/* Ask the daemon to report the end of VM @id.  Return: a socket that becomes readable when the VM
 * or the daemon ends; -1 if the daemon can not be reached. */
int vm_end_watch(const char *id);

/* Fill in @e with the end of VM @id: the reason and the last line of its console.  Return: -1, or 0
 * if the VM runs or the daemon does not answer. */
int vm_end_error(struct cli *c, const char *id, struct error *e);

#endif
