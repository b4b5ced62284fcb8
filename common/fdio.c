/* fdio.c - sends and receives descriptors over sockets, and reads and writes whole buffers. */
#include "common/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	char buf[CMSG_SPACE(FDIO_ROOM_MAX * sizeof(int))];
	struct cmsghdr align;
};

int fdio_send(int sock, const void *buf, size_t len, const int *fds, size_t nfds)
{
	union control control;
	struct iovec iov = { (void *)buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds > FDIO_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (nfds) {
		memset(control.buf, 0, CMSG_SPACE(FDIO_MAX * sizeof(int)));
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	while (iov.iov_len) {
		ssize_t n = sendmsg(sock, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		/* The descriptors were sent with the first byte. */
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
	}
	return 0;
}

/* Take every descriptor out of @msg; those beyond @room are closed.
 * Return: 0, or -1: some were closed, or there is another control message. */
static int take_fds(struct msghdr *msg, int *fds, size_t room, size_t *nfds)
{
	int bad = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			bad = 1;
			continue;
		}
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (*nfds < room)
				fds[(*nfds)++] = fd;
			else
				bad = close(fd) | 1;
		}
	}
	return bad ? -1 : 0;
}

ssize_t fdio_recv_room(int sock, void *buf, size_t size, int *fds, size_t room, size_t *nfds)
{
	union control control;
	struct iovec iov = { buf, size };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = CMSG_SPACE(room * sizeof(int)),
	};
	ssize_t n;

	*nfds = 0;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	int bad = take_fds(&msg, fds, room, nfds);
	if (bad || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		errno = EBADMSG;
		return -1;
	}
	return n;
}

ssize_t fdio_recv(int sock, void *buf, size_t size, int fds[FDIO_MAX], size_t *nfds)
{
	ssize_t n = fdio_recv_room(sock, buf, size, fds, FDIO_MAX, nfds);

	if (n < 0 && *nfds) {
		fdio_close_all(fds, *nfds);
		*nfds = 0;
		errno = EBADMSG;
	}
	return n;
}

void fdio_close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]);
		fds[i] = -1;
	}
}

int fdio_write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}
