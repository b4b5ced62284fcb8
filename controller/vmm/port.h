/* port.h - finds a free port to the agent in a guest. */
#ifndef BANGER_CONTROLLER_VMM_PORT_H
#define BANGER_CONTROLLER_VMM_PORT_H

#include <poll.h>

#include "controller/ctl.h"
#include "proto/agent.h"

/* Ports that one search is connected to.  It bounds the descriptors of a request that waits. */
#define VMM_PORTS_TRIED 8

/* A search for a free port, of one request.  Its connections stay open from pass to pass, so that a
 * guest that boots or is slow has all the time of the request for its answer. */
struct vmm_ports {
	unsigned passes;
	uint32_t ports; /* of the VM; 1 for Firecracker, whose socket takes any number of clients */
	uint32_t first; /* the port with which the search begins */
	/* random bytes that begin the session of the port that was taken (proto/agent.def) */
	uint8_t nonce[AGENT_NONCE];
	/* Places of the search: which of its ports each tries, the nonce of its connection, and the
	 * connection; fd -1: none. */
	uint32_t turn[VMM_PORTS_TRIED];
	uint8_t nonces[VMM_PORTS_TRIED][AGENT_NONCE];
	struct pollfd p[VMM_PORTS_TRIED];
};

/* Initialize a search.  Nothing is connected. */
void vmm_ports_init(struct vmm_ports *s);

/* True while the search has a connection. */
bool vmm_ports_open(const struct vmm_ports *s);

/* Close all connections of the search.  Closing one can take as long as a user wants: a monitor
 * that was taken over may have sent a descriptor of a FUSE file. */
void vmm_ports_close(struct vmm_ports *s);

/**
 * vmm_port_take() - make one pass of a search for a port whose agent answers
 * @vm:		a running VM that the caller may use
 * @s:		the search; the nonce is set with @fd
 * @fd:		out: a blocking connection, owned by the caller
 *
 * Connects to the ports and sends the start of a session.  A port with a client queues the
 * connection, and answers when that client is gone.  The first port that answers is taken.  Not a
 * byte of the guest is read.  The first pass takes 50 ms at most, and later ones do not wait.
 * Return: 1: the caller closes the search, whose other connections are left; 0: no agent has
 * answered yet, and another pass is due; or -1 with the error (FAIL_STATE: the VM has no ports).
 */
int vmm_port_take(struct ctl *c, const struct vm *vm, struct vmm_ports *s, int *fd,
		  struct error *e);

/**
 * vmm_port_end() - have the agent in a guest power it off
 * @vm:		a running VM
 * @grace_ms:	the time that the guest's init has; then the agent ends the guest itself
 *
 * No answer is waited for, and what the agent says is not read.  Takes as long as
 * vmm_port_probe().
 * Return: the connection, which must stay open until the guest has ended; -1: no agent has
 * answered, or all ports are in use.
 */
int vmm_port_end(struct ctl *c, const struct vm *vm, uint32_t grace_ms);

/**
 * vmm_port_probe() - ask once whether the agent in a guest answers
 * @vm:		a running VM
 *
 * Takes 50 ms, and as long as it takes to close connections: see vmm_ports_close().
 * Return: true if it has answered.
 */
bool vmm_port_probe(struct ctl *c, const struct vm *vm);

#endif
