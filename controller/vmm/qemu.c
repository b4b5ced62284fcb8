/* qemu.c - QEMU over its machine protocol (docs/interop/qmp-spec): one JSON object a line.
 *
 * QEMU has the whole machine on its command line and runs the guest at once, so a boot only waits
 * until QEMU reports the guest as running.  Lines about events may come between a command and its
 * answer, and are skipped.  An answer is recognized by the id of its command. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/failpoint.h"
#include "controller/json.h"
#include "controller/vmm/driver.h"
#include "controller/vmm/peer.h"

#define WHO "QEMU"
#define STATUS_RETRY_MS 50

struct qmp {
	const struct vmm_wait *w;
	int fd;
	unsigned id;       /* of the latest command */
	size_t have, read; /* bytes in buf; bytes read since the latest command */
	char buf[VMM_ANSWER_MAX];
};

static void qmp_close(struct qmp **q)
{
	if (!*q)
		return;
	close_and_reset(&(*q)->fd);
	free(*q);
}
#define _cleanup_qmp_ __attribute__((cleanup(qmp_close)))

static int talk_error(struct error *e)
{
	if (errno == ECONNRESET || errno == EPIPE)
		return error_set(e, FAIL_GENERAL, WHO, "it closed its API socket");
	return error_set(e, FAIL_GENERAL, WHO, "its API socket: %s", strerrordesc_np(errno));
}

/* Read data from the socket into the buffer.  Return: 0, or -1 with the error. */
static int read_more(struct qmp *q, struct error *e)
{
	for (;;) {
		int ready = vmm_wait_fd(q->w, q->fd, POLLIN, VMM_BOOT_MS, e);
		if (ready < 0)
			return -1;
		ssize_t n = recv(q->fd, q->buf + q->have, sizeof(q->buf) - q->have, 0);
		if (n > 0) {
			q->have += (size_t)n;
			q->read += (size_t)n;
			return 0;
		}
		if (n == 0)
			return error_set(e, FAIL_GENERAL, WHO,
					 "it closed its API socket in the middle of an answer");
		if (errno != EAGAIN && errno != EINTR)
			return talk_error(e);
	}
}

/* Read the next line.  Return: a JSON object, owned by the caller; NULL with the error. */
static json_t *next_line(struct qmp *q, struct error *e)
{
	char *end;

	while (!(end = memchr(q->buf, '\n', q->have))) {
		if (q->have == sizeof(q->buf) || q->read > VMM_ANSWER_MAX) {
			error_set(e, FAIL_GENERAL, WHO, "an answer of more than %d bytes",
				  VMM_ANSWER_MAX);
			return NULL;
		}
		if (read_more(q, e) < 0)
			return NULL;
	}
	size_t n = (size_t)(end - q->buf);
	json_t *j = json_read(q->buf, n);
	q->have -= n + 1;
	memmove(q->buf, end + 1, q->have);
	if (json_is_object(j))
		return j;
	json_decref(j);
	error_set(e, FAIL_GENERAL, WHO, "an answer that is not QMP");
	return NULL;
}

static int send_line(struct qmp *q, const char *line, size_t n, struct error *e)
{
	while (n) {
		ssize_t sent = send(q->fd, line, n, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return talk_error(e);
		if (sent < 0 && vmm_wait_fd(q->w, q->fd, POLLOUT, VMM_BOOT_MS, e) < 0)
			return -1;
		if (sent > 0) {
			line += sent;
			n -= (size_t)sent;
		}
	}
	return 0;
}

static int refused(const char *command, const json_t *error, struct error *e)
{
	const char *desc = json_string_value(json_object_get(error, "desc"));
	char text[200];

	vmm_peer_text(text, sizeof(text), desc ? desc : "it does not say why");
	return error_set(e, FAIL_GENERAL, WHO, "%s: %s", command, text);
}

/**
 * command() - send a command without arguments and wait for its answer
 * @result:	out: the member "return", owned by the caller; may be NULL
 *
 * Return: 0, or -1 with the error.
 */
static int command(struct qmp *q, const char *name, json_t **result, struct error *e)
{
	char line[80];
	int n = snprintf(line, sizeof(line), "{\"execute\":\"%s\",\"id\":%u}\n", name, ++q->id);

	q->read = q->have;
	if (FAILPOINT_FAILS("vmm.qmp.before"))
		return talk_error(e);
	if (send_line(q, line, (size_t)n, e) < 0)
		return -1;
	FAILPOINT("vmm.qmp.sent");
	for (;;) {
		_cleanup_json_ json_t *j = next_line(q, e);
		if (!j)
			return -1;
		if (json_object_get(j, "event"))
			continue;
		if (json_object_get(j, "error"))
			return refused(name, json_object_get(j, "error"), e);
		json_t *value = json_object_get(j, "return");
		const json_t *id = json_object_get(j, "id");
		if (!value || !json_is_integer(id) || json_integer_value(id) != q->id)
			return error_set(e, FAIL_GENERAL, WHO, "%s: an answer that is not QMP",
					 name);
		if (FAILPOINT_FAILS("vmm.qmp.after"))
			return talk_error(e);
		if (result)
			*result = json_incref(value);
		return 0;
	}
}

/* Connect, read the greeting, and leave the capabilities negotiation mode.  Return: 0, or -1 with
 * the error. */
static int open_qmp(const struct ctl *c, const struct vm *vm, const struct vmm_wait *w,
		    struct qmp **out, struct error *e)
{
	_cleanup_qmp_ struct qmp *q = calloc(1, sizeof(*q));
	char path[VMM_PEER_PATH];

	if (!q)
		return error_set(e, FAIL_GENERAL, WHO, "out of memory");
	q->w = w;
	q->fd = -1;
	if (vmm_peer_find(c, vm, w, path, &q->fd, e) < 0)
		return -1;
	_cleanup_json_ json_t *greeting = next_line(q, e);
	if (!greeting)
		return -1;
	if (!json_is_object(json_object_get(greeting, "QMP")))
		return error_set(e, FAIL_GENERAL, WHO, "its greeting is not QMP");
	if (command(q, "qmp_capabilities", NULL, e) < 0)
		return -1;
	*out = steal_ptr(&q);
	return 0;
}

/* Ask for the state of the guest.  Return: 0 with the name in @status, or -1 with the error. */
static int query_status(struct qmp *q, char status[32], struct error *e)
{
	_cleanup_json_ json_t *j = NULL;

	if (command(q, "query-status", &j, e) < 0)
		return -1;
	const char *s = json_string_value(json_object_get(j, "status"));
	if (!s)
		return error_set(e, FAIL_GENERAL, WHO, "query-status: an answer that is not QMP");
	vmm_peer_text(status, 32, s);
	return 0;
}

static int qemu_boot(struct ctl *c, const struct vm *vm, const struct operation *o, int pidfd,
		     struct error *e)
{
	const struct vmm_wait w = vmm_wait_start(WHO, VMM_BOOT_MS, pidfd, o);
	_cleanup_qmp_ struct qmp *q = NULL;
	char status[32];

	if (open_qmp(c, vm, &w, &q, e) < 0)
		return -1;
	for (;;) {
		if (query_status(q, status, e) < 0)
			return -1;
		if (strcmp(status, "running") == 0)
			return 0;
		if (vmm_wait_fd(&w, -1, 0, STATUS_RETRY_MS, e) >= 0)
			continue;
		if (e->code == FAIL_TIMEOUT)
			error_set(e, FAIL_TIMEOUT, WHO,
				  "the guest does not run within %u ms, it is \"%s\"", w.ms,
				  status);
		return -1;
	}
}

static int qemu_shutdown(struct ctl *c, const struct vm *vm, int pidfd, struct error *e)
{
	const struct vmm_wait w = vmm_wait_start(WHO, VMM_TALK_MS, pidfd, NULL);
	_cleanup_qmp_ struct qmp *q = NULL;

	if (open_qmp(c, vm, &w, &q, e) < 0)
		return -1;
	return command(q, "system_powerdown", NULL, e);
}

const struct vmm_driver vmm_qemu = {
	.name = "qemu",
	.kind = VMM_QEMU,
	.boot = qemu_boot,
	.shutdown = qemu_shutdown,
};
