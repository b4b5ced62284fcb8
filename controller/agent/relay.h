/* relay.h - connects to a port or a socket of the guest, and passes bytes both ways. */
#ifndef BANGER_AGENT_RELAY_H
#define BANGER_AGENT_RELAY_H

/**
 * relay_run() - connect, and pass bytes between the standard streams and the connection
 * @port:	a TCP port of the guest's loopback, IPv4 or else IPv6; 0: @socket
 * @socket:	the path of a Unix socket, at most 107 bytes
 * @proc:	a descriptor of /proc
 *
 * End of file of the standard input becomes that of the connection's sending side, and end of file
 * of the connection closes the standard output; the other direction goes on.  It ends when both
 * have ended, and when the server has closed its socket.  A standard error that is a pipe without a
 * reader means that the client is gone: it then ends when the server has got what is in the
 * standard input, or after 30 s.  SIGPIPE must be ignored.
 * Return: the exit status: 0, or 1 with the reason on the standard error: it is not connected.
 */
int relay_run(unsigned port, const char *socket, int proc);

#endif
