/* port.h - finds a free port to the agent in a guest. */
#ifndef BANGER_CONTROLLER_VMM_PORT_H
#define BANGER_CONTROLLER_VMM_PORT_H

#include "controller/ctl.h"

/**
 * vmm_port_take() - connect to a port whose agent answers
 * @vm:		a running VM that the caller may use
 * @nonce:	out: 16 random bytes that begin the session (proto/agent.def)
 * @fd:		out: a blocking connection, owned by the caller
 *
 * Connects to one port after the other and sends the start of a session.  A port with a client
 * queues the connection, and answers when that client is gone.  The first port that answers is
 * taken.  Not a byte of the guest is read.  Takes about a second at most.
 * Return: 1, 0: no agent has answered yet, or -1 with the error (FAIL_STATE: the VM has no ports).
 */
int vmm_port_take(struct ctl *c, const struct vm *vm, uint8_t nonce[16], int *fd, struct error *e);

#endif
