/* vm_end.h - notice that a VM ends while something else of it is waited for. */
#ifndef BANGER_CLI_VM_END_H
#define BANGER_CLI_VM_END_H

#include "controller/cli/cli.h"

/* Ask the daemon for the end of VM @id.  Return: a socket that becomes readable when the VM does
 * not run any more, or when the daemon ends; -1 when the daemon can not be reached. */
int vm_end_watch(const char *id);

/* Say in @e that VM @id ended, why, and what its console said last.  Return: -1, or 0 when the VM
 * runs, or can not be looked up. */
int vm_end_error(struct cli *c, const char *id, struct error *e);

#endif
