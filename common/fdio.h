/* fdio.h - descriptors over sockets, whole reads and writes, tidy fd tables. */
#ifndef BANGER_COMMON_FDIO_H
#define BANGER_COMMON_FDIO_H

#include <stddef.h>
#include <sys/types.h>

/* The most descriptors any message of ours carries. */
#define FDIO_MAX 4
/* The most that the kernel lets a message of anybody's carry (include/net/scm.h, SCM_MAX_FD). */
#define FDIO_ROOM_MAX 253

/**
 * fdio_send() - send one message with descriptors (unix(7), SCM_RIGHTS)
 * @sock:	connected unix socket
 * @buf:	bytes of the message
 * @len:	how many; on a stream socket all of them are sent
 * @fds:	descriptors, stay the caller's
 * @nfds:	0 to FDIO_MAX
 *
 * Never raises SIGPIPE.  Return: 0, or -1 with errno (EPIPE: the peer is gone).
 */
int fdio_send(int sock, const void *buf, size_t len, const int *fds, size_t nfds);

/**
 * fdio_recv() - receive one message with descriptors
 * @sock:	connected unix socket
 * @buf:	room for the bytes
 * @size:	how much room
 * @fds:	room for FDIO_MAX descriptors; they arrive close-on-exec and are the caller's
 * @nfds:	out: how many came
 *
 * A message or a descriptor list that was cut short by the kernel
 * (MSG_TRUNC, MSG_CTRUNC) or any other kind of control message is refused:
 * every descriptor that came is closed and errno is EBADMSG.
 * Return: bytes, 0 at end of file, or -1 with errno.
 */
ssize_t fdio_recv(int sock, void *buf, size_t size, int fds[FDIO_MAX], size_t *nfds);

/**
 * fdio_recv_room() - the same for a peer whose descriptors may be slow to close (close(2) asks a FUSE server first)
 * @fds:	room for @room descriptors, at most FDIO_ROOM_MAX
 *
 * What came is the caller's even with EBADMSG, so that it decides where it is closed.
 */
ssize_t fdio_recv_room(int sock, void *buf, size_t size, int *fds, size_t room, size_t *nfds);

/* Close @n descriptors of @fds, skipping negative ones, and set them to -1. */
void fdio_close_all(int *fds, size_t n);

/* Write or read exactly @len bytes.  Return: 0, or -1 with errno (read: EPIPE at an early end). */
int fdio_write_all(int fd, const void *buf, size_t len);
int fdio_read_all(int fd, void *buf, size_t len);

#endif
