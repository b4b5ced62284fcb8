/* port.c - finds a free port to the agent in a guest.
 *
 * Theory of operation.  A port of virtio-serial has one client at a time, and QEMU accepts the next
 * connection when the client before it is gone.  connect(2) does not tell whether the port is free,
 * for it succeeds as soon as the connection is queued.  So the start of a session is sent, and a
 * port counts as free when something can be read from it.  The search begins at another port each
 * time: the port that was used longest ago is likely to be free.
 *
 * Connections that lose are closed.  QEMU accepts and drops them later; the agent sees a session
 * without a command. */
#include "controller/vmm/port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "controller/id.h"
#include "controller/vmm/peer.h"
#include "proto/agent.h"
#include "proto/slot.h"

#define WHO "agent"
#define STEP_MS 25  /* until the next port is tried as well */
#define LAST_MS 400 /* for all ports together */

/* The ports that were tried. */
struct tries {
	struct pollfd p[AGENT_PORTS_MAX];
	nfds_t n;
	uint32_t missing; /* ports without a socket */
};

static void tries_close(struct tries *t)
{
	for (nfds_t i = 0; i < t->n; i++)
		fdio_close_all(&t->p[i].fd, 1);
}

/* Wait for an answer.  Return: the descriptor of a port that has answered, removed from @t; or -1. */
static int answered(struct tries *t, int ms)
{
	if (poll(t->p, t->n, ms) <= 0)
		return -1;
	for (nfds_t i = 0; i < t->n; i++) {
		if (t->p[i].revents & POLLIN && !(t->p[i].revents & POLLHUP))
			return steal_fd(&t->p[i].fd);
		if (t->p[i].revents)
			fdio_close_all(&t->p[i].fd, 1); /* the monitor has ended */
	}
	return -1;
}

/* Connect to one port and send the start of a session.  Return: 0 also when its queue is full, or
 * -1 with errno. */
static int try_port(const struct ctl *c, const struct vm *vm, uint32_t port,
		    const uint8_t start[AGENT_GREETING], struct tries *t)
{
	char name[16], path[VMM_PEER_PATH];

	(void)snprintf(name, sizeof(name), AGENT_PORT, port);
	FAILPOINT("vmm.port.before");
	_cleanup_close_ int fd = vmm_peer_connect(c, vm, name, path);
	if (fd < 0) {
		t->missing += errno == ENOENT;
		return errno == EAGAIN || errno == EINTR || errno == ENOENT ? 0 : -1;
	}
	if (send(fd, start, AGENT_GREETING, MSG_NOSIGNAL) != AGENT_GREETING)
		return 0;
	FAILPOINT("vmm.port.after");
	t->p[t->n++] = (struct pollfd){ .fd = steal_fd(&fd), .events = POLLIN };
	return 0;
}

static int no_port(const struct vm *vm, int err, struct error *e)
{
	if (err == ECONNREFUSED)
		return 0; /* the monitor has just ended, or is about to listen */
	if (err != ENOENT)
		return error_set(e, FAIL_GENERAL, WHO, "a port can not be used: %s",
				 err == EPERM ? "it is not the monitor's own"
					      : strerrordesc_np(err));
	error_set(e, FAIL_STATE, vm->name, "it was started without ports to its agent");
	error_hint(e, "restart it, or use ssh: --ssh");
	return -1;
}

static int taken(int port, int *fd)
{
	int flags = fcntl(port, F_GETFL);

	(void)fcntl(port, F_SETFL, flags & ~O_NONBLOCK);
	*fd = port;
	return 1;
}

int vmm_port_take(struct ctl *c, const struct vm *vm, uint8_t nonce[16], int *fd, struct error *e)
{
	const uint32_t ports = c->config.agent_ports;
	__attribute__((cleanup(tries_close))) struct tries t = { .n = 0 };
	uint8_t start[AGENT_GREETING] = AGENT_MARK;
	int got;

	if (ports == 0)
		return no_port(vm, ENOENT, e);
	id_new(nonce);
	memcpy(start + AGENT_MARK_LEN, nonce, AGENT_NONCE);
	uint32_t first = atomic_fetch_add(&c->next_port, 1);
	for (uint32_t i = 0; i < ports; i++) {
		if (try_port(c, vm, (first + i) % ports, start, &t) < 0)
			return no_port(vm, errno, e);
		if (t.n && (got = answered(&t, STEP_MS)) >= 0)
			return taken(got, fd);
	}
	if (t.missing == ports)
		return no_port(vm, ENOENT, e);
	got = answered(&t, LAST_MS);
	return got < 0 ? 0 : taken(got, fd);
}
