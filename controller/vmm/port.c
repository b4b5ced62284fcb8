/* port.c - finds a free port to the agent in a guest.
 *
 * Theory of operation.  A port of virtio-serial has one client at a time, and QEMU accepts the next
 * connection when the client before it is gone.  connect(2) does not tell whether the port is free,
 * for it succeeds as soon as the connection is queued.  So the start of a session is sent, and a
 * port counts as free when something can be read from it.  The search begins at another port each
 * time: the port that was used longest ago is likely to be free.
 *
 * The first pass of a search waits for the first port, then for all, since an agent that runs
 * answers at once.  A worker makes the pass, so later passes only look, and their request waits
 * without a worker in between.  When a VM has more ports than a search has places, each pass moves
 * one place to the next of its ports.
 *
 * Each connection has a nonce of its own.  The start of one that was closed may still be in the
 * port's queue, and its answer then comes over the next one, whose client must not take it for its
 * own: the answer to its own start follows.
 *
 * Firecracker has one socket for any number of clients.  It forwards each to the guest's vsock port
 * that the first line names, answers "OK <number>" when the guest has accepted, and closes the
 * connection when nothing listens there (its docs/vsock.md).  Such a search has one place, whose
 * connection each pass makes again.  The client drops Firecracker's answer like all that comes
 * before the agent's greeting.
 *
 * The caller closes the connections that lose.  QEMU accepts and drops them later; the agent sees a
 * session without a command. */
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
#define START_MAX (32 + AGENT_GREETING)
#define STEP_MS 25 /* of the first pass: for its first port, and for all ports together */

void vmm_ports_init(struct vmm_ports *s)
{
	*s = (struct vmm_ports){ .passes = 0 };
	for (size_t i = 0; i < VMM_PORTS_TRIED; i++)
		s->p[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
}

bool vmm_ports_open(const struct vmm_ports *s)
{
	for (size_t i = 0; i < VMM_PORTS_TRIED; i++)
		if (s->p[i].fd >= 0)
			return true;
	return false;
}

void vmm_ports_close(struct vmm_ports *s)
{
	for (size_t i = 0; i < VMM_PORTS_TRIED; i++)
		fdio_close_all(&s->p[i].fd, 1);
}

static int taken_from(struct vmm_ports *s, size_t place)
{
	memcpy(s->nonce, s->nonces[place], AGENT_NONCE);
	return steal_fd(&s->p[place].fd);
}

/* Wait for an answer.  Return: the descriptor of a port that has answered, removed from @s; or -1.
 * poll(2) skips descriptors that are -1. */
static int answered(struct vmm_ports *s, int ms)
{
	if (poll(s->p, VMM_PORTS_TRIED, ms) <= 0)
		return -1;
	for (size_t i = 0; i < VMM_PORTS_TRIED; i++) {
		if (s->p[i].revents & POLLIN && !(s->p[i].revents & POLLHUP))
			return taken_from(s, i);
		if (s->p[i].revents)
			fdio_close_all(&s->p[i].fd, 1); /* the monitor has ended */
	}
	return -1;
}

static bool by_vsock(const struct vm *vm)
{
	return vm->runtime.vmm == VMM_FIRECRACKER;
}

/* Write the start of a session, with a new nonce.  Return: its length. */
static size_t put_start(const struct vm *vm, uint8_t nonce[AGENT_NONCE], uint8_t out[START_MAX])
{
	size_t n = 0;

	if (by_vsock(vm))
		n = (size_t)snprintf((char *)out, START_MAX, "CONNECT %d\n", AGENT_VSOCK_PORT);
	id_new(nonce);
	memcpy(mempcpy(out + n, AGENT_MARK, AGENT_MARK_LEN), nonce, AGENT_NONCE);
	return n + AGENT_GREETING;
}

/* Connect to the port of one place and send the start of a session.  Return: 0 also when its queue
 * is full, or -1 with errno. */
static int try_port(const struct ctl *c, const struct vm *vm, struct vmm_ports *s, size_t place)
{
	const uint32_t number = s->first + (uint32_t)place + VMM_PORTS_TRIED * s->turn[place];
	uint8_t start[START_MAX];
	const size_t n = put_start(vm, s->nonces[place], start);
	char name[16] = AGENT_VSOCK, path[VMM_PEER_PATH];

	if (!by_vsock(vm))
		(void)snprintf(name, sizeof(name), AGENT_PORT, number % s->ports);
	FAILPOINT("vmm.port.before");
	_cleanup_close_ int fd = vmm_peer_connect(c, vm, name, path);
	if (fd < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (send(fd, start, n, MSG_NOSIGNAL) != (ssize_t)n)
		return 0;
	FAILPOINT("vmm.port.after");
	s->p[place].fd = steal_fd(&fd);
	return 0;
}

/* Explain that a VM has no port. */
static int without_ports(const struct ctl *c, const struct vm *vm, struct error *e)
{
	if (c->config.agent_ports == 0) {
		error_set(e, FAIL_STATE, vm->name, "this host gives VMs no ports to their agents");
		error_hint(e, "use ssh: --ssh; root's agent_ports in banger.conf decides");
		return -1;
	}
	error_set(e, FAIL_STATE, vm->name, "it was started without ports to its agent");
	error_hint(e, "restart it, or use ssh: --ssh");
	return -1;
}

static int no_port(const struct ctl *c, const struct vm *vm, int err, struct error *e)
{
	if (err == ENOENT)
		return without_ports(c, vm, e);
	return error_set(e, FAIL_GENERAL, WHO, "a port can not be used: %s",
			 err == EPERM ? "it is not the monitor's own" : strerrordesc_np(err));
}

static int taken(int port, int *fd)
{
	int flags = fcntl(port, F_GETFL);

	(void)fcntl(port, F_SETFL, flags & ~O_NONBLOCK);
	*fd = port;
	return 1;
}

/* Return: the number of ports of a place.  The ports of a VM are dealt to the places in turn. */
static uint32_t ports_of(const struct vmm_ports *s, size_t place)
{
	return s->ports > place ? (s->ports - (uint32_t)place - 1) / VMM_PORTS_TRIED + 1 : 0;
}

static void next_port(struct vmm_ports *s, size_t place)
{
	const uint32_t ports = ports_of(s, place);

	s->turn[place] = ports ? (s->turn[place] + 1) % ports : 0;
}

/* Begin a search, or have one place of it try its next port. */
static void begin_pass(struct ctl *c, struct vmm_ports *s)
{
	const size_t place = s->passes % VMM_PORTS_TRIED;

	if (!s->passes) {
		s->first = atomic_fetch_add(&c->next_port, 1) % s->ports;
	} else if (ports_of(s, place) > 1) {
		fdio_close_all(&s->p[place].fd, 1);
		next_port(s, place);
	}
	s->passes++;
}

/* Connect one place to the first of its ports that can be reached.
 * Return: 0, or -1 with errno: ENOENT none has a socket, ECONNREFUSED one has a socket, on which no
 * monitor listens: it has just ended, or is about to listen. */
static int connect_place(struct ctl *c, const struct vm *vm, struct vmm_ports *s, size_t place)
{
	int err = ENOENT;

	for (uint32_t i = ports_of(s, place); i; i--) {
		if (try_port(c, vm, s, place) == 0)
			return 0;
		if (errno != ENOENT)
			err = errno;
		if (err != ENOENT && err != ECONNREFUSED)
			return -1;
		next_port(s, place);
	}
	errno = err;
	return -1;
}

/* Connect the first @n places that are not connected.  Return: the number of those without a
 * socket, or -1 with errno. */
static int connect_places(struct ctl *c, const struct vm *vm, struct vmm_ports *s, size_t n)
{
	int missing = 0;

	for (size_t i = 0; i < n; i++) {
		if (s->p[i].fd >= 0 || connect_place(c, vm, s, i) == 0)
			continue;
		if (errno != ENOENT && errno != ECONNREFUSED)
			return -1;
		missing += errno == ENOENT;
	}
	return missing;
}

int vmm_port_take(struct ctl *c, const struct vm *vm, struct vmm_ports *s, int *fd, struct error *e)
{
	const int wait_ms = s->passes ? 0 : STEP_MS;
	int got = answered(s, 0);

	s->ports = by_vsock(vm) && c->config.agent_ports ? 1 : c->config.agent_ports;
	if (s->ports == 0)
		return no_port(c, vm, ENOENT, e);
	const size_t places = s->ports < VMM_PORTS_TRIED ? s->ports : VMM_PORTS_TRIED;
	begin_pass(c, s);
	if (wait_ms && connect_places(c, vm, s, 1) == 0)
		got = answered(s, wait_ms);
	if (got >= 0)
		return taken(got, fd);
	int missing = connect_places(c, vm, s, places);
	if (missing < 0 || missing == (int)places)
		return no_port(c, vm, missing < 0 ? errno : ENOENT, e);
	got = answered(s, wait_ms);
	return got < 0 ? 0 : taken(got, fd);
}

/* Make the first pass of a search, and no other one.  Return: a port that has answered, or -1. */
static int take_once(struct ctl *c, const struct vm *vm)
{
	struct error ignored = { 0 };
	struct vmm_ports s;
	int fd = -1;

	vmm_ports_init(&s);
	(void)vmm_port_take(c, vm, &s, &fd, &ignored);
	vmm_ports_close(&s);
	return fd;
}

bool vmm_port_probe(struct ctl *c, const struct vm *vm)
{
	int fd = take_once(c, vm);
	const bool answered = fd >= 0;

	fdio_close_all(&fd, 1);
	return answered;
}

int vmm_port_end(struct ctl *c, const struct vm *vm, uint32_t grace_ms)
{
	uint8_t grace[4], frame[AGENT_HEAD + sizeof(grace)];
	_cleanup_close_ int fd = take_once(c, vm);

	agent_set32(grace, grace_ms);
	const size_t n = agent_put(frame, AGENT_END, grace, sizeof(grace));
	if (fd < 0 || send(fd, frame, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
		return -1;
	return steal_fd(&fd);
}
