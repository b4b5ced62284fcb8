/* reader.h - tells whether an output still has a reader, before anything is written to it. */
#ifndef BANGER_CLI_READER_H
#define BANGER_CLI_READER_H

#include <stdbool.h>

/**
 * reader_is_gone() - tell whether the other end of a pipe or a socket is closed for good
 * @fd:	a stream that is written to; -1: none
 *
 * A pipe without a reader reports POLLERR (pipe(7)); a stream socket whose peer is closed or was
 * reset reports POLLHUP or POLLERR (poll(2)).  TCP does not tell the end of one direction from that
 * of both (tcp(7)): of a connection within this network namespace the kernel is asked for the other
 * socket (sock_diag(7)), which no process has any more.
 * Return: true if it is gone.  False if a reader is there, if the other end is on another host or
 * in another network namespace, and for all that is neither a pipe nor a socket.
 */
bool reader_is_gone(int fd);

/* Have the kernel ask the other end of a TCP connection, once nothing has come from it for
 * READER_IDLE_S, whether it is still there; a connection that it is not is reset (tcp(7),
 * SO_KEEPALIVE).  Other sockets stay as they are. */
void reader_keep_alive(int fd);

#define READER_IDLE_S 30

#endif
