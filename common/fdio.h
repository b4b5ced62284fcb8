/* fdio.h - sends and receives descriptors over sockets, and reads and writes whole buffers. */
#ifndef BANGER_COMMON_FDIO_H
#define BANGER_COMMON_FDIO_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* include/uapi/asm-generic/socket.h of Linux 6.16 */
#endif

/* The largest number of descriptors in a message of ours. */
#define FDIO_MAX 4
/* The largest number that the kernel allows in a message (include/net/scm.h, SCM_MAX_FD). */
#define FDIO_ROOM_MAX 253

/* Refuse descriptors: the sendmsg(2) of a peer of @sock, or of a socket that @sock accepts, fails
 * with EPERM if it has some (net/unix/af_unix.c of Linux 6.16).  An older kernel knows no such
 * option; the reader then closes what it is sent. */
static inline void fdio_refuse_fds(int sock)
{
	const int none = 0;

	(void)setsockopt(sock, SOL_SOCKET, SO_PASSRIGHTS, &none, sizeof(none));
}

/**
 * fdio_send() - send one message with descriptors (unix(7), SCM_RIGHTS)
 * @sock:	connected unix socket
 * @buf:	bytes of the message
 * @len:	bytes of @buf; on a stream socket all of them are sent
 * @fds:	descriptors, which stay the caller's
 * @nfds:	0 to FDIO_MAX
 *
 * Never raises SIGPIPE.  Return: 0, or -1 with errno; EPIPE: the peer has closed the connection.
 */
int fdio_send(int sock, const void *buf, size_t len, const int *fds, size_t nfds);

/**
 * fdio_recv() - receive one message with descriptors
 * @sock:	connected unix socket
 * @buf:	out: bytes of the message
 * @size:	bytes of @buf
 * @fds:	out: descriptors, close-on-exec, which the caller closes
 * @nfds:	out: their number
 *
 * EBADMSG: the message or the list of descriptors is longer than its buffer (MSG_TRUNC,
 * MSG_CTRUNC), or it carries another kind of control message.  Every received descriptor is then
 * closed.
 * Return: the number of bytes, 0 at end of file, or -1 with errno.
 */
ssize_t fdio_recv(int sock, void *buf, size_t size, int fds[FDIO_MAX], size_t *nfds);

/**
 * fdio_recv_room() - receive one message with up to @room descriptors, at most FDIO_ROOM_MAX
 *
 * Differs from fdio_recv() after EBADMSG: the received descriptors are the caller's then too.  A
 * user's descriptor may be slow to close, because close(2) waits for a FUSE server, so the caller
 * decides which thread closes it.
 */
ssize_t fdio_recv_room(int sock, void *buf, size_t size, int *fds, size_t room, size_t *nfds);

/* Close @n descriptors of @fds, skipping negative ones, and set them to -1. */
void fdio_close_all(int *fds, size_t n);

/* Write or read exactly @len bytes.  Return: 0, or -1 with errno; EPIPE: the file ends earlier
 * (read). */
int fdio_write_all(int fd, const void *buf, size_t len);
int fdio_read_all(int fd, void *buf, size_t len);

#endif
