#include "tests/unit/fake_qmp.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define GREETING                                                                           \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, " \
	"\"package\": \"Debian\"}, \"capabilities\": [\"oob\"]}}\r\n"
#define EVENT                                                                \
	"{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": " \
	"\"NIC_RX_FILTER_CHANGED\", \"data\": {}}\r\n"

struct fake_qmp {
	pthread_t thread;
	pthread_mutex_t lock;
	int listener, stop[2];
	enum qmp_fault fault;
	char status[32];
	unsigned queries;
	bool powerdown;
};

/* The state of one client's connection. */
struct session {
	struct fake_qmp *f;
	int conn;
	enum qmp_fault fault;
	bool negotiated;
};

/* Sleep until the time is over, the client leaves or the test ends.  Return: false in the last two
 * cases. */
static bool pause_ms(const struct session *s, int ms)
{
	struct pollfd p[2] = { { s->f->stop[0], POLLIN, 0 }, { s->conn, POLLRDHUP, 0 } };

	return poll(p, 2, ms) == 0;
}

static bool send_bytes(const struct session *s, const char *text, size_t n)
{
	const int ms = s->fault == QMP_SLOW ? 1 : s->fault == QMP_TRICKLE ? 200 : 0;
	const size_t piece = s->fault == QMP_SLOW ? 7 : s->fault == QMP_TRICKLE ? 1 : n;

	for (size_t i = 0; i < n; i += piece) {
		if (send(s->conn, text + i, piece < n - i ? piece : n - i, MSG_NOSIGNAL) <= 0)
			return false;
		if (ms && !pause_ms(s, ms))
			return false;
	}
	return true;
}

static bool send_line(const struct session *s, const char *line)
{
	return send_bytes(s, line, strlen(line));
}

static void send_for_ever(const struct session *s, const char *piece)
{
	while (send_line(s, piece) && pause_ms(s, 0))
		;
}

static bool send_deep(const struct session *s)
{
	char deep[8192];

	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\n';
	return send_bytes(s, deep, sizeof(deep));
}

/* Make the right answer to a command. */
static void answer(struct session *s, const char *name, json_int_t id, char out[400])
{
	struct fake_qmp *f = s->f;

	(void)pthread_mutex_lock(&f->lock);
	if (strcmp(name, "qmp_capabilities") == 0 && !s->negotiated) {
		s->negotiated = true;
		(void)snprintf(out, 400, "{\"return\": {}, \"id\": %lld}\r\n", (long long)id);
	} else if (!s->negotiated || strcmp(name, "qmp_capabilities") == 0) {
		(void)snprintf(out, 400,
			       "{\"id\": %lld, \"error\": {\"class\": \"CommandNotFound\", "
			       "\"desc\": \"Expecting capabilities "
			       "negotiation with 'qmp_capabilities'\"}}\r\n",
			       (long long)id);
	} else if (strcmp(name, "query-status") == 0) {
		(void)snprintf(out, 400,
			       EVENT "{\"return\": {\"status\": \"%s\", \"singlestep\": false, "
				     "\"running\": true}, \"id\": %lld}\r\n",
			       f->status, (long long)id);
		if (f->queries && --f->queries == 0)
			(void)snprintf(f->status, sizeof(f->status), "running");
	} else if (strcmp(name, "system_powerdown") == 0) {
		f->powerdown = true;
		(void)snprintf(out, 400, EVENT "{\"return\": {}, \"id\": %lld}\r\n", (long long)id);
	} else {
		(void)snprintf(out, 400,
			       "{\"id\": %lld, \"error\": {\"class\": \"CommandNotFound\", "
			       "\"desc\": \"The command %.60s has not been "
			       "found\"}}\r\n",
			       (long long)id, name);
	}
	(void)pthread_mutex_unlock(&f->lock);
}

/* Send the right answer, or the fault that the test asked for.  Return: false when the connection
 * is over. */
static bool send_faulty(struct session *s, const char *right, json_int_t id)
{
	char text[200];

	switch (s->fault) {
	case QMP_HANG:
		return pause_ms(s, -1);
	case QMP_GARBAGE:
		return send_line(s, "\x7f not JSON\r\n");
	case QMP_HALF:
		(void)send_bytes(s, right, strlen(right) / 2);
		return false;
	case QMP_CLOSE:
		return false;
	case QMP_LONG:
		send_for_ever(s, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
		return false;
	case QMP_EVENTS:
		send_for_ever(s, EVENT);
		return false;
	case QMP_DEEP:
		return send_deep(s);
	case QMP_ERROR:
		(void)snprintf(text, sizeof(text),
			       "{\"id\": %lld, \"error\": {\"class\": \"GenericError\", \"desc\": "
			       "\"no \\u001b[31mway\"}}\r\n",
			       (long long)id);
		return send_line(s, text);
	case QMP_WRONG_ID:
		(void)snprintf(text, sizeof(text),
			       "{\"return\": {\"status\": \"running\"}, \"id\": %lld}\r\n",
			       (long long)id + 7);
		return send_line(s, text);
	default:
		return send_line(s, right);
	}
}

static bool serve_line(struct session *s, const char *line)
{
	json_t *j = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(j, "execute"));
	json_int_t id = json_integer_value(json_object_get(j, "id"));
	char right[400];
	bool more;

	if (!name) {
		more = send_line(s, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Invalid "
				    "JSON syntax\"}}\r\n");
	} else {
		answer(s, name, id, right);
		more = send_faulty(s, right, id);
	}
	json_decref(j);
	return more;
}

static void serve(struct session *s)
{
	char buf[LINE_MAX_BYTES + 1];
	size_t n = 0;

	if (s->fault == QMP_MUTE) {
		(void)pause_ms(s, -1);
		return;
	}
	while (s->fault == QMP_DRIP)
		if (!send_line(s, " ") || !pause_ms(s, 10))
			return;
	if (!send_line(s, s->fault == QMP_NO_GREETING ? EVENT : GREETING))
		return;
	for (;;) {
		struct pollfd p[2] = { { s->conn, POLLIN, 0 }, { s->f->stop[0], POLLIN, 0 } };
		if (poll(p, 2, -1) < 0 || p[1].revents)
			return;
		ssize_t got = recv(s->conn, buf + n, LINE_MAX_BYTES - n, 0);
		if (got <= 0)
			return;
		n += (size_t)got;
		buf[n] = '\0';
		char *end = strchr(buf, '\n');
		if (!end)
			continue;
		*end = '\0';
		n = 0; /* one command at a time, as the protocol says */
		if (!serve_line(s, buf))
			return;
	}
}

static void *run(void *arg)
{
	struct fake_qmp *f = arg;

	for (;;) {
		struct pollfd p[2] = { { f->listener, POLLIN, 0 }, { f->stop[0], POLLIN, 0 } };
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (p[1].revents)
			return NULL;
		struct session s = { .f = f,
				     .conn = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC) };
		(void)pthread_mutex_lock(&f->lock);
		s.fault = f->fault;
		(void)pthread_mutex_unlock(&f->lock);
		serve(&s);
		(void)close(s.conn);
	}
}

struct fake_qmp *fake_qmp_start(const char *path)
{
	struct fake_qmp *f = calloc(1, sizeof(*f));
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (!f)
		return NULL;
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	(void)snprintf(f->status, sizeof(f->status), "running");
	(void)unlink(path);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)pthread_mutex_init(&f->lock, NULL);
	if (pipe(f->stop) < 0 || bind(f->listener, (const struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(f->listener, 8) < 0 || pthread_create(&f->thread, NULL, run, f) != 0) {
		(void)close(f->listener);
		free(f);
		return NULL;
	}
	return f;
}

void fake_qmp_stop(struct fake_qmp *f)
{
	(void)close(f->stop[1]);
	(void)pthread_join(f->thread, NULL);
	(void)close(f->stop[0]);
	(void)close(f->listener);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}

void fake_qmp_fault(struct fake_qmp *f, enum qmp_fault fault)
{
	(void)pthread_mutex_lock(&f->lock);
	f->fault = fault;
	(void)pthread_mutex_unlock(&f->lock);
}

void fake_qmp_status(struct fake_qmp *f, const char *status, unsigned queries)
{
	(void)pthread_mutex_lock(&f->lock);
	(void)snprintf(f->status, sizeof(f->status), "%s", status);
	f->queries = queries;
	(void)pthread_mutex_unlock(&f->lock);
}

bool fake_qmp_powerdown(struct fake_qmp *f)
{
	(void)pthread_mutex_lock(&f->lock);
	bool came = f->powerdown;
	(void)pthread_mutex_unlock(&f->lock);
	return came;
}
