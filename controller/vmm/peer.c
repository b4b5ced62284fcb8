/* peer.c - finds the API socket of a monitor, and waits for it with a deadline. */
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

#define SLICE_MS 100 /* interval of checks for a cancellation */
#define RETRY_MS 10  /* interval of attempts to open a socket that does not exist yet */

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

static int check_cancelled(const struct vmm_wait *w, struct error *e)
{
	if (w->cancelled && *w->cancelled)
		return error_set(e, FAIL_STATE, w->who,
				 "interrupted by a later command for this VM");
	return 0;
}

static int check_deadline(const struct vmm_wait *w, struct error *e)
{
	if (vmm_wait_left(w) == 0)
		return error_set(e, FAIL_TIMEOUT, w->who,
				 "no answer on its API socket within %u ms", w->ms);
	return 0;
}

int vmm_wait_check(const struct vmm_wait *w, struct error *e)
{
	if (check_cancelled(w, e) < 0)
		return -1;
	if (pidfd_wait(w->pidfd, 0))
		return error_set(e, FAIL_GENERAL, w->who, "the monitor ended");
	return check_deadline(w, e);
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
		/* Data comes before the exit: the monitor may have sent it then.  One that sends
		 * bytes without a pause has no more time than one that sends none. */
		if (n > 0 && p[0].revents)
			return check_cancelled(w, e) < 0 || check_deadline(w, e) < 0 ? -1 : 1;
		if (vmm_wait_check(w, e) < 0)
			return -1;
		ms -= slice;
		if (ms == 0)
			return 0;
	}
}

/* Check that @path is a socket owned by @uid.  Return: 0, or -1 with errno: EPERM it is not. */
static int check_socket(const char *path, uid_t uid)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -1;
	if (S_ISSOCK(st.st_mode) && st.st_uid == uid)
		return 0;
	errno = EPERM;
	return -1;
}

/* Check that a process with @uid listens at the other end (socket(7), SO_PEERCRED).  Return: 0, or
 * -1 with errno: EPERM another uid. */
static int check_listener(int s, uid_t uid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -1;
	if (peer.uid == uid)
		return 0;
	errno = EPERM;
	return -1;
}

int vmm_peer_connect(const struct ctl *c, const struct vm *vm, const char *name,
		     char path[VMM_PEER_PATH])
{
	const uid_t uid = slot_uid(&c->config, vm->slot);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char whole[200];

	path_slot_run(&c->config, vm->slot, name, whole);
	/* config.c has checked that the path fits. */
	(void)snprintf(path, VMM_PEER_PATH, "%.*s", VMM_PEER_PATH - 1, whole);
	memcpy(a.sun_path, path, VMM_PEER_PATH);
	_cleanup_close_ int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s < 0)
		return -1;
	fdio_refuse_fds(s);
	if (check_socket(path, uid) < 0 || connect(s, (const struct sockaddr *)&a, sizeof(a)) < 0 ||
	    check_listener(s, uid) < 0)
		return -1;
	return steal_fd(&s);
}

/* True for temporary errors: the socket does not exist yet, is not listening, or its queue is
 * full. */
static bool may_come(int err)
{
	return err == ENOENT || err == ECONNREFUSED || err == EAGAIN || err == EINTR;
}

int vmm_peer_find(const struct ctl *c, const struct vm *vm, const struct vmm_wait *w,
		  char path[VMM_PEER_PATH], int *sock, struct error *e)
{
	FAILPOINT("vmm.connect.before");
	for (;;) {
		_cleanup_close_ int s = vmm_peer_connect(c, vm, "api.sock", path);
		if (s >= 0) {
			FAILPOINT("vmm.connect.after");
			if (sock)
				*sock = steal_fd(&s);
			return 0;
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
