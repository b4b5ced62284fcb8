/* vm_end.h - waits for a state of a VM; notices its end during another wait. */
#ifndef BANGER_CLI_VM_END_H
#define BANGER_CLI_VM_END_H

#include <jansson.h>

#include "controller/cli/cli.h"

/* Ask the daemon to report the end of VM @id.  Return: a socket that becomes readable when the VM
 * or the daemon ends; -1 if the daemon can not be reached. */
int vm_end_watch(const char *id);

/* Wait until a VM has come to what --for says: a function for each_target().  @said: out: a
 * literal; @result: out: a new reference.  Return: 0, or -1 with @e (FAIL_TIMEOUT; FAIL_STATE: the
 * VM is at rest). */
int vm_wait_until(struct cli *c, const char *ref, const char **said, json_t **result,
		  struct error *e);

/* Fill in @e with the end of VM @id: the reason and the last line of its console.  Return: -1, or 0
 * if the VM runs or the daemon does not answer. */
int vm_end_error(struct cli *c, const char *id, struct error *e);

#endif
