/* session.h - one port's client after another, in a process of its own. */
#ifndef BANGER_AGENT_SESSION_H
#define BANGER_AGENT_SESSION_H

/**
 * session_run() - serve the client of a port, until it is gone
 * @port:	open for both directions, non-blocking
 * @proc:	the folder /proc
 *
 * Ends all processes of the command's session (setsid(2)) when the client goes, or when another one
 * begins.
 * Return: the exit status of the process.
 */
int session_run(int port, int proc);

#endif
