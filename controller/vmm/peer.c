/* peer.c - finds the socket of a monitor and talks to it in bounded time. */
#include "controller/vmm/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/pidfd.h"
#include "controller/paths.h"

#define SLICE_MS 100 /* how late a cancellation may be seen */
#define RETRY_MS 10  /* between looks for a socket that is not there yet */

struct vmm_wait vmm_wait_start(const char *who, unsigned ms, int pidfd, const struct operation *o)
{
	return (struct vmm_wait){
		.who = who,
		.deadline_ns = clock_boot_ns() + (uint64_t)ms * 1000000,
		.ms = ms,
		.pidfd = pidfd,
		.cancelled = o ? o->cancelled : NULL,
	};
}

unsigned vmm_wait_left(const struct vmm_wait *w)
{
	uint64_t now = clock_boot_ns();

	return now >= w->deadline_ns ? 0 : (unsigned)((w->deadline_ns - now + 999999) / 1000000);
}

int vmm_wait_check(const struct vmm_wait *w, struct error *e)
{
	if (w->cancelled && *w->cancelled)
		return error_set(e, FAIL_STATE, w->who,
				 "interrupted by a later command for this VM");
	if (pidfd_wait(w->pidfd, 0))
		return error_set(e, FAIL_GENERAL, w->who, "the monitor ended");
	if (vmm_wait_left(w) == 0)
		return error_set(e, FAIL_TIMEOUT, w->who,
				 "no answer on its API socket within %u ms", w->ms);
	return 0;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

int vmm_wait_fd(const struct vmm_wait *w, int fd, short events, unsigned ms, struct error *e)
{
	struct pollfd p[2] = { { fd, events, 0 }, { w->pidfd, POLLIN, 0 } };

	for (;;) {
		unsigned slice = least(least(ms, SLICE_MS), vmm_wait_left(w));
		int n = poll(p, 2, (int)slice);
		if (n < 0 && errno != EINTR)
			return error_set(e, FAIL_GENERAL, w->who, "poll: %s",
					 strerrordesc_np(errno));
		/* What a monitor said before it ended is still read. */
		if (n > 0 && p[0].revents)
			return 1;
		if (vmm_wait_check(w, e) < 0)
			return -1;
		ms -= slice;
		if (ms == 0)
			return 0;
	}
}

/* EPERM when @fd is not a socket that the slot's uid made. */
static int check_inode(const struct ctl *c, const struct vm *vm, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	if (S_ISSOCK(st.st_mode) && st.st_uid == slot_uid(&c->config, vm->slot))
		return 0;
	errno = EPERM;
	return -1;
}

/* Open the socket's inode.  Return: a descriptor; -1 with errno, EPERM when it is not the
 * monitor's socket. */
static int open_inode(const struct ctl *c, const struct vm *vm)
{
	char path[200];

	path_slot_run(&c->config, vm->slot, "api.sock", path);
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && check_inode(c, vm, fd) < 0) {
		int saved = errno;
		(void)close(fd);
		errno = saved;
		fd = -1;
	}
	return fd;
}

/* Return: a connection that does not block, or -1 with errno. */
static int connect_inode(int inode, char path[32])
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	_cleanup_close_ int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)snprintf(path, 32, "/proc/self/fd/%d", inode);
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (s < 0 || connect(s, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return -1;
	return steal_fd(&s);
}

/* Not there, not listening yet, or its queue is full. */
static bool may_come(int err)
{
	return err == ENOENT || err == ECONNREFUSED || err == EAGAIN || err == EINTR;
}

int vmm_peer_find(const struct ctl *c, const struct vm *vm, const struct vmm_wait *w, char path[32],
		  int *sock, struct error *e)
{
	FAILPOINT("vmm.connect.before");
	for (;;) {
		_cleanup_close_ int inode = open_inode(c, vm);
		_cleanup_close_ int s = inode < 0 ? -1 : connect_inode(inode, path);
		if (s >= 0) {
			FAILPOINT("vmm.connect.after");
			if (sock)
				*sock = steal_fd(&s);
			return steal_fd(&inode);
		}
		if (!may_come(errno))
			return error_set(e, FAIL_GENERAL, w->who,
					 "its API socket can not be used: %s",
					 errno == EPERM ? "it is not the monitor's own"
							: strerrordesc_np(errno));
		if (vmm_wait_fd(w, -1, 0, RETRY_MS, e) < 0)
			return -1;
	}
}

void vmm_peer_text(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; n < size - 1 && text[n]; n++)
		out[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
	out[n] = '\0';
}
