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

/**
 * vm_end_error() - tell the end of a VM: the reason, and the line of its console that explains it
 * @what:	the beginning of the message: VM_END_UNANSWERED, or another literal
 *
 * A service that is silent for 5 s is not waited for.
 * Return: -1 with @e, or 0 if the VM runs or the daemon does not answer.
 */
int vm_end_error(struct cli *c, const char *id, const char *what, struct error *e);
#define VM_END_UNANSWERED "the VM ended before it answered"

/* Tell that VM @vm runs in another start.  Return: -1 with @e (FAIL_STATE), or 0 if it does not, or
 * the daemon does not answer within 5 s. */
int vm_start_error(struct cli *c, const struct ev_vm *vm, struct error *e);

#endif
