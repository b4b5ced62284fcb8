/* agent.h - runs a command or a copy of files by the agent in a guest, or connects to a port of it,
 * without a network, a key or an ssh server. */
#ifndef BANGER_CLI_AGENT_H
#define BANGER_CLI_AGENT_H

#include "controller/cli/cli.h"

/* Check that the command line @guest fits into the frames of the protocol, and that no word holds
 * AGENT_MARK.  Return: 0, or -1 with @e (FAIL_USAGE). */
int agent_check_command(char *const *guest, struct error *e);

/* Check that --env, --user and --workdir fit likewise.  Return: 0, or -1 with @e (FAIL_USAGE). */
int agent_check_options(const struct options *o, struct error *e);

/**
 * agent_open() - connect to the agent in @vm
 * @timeout_ms:	how long to wait for an agent with a free port
 * @nonce:	out: of the session
 *
 * Return: a connection that the caller closes, or -1 with @e (FAIL_TIMEOUT; FAIL_STATE: the VM
 * ended, or has no ports).
 */
int agent_open(struct cli *c, const struct ev_vm *vm, uint64_t timeout_ms, uint8_t nonce[16],
	       struct error *e);

/**
 * agent_run() - run c->guest, or a shell if it is NULL, and pass its streams on
 * @port:	of agent_open(); @nonce: likewise
 * @timeout_ms:	how long to wait for the agent's greeting (FAIL_TIMEOUT).  The port has answered
 *		already, but with bytes that may be of an earlier session, or of another program.
 *
 * One word is a line for the user's shell; several words are a command and its arguments.  --tty,
 * --no-stdin, --env, --user and --workdir apply.  Held signals are forwarded; five seconds after
 * one that ends programs the session is ended.
 * Return: the command's exit status, 128 + n if signal n ended it; -1 with @e (FAIL_STATE: the
 * stream ended without a status).
 */
int agent_run(struct cli *c, int port, const uint8_t nonce[16], uint64_t timeout_ms,
	      struct error *e);

/* A copy of files to or from a guest. */
struct agent_copy {
	int port; /* of agent_open() */
	uint8_t nonce[16];
	uint64_t timeout_ms; /* as agent_run()'s */
	uint8_t flags;       /* enum agent_copy_flags */
	char *const *paths;  /* in the guest; NULL-terminated; agent_check_command() takes them */
	int in, out;         /* pipes of the stream of records; -1: the one that is not used */
	const char *vm;      /* in messages */
	const char *erase;   /* printed before a message */
};

/**
 * agent_copy() - pass a stream of records between pipes and the agent, which copies
 *
 * Errors that the agent tells are printed.  --user applies.  A pipe whose reader has gone ends the
 * session.  Signals are as in agent_run().
 * Return: as agent_run(); the status is of enum copy_end, or what a hostile guest says.
 */
int agent_copy(struct cli *c, const struct agent_copy *copy, struct error *e);

/* Return: true if c->client is gone.  Does not wait. */
bool agent_client_is_gone(const struct cli *c);

#define AGENT_SOCKET_MOST 107 /* bytes of a socket's path (unix(7)) */

/* A connection to a TCP port or a Unix socket of a guest. */
struct agent_link {
	int port; /* of agent_open() */
	uint8_t nonce[16];
	uint64_t timeout_ms; /* as agent_run()'s */
	uint16_t tcp;        /* a port of the guest's loopback; 0: @socket */
	const char *socket;  /* an absolute path in the guest, of AGENT_SOCKET_MOST bytes at most,
				that agent_check_command() takes */
	int in, out;         /* this side's streams; may be one socket */
	const char *vm;      /* in messages */
};

/**
 * agent_link() - connect this side's streams to a port or a socket of the guest
 *
 * End of file of either side is passed on, and the other direction goes on: a socket's is shut
 * down, another descriptor is closed.  Errors that the agent tells are printed.  --user applies.
 * Return: 0 when both directions have ended; 128 + SIGPIPE when @out takes no more; another status
 * as the agent, or a hostile guest, says; -1 with @e as agent_run().
 */
int agent_link(struct cli *c, const struct agent_link *l, struct error *e);

#endif
