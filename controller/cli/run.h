/* run.h - reaches VMs that run, for the commands that talk to a guest. */
#ifndef BANGER_CLI_RUN_H
#define BANGER_CLI_RUN_H

#include "controller/cli/cli.h"

/* Find a VM that runs.  Return: 0, or -1 with @e (FAIL_STATE: it does not run). */
int look_up_running(struct cli *c, const char *ref, struct ev_vm *vm, struct error *e);

/* Return: the milliseconds to wait for the guest of @vm: --timeout; else what is left of the time
 * for a boot, at least 10 s. */
uint64_t login_ms(const struct cli *c, const struct ev_vm *vm);

/* The stream to the guest has ended without a status.  If the VM has ended, say in @e how. */
void explain_end(struct cli *c, const struct ev_vm *vm, struct error *e);

/* Print the journal of the guest of c->pos[0], with --follow; on a terminal without control bytes.
 * Return: the exit status. */
int guest_journal(struct cli *c);

#endif
