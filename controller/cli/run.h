/* run.h - reaches VMs that run, for the commands that talk to a guest. */
#ifndef BANGER_CLI_RUN_H
#define BANGER_CLI_RUN_H

#include "controller/cli/cli.h"

/* Find a VM that runs.  Return: 0, or -1 with @e (FAIL_STATE: it does not run). */
int look_up_running(struct cli *c, const char *ref, struct ev_vm *vm, struct error *e);

/* Return: the milliseconds to wait for the guest of @vm: --timeout; else what is left of the time
 * for a boot, at least 10 s. */
uint64_t login_ms(const struct cli *c, const struct ev_vm *vm);

/* Return: true if the VM is not at rest, or is started again by itself. */
bool vm_comes_up(const struct ev_vm *vm);

/**
 * reach_agent() - connect to the agent of a VM; a guest that reboots meanwhile is waited for
 * @vm:		in: the start that is meant; out: that which was reached
 * @nonce:	out: as agent_open()
 *
 * Each start has the time of login_ms(), all together --timeout or 120 s.  A wait for the next
 * start is told.  Return: as agent_open().
 */
int reach_agent(struct cli *c, struct ev_vm *vm, uint8_t nonce[16], struct error *e);

/* The stream to the guest has ended without a status.  If the VM has ended, or was started again,
 * say in @e how.  @vm: the start that the stream led to.  It takes 10 s at most, and as long as the
 * service takes to answer, see vm_end_error(). */
void explain_end(struct cli *c, const struct ev_vm *vm, struct error *e);

/* Print the journal of the guest of c->pos[0], with --follow; on a terminal without control bytes.
 * Return: the exit status. */
int guest_journal(struct cli *c);

#endif
