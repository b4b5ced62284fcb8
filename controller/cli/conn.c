#include "controller/cli/conn.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "controller/cli/out.h"

#define WHAT "daemon"

const char *conn_path(void)
{
	const char *s = getenv("BANGER_SOCKET");

	return s && *s ? s : "/run/banger/control.sock";
}

static int unreachable(const char *path, int err, struct error *e)
{
	switch (err) {
	case ENOENT:
	case ENOTDIR:
		error_set(e, FAIL_UNREACHABLE, WHAT, "no socket at %s", path);
		error_hint(e, "is it running? try: systemctl status banger (another socket: "
			      "BANGER_SOCKET)");
		break;
	case ECONNREFUSED:
		error_set(e, FAIL_UNREACHABLE, WHAT, "no process listens at %s", path);
		error_hint(e, "the daemon ended or is being restarted; try: systemctl restart "
			      "banger");
		break;
	case EACCES:
	case EPERM:
		error_set(e, FAIL_UNREACHABLE, WHAT, "no permission to open %s", path);
		error_hint(e, "ask an administrator to add you to the group that owns the socket, "
			      "then log in again");
		break;
	default:
		error_set(e, FAIL_UNREACHABLE, WHAT, "%s: %s", path, strerror(err));
	}
	return -1;
}

int conn_open(struct error *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 10 };
	const char *path = conn_path();
	_cleanup_close_ int fd = -1;

	if (strlen(path) >= sizeof(addr.sun_path))
		return error_set(e, FAIL_USAGE, WHAT, "the socket's path is longer than %zu bytes",
				 sizeof(addr.sun_path) - 1);
	(void)strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(e, FAIL_GENERAL, WHAT, "socket: %s", strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return unreachable(path, errno, e);
	return steal_fd(&fd);
}

static int gone(struct error *e)
{
	error_set(e, FAIL_UNREACHABLE, WHAT, "it ended before it answered");
	error_hint(e, "its next start finishes or undoes the operation; see: banger vm list");
	return -1;
}

/* Wait once.  @p: the connection, the held signals, and what is beside them.
 * Return: 1 the connection has bytes, 0 not yet, or -1 with @e. */
static int wait_once(struct cli *c, struct pollfd p[2 + CONN_BESIDE], const struct reply_to *to,
		     struct error *e)
{
	int ms = to->timeout_ms && !to->beside ? to->timeout_ms : -1;

	if (to->beside && to->beside(to->arg, p + 2, &ms, e) < 0)
		return -1;
	int n = poll(p, 2 + CONN_BESIDE, ms);
	for (int i = 0; n <= 0 && i < 2 + CONN_BESIDE; i++)
		p[i].revents = 0;
	if (n == 0 && !to->beside)
		return error_set(e, FAIL_TIMEOUT, WHAT, "no answer within %d s", ms / 1000);
	if (p[1].revents && signals_pending(c))
		return signals_error(c, c->command->verb, e);
	return p[0].revents != 0;
}

/* Wait until bytes arrive.  A held signal and the end of @to's time are errors. */
static int wait_for(struct cli *c, struct control *conn, const struct reply_to *to, struct error *e)
{
	bool watch = c->sigfd >= 0 && !to->uncut;
	struct pollfd p[2 + CONN_BESIDE] = {
		{ conn->fd, POLLIN, 0 },
		{ watch ? c->sigfd : -1, POLLIN, 0 },
		{ -1, 0, 0 },
		{ -1, 0, 0 },
	};
	int n;

	while ((n = wait_once(c, p, to, e)) == 0)
		;
	if (n < 0)
		return -1;
	n = control_fill(conn);
	if (n == 0 || (n < 0 && errno != EBADMSG))
		return gone(e);
	if (n < 0)
		return error_set(e, FAIL_GENERAL, WHAT, "the answer is not of this protocol");
	return 0;
}

/* Clean all text of the message: a taken-over daemon must not send control bytes to a terminal, nor
 * to a program behind a pipe. */
static void clean(const struct call *call, struct message *m)
{
	if (m->kind == MSG_EVENT)
		fields_clean(m->event->fields(), &m->body);
	if (m->kind == MSG_RESULT)
		fields_clean(call->result(), &m->body);
	if (m->kind != MSG_ERROR)
		return;
	text_clean(m->error.what);
	text_clean(m->error.why);
	text_clean(m->error.hint);
	text_clean(m->error.op);
}

static int take(struct cli *c, const struct reply_to *to, const struct message *m, struct error *e)
{
	if (m->kind == MSG_EVENT && m->event->id == EVENT_STAGE) {
		out_stage(c, &m->body.ev_stage);
		return 0;
	}
	if (m->kind == MSG_EVENT)
		return to->event ? to->event(to->arg, m->event, &m->body, e) : 0;
	return error_set(e, FAIL_GENERAL, WHAT, "it sent a request instead of an answer");
}

/* Take the descriptor of an answer. */
static int take_fd(struct control *conn, const struct call *call, const struct reply_to *to,
		   struct error *e)
{
	if (conn->nfds != call->fds_out || (call->fds_out && !to->fd))
		return error_set(e, FAIL_GENERAL, WHAT, "an answer with %zu descriptors",
				 conn->nfds);
	if (call->fds_out) {
		*to->fd = conn->fds[0];
		conn->nfds = 0;
	}
	return 0;
}

static int answer(struct cli *c, struct control *conn, const struct call *call,
		  const struct reply_to *to, void *result, struct error *e)
{
	struct message m;

	for (;;) {
		int n = control_next(conn, call, &m);
		if (n < 0)
			return error_set(e, FAIL_GENERAL, WHAT,
					 "the answer is not of this protocol");
		if (n == 0 && wait_for(c, conn, to, e) < 0)
			return -1;
		if (n == 0)
			continue;
		clean(call, &m);
		if (m.kind == MSG_RESULT) {
			memcpy(result, &m.body, call->result_size);
			return take_fd(conn, call, to, e);
		}
		if (m.kind == MSG_ERROR) {
			*e = m.error;
			return -1;
		}
		if (take(c, to, &m, e) < 0)
			return -1;
	}
}

int conn_call_on(struct cli *c, int fd, enum call_id id, const void *args, const int *fds,
		 const struct reply_to *to, void *result, struct error *e)
{
	static const struct reply_to plain;
	const struct call *call = control_call(id);
	struct control conn;
	int ret;

	if (!to)
		to = &plain;
	memset(e, 0, sizeof(*e));
	control_init(&conn, fd);
	/* EPIPE: the daemon may have sent its reason before it closed the connection. */
	if (control_send_request(fd, 1, call, args, fds, call->fds_in) == 0 || errno == EPIPE ||
	    errno == ECONNRESET)
		ret = answer(c, &conn, call, to, result, e);
	else
		ret = errno == EINVAL
			      ? error_set(e, FAIL_USAGE, call->name, "a value is out of bounds")
			      : gone(e);
	out_stage_end(c);
	if (to->keep)
		*to->keep = ret == 0 ? steal_fd(&conn.fd) : -1;
	control_close(&conn);
	return ret;
}

int conn_call(struct cli *c, enum call_id id, const void *args, const int *fds,
	      const struct reply_to *to, void *result, struct error *e)
{
	memset(e, 0, sizeof(*e));
	int fd = conn_open(e);
	if (fd < 0 && to && to->keep)
		*to->keep = -1;
	return fd < 0 ? -1 : conn_call_on(c, fd, id, args, fds, to, result, e);
}
