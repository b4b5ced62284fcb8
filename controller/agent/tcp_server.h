/* tcp_server.h - tells whether a server in the guest still has its socket of a connection. */
#ifndef BANGER_AGENT_TCP_SERVER_H
#define BANGER_AGENT_TCP_SERVER_H

#include <stdbool.h>

/**
 * tcp_server_is_gone() - tell whether no process has the other socket of a TCP connection
 * @proc:	a descriptor of /proc
 * @fd:		a socket that is connected within the guest, and has got the end of the server's
 *		direction
 *
 * A server that has closed its socket and one that has only ended its own direction look the same
 * at @fd (tcp(7)).  /proc/net/tcp and tcp6 list all sockets, and those that no process has with the
 * inode 0 (proc(5)).  The kernel may change its tables while they are read, so that a socket is
 * missed: a caller asks twice.
 * Return: true if none has it; false if one has it, for another family, and if the tables can not
 * be read.
 */
bool tcp_server_is_gone(int proc, int fd);

#endif
