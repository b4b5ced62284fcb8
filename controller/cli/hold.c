/* hold.c - the thread that watches the connection which holds a VM.
 *
 * It is a thread because the program waits in many places meanwhile: for ssh, for the agent, for
 * the terminal.  It touches nothing but its struct hold. */
#include "controller/cli/hold.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fdio.h"
#include "controller/cli/conn.h"

#define AGAIN_MS 200    /* between two attempts; the grace of the service is a second or more */
#define ANSWER_MS 10000 /* for the service's answer */
#define LET_GO_TRIES 25 /* AGAIN_MS apart: a restart of the service takes about a second */

enum taken { TAKEN, NOT_YET, GONE };

/* Wait for input of @fd, -1: for no descriptor.  Return: true when there is some; false after
 * @ms, or when the thread must end. */
static bool has_input(const struct hold *h, int fd, int ms)
{
	struct pollfd p[] = { { fd, POLLIN, 0 }, { h->quit, POLLIN, 0 } };

	return poll(p, ARRAY_SIZE(p), ms) > 0 && !p[1].revents && p[0].revents;
}

static bool must_quit(const struct hold *h)
{
	struct pollfd p = { h->quit, POLLIN, 0 };

	return poll(&p, 1, 0) > 0;
}

/* Wait for bytes of the answer, even if the thread must end: a hold that were taken and lost at
 * once would end a VM that is to be let go.  An operation on the VM may keep the answer for
 * minutes. */
static bool answers(const struct hold *h, int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return has_input(h, fd, -1) || poll(&p, 1, ANSWER_MS) > 0;
}

static enum taken answer(const struct hold *h, struct control *conn, const struct call *call)
{
	struct message m;
	int n;

	while ((n = control_next(conn, call, &m)) == 0)
		if (!answers(h, conn->fd) || control_fill(conn) <= 0)
			return NOT_YET;
	if (n > 0 && m.kind == MSG_RESULT)
		return TAKEN;
	/* Any other error may pass: too many connections, a full disk. */
	return n > 0 && m.kind == MSG_ERROR &&
			       (m.error.code == FAIL_NOT_FOUND || m.error.code == FAIL_STATE)
		       ? GONE
		       : NOT_YET;
}

/* Ask for the hold on a new connection. */
static enum taken take_again(struct hold *h)
{
	const struct call *call = control_call(CALL_VM_HOLD);
	struct call_vm_hold a = { .hold = h->end };
	struct control conn;
	struct error ignored;
	enum taken r = NOT_YET;

	(void)snprintf(a.vm, sizeof(a.vm), "%s", h->vm);
	int fd = conn_open(&ignored);
	if (fd < 0)
		return NOT_YET;
	control_init(&conn, fd);
	if (control_send_request(fd, 1, call, &a, NULL, 0) == 0)
		r = answer(h, &conn, call);
	if (r == TAKEN)
		h->fd = steal_fd(&conn.fd);
	control_close(&conn);
	return r;
}

/* The service sends nothing on the connection: input is its end. */
static void *watch(void *arg)
{
	struct hold *h = arg;
	enum taken r = TAKEN;

	while (r != GONE && has_input(h, h->fd, -1)) {
		close_and_reset(&h->fd);
		while ((r = take_again(h)) == NOT_YET && !must_quit(h))
			(void)has_input(h, -1, AGAIN_MS);
	}
	return NULL;
}

void hold_begin(struct hold *h, int fd, const char *id, enum hold_end end)
{
	sigset_t all, old;

	*h = (struct hold){ .end = end, .fd = fd, .quit = eventfd(0, EFD_CLOEXEC) };
	(void)snprintf(h->vm, sizeof(h->vm), "%s", id);
	/* Signals are for the thread that reads c->sigfd. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	h->watched = h->quit >= 0 && pthread_create(&h->thread, NULL, watch, h) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void stop_watching(struct hold *h)
{
	if (!h->watched)
		return;
	(void)eventfd_write(h->quit, 1);
	(void)pthread_join(h->thread, NULL);
	h->watched = false;
}

int hold_let_go(struct cli *c, struct hold *h, struct error *e)
{
	const struct reply_to to = { .uncut = true, .timeout_ms = ANSWER_MS };
	struct call_vm_hold a = { .hold = HOLD_END_NONE };
	struct res_vm_hold r;
	int ret = -1;

	(void)snprintf(a.vm, sizeof(a.vm), "%s", h->vm);
	stop_watching(h);
	e->code = FAIL_UNREACHABLE;
	if (h->fd >= 0)
		ret = conn_call_on(c, steal_fd(&h->fd), CALL_VM_HOLD, &a, NULL, &to, &r, e);
	/* The service has been started anew: the VM has no holder, and so any connection may
	 * ask. */
	for (int i = 0; i < LET_GO_TRIES && ret < 0 && e->code == FAIL_UNREACHABLE; i++) {
		if (i)
			(void)poll(NULL, 0, AGAIN_MS);
		ret = conn_call(c, CALL_VM_HOLD, &a, NULL, &to, &r, e);
	}
	return ret < 0 && e->code != FAIL_NOT_FOUND ? -1 : 0;
}

void hold_end(struct hold *h)
{
	stop_watching(h);
	close_and_reset(&h->fd);
	if (h->quit > 0)
		close_and_reset(&h->quit);
}
