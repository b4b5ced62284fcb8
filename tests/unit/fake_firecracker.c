#include "tests/unit/fake_firecracker.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"

#define REQUEST_MAX 51200 /* Firecracker's own limit */
#define SEEN_MAX 64

struct seen {
	char line[96]; /* "PUT /path" */
	char body[1024];
};

struct fake_firecracker {
	pthread_t thread;
	pthread_mutex_t lock;
	int listener, stop[2];
	enum fc_fault fault;
	unsigned fault_after;
	bool kernel, drive, running, ctrl_alt_del, no_sinks;
	unsigned flushes;
	struct seen seen[SEEN_MAX];
	size_t n;
};

/* ---- the schema: src/firecracker/swagger/firecracker.yaml ---- */

struct member {
	const char *object, *name;
	json_type type;
	bool required;
	const char *values; /* the permitted values, between bars; NULL: any */
};

/* JSON_TRUE stands for a boolean. */
static const struct member schema[] = {
	{ "/logger", "log_path", JSON_STRING, false, NULL },
	{ "/logger", "level", JSON_STRING, false, "|Error|Warning|Info|Debug|Trace|Off|" },
	{ "/logger", "show_level", JSON_TRUE, false, NULL },
	{ "/logger", "show_log_origin", JSON_TRUE, false, NULL },
	{ "/logger", "module", JSON_STRING, false, NULL },
	{ "/metrics", "metrics_path", JSON_STRING, true, NULL },
	{ "/machine-config", "vcpu_count", JSON_INTEGER, true, NULL },
	{ "/machine-config", "mem_size_mib", JSON_INTEGER, true, NULL },
	{ "/machine-config", "smt", JSON_TRUE, false, NULL },
	{ "/machine-config", "track_dirty_pages", JSON_TRUE, false, NULL },
	{ "/machine-config", "cpu_template", JSON_STRING, false, "|C3|T2|T2S|T2CL|T2A|V1N1|None|" },
	{ "/machine-config", "huge_pages", JSON_STRING, false, "|None|2M|" },
	{ "/boot-source", "kernel_image_path", JSON_STRING, true, NULL },
	{ "/boot-source", "initrd_path", JSON_STRING, false, NULL },
	{ "/boot-source", "boot_args", JSON_STRING, false, NULL },
	{ "/drives/", "drive_id", JSON_STRING, true, NULL },
	{ "/drives/", "is_root_device", JSON_TRUE, true, NULL },
	{ "/drives/", "path_on_host", JSON_STRING, false, NULL },
	{ "/drives/", "is_read_only", JSON_TRUE, false, NULL },
	{ "/drives/", "partuuid", JSON_STRING, false, NULL },
	{ "/drives/", "cache_type", JSON_STRING, false, "|Unsafe|Writeback|" },
	{ "/drives/", "io_engine", JSON_STRING, false, "|Sync|Async|" },
	{ "/drives/", "rate_limiter", JSON_OBJECT, false, NULL },
	{ "/drives/", "socket", JSON_STRING, false, NULL },
	{ "/network-interfaces/", "iface_id", JSON_STRING, true, NULL },
	{ "/network-interfaces/", "host_dev_name", JSON_STRING, true, NULL },
	{ "/network-interfaces/", "guest_mac", JSON_STRING, false, NULL },
	{ "/network-interfaces/", "rx_rate_limiter", JSON_OBJECT, false, NULL },
	{ "/network-interfaces/", "tx_rate_limiter", JSON_OBJECT, false, NULL },
	{ "/vsock", "guest_cid", JSON_INTEGER, true, NULL },
	{ "/vsock", "uds_path", JSON_STRING, true, NULL },
	{ "/vsock", "vsock_id", JSON_STRING, false, NULL },
	{ "/actions", "action_type", JSON_STRING, true,
	  "|FlushMetrics|InstanceStart|SendCtrlAltDel|" },
};

/* Return: the schema's name of the object at @path, or NULL. */
static const char *object_of(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(schema); i++) {
		size_t n = strlen(schema[i].object);
		bool prefix = schema[i].object[n - 1] == '/';
		if (prefix ? strncmp(path, schema[i].object, n) == 0 && path[n]
			   : strcmp(path, schema[i].object) == 0)
			return schema[i].object;
	}
	return NULL;
}

static const struct member *member_of(const char *object, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(schema); i++)
		if (strcmp(schema[i].object, object) == 0 && strcmp(schema[i].name, name) == 0)
			return &schema[i];
	return NULL;
}

static bool type_is(const json_t *v, json_type want)
{
	return want == JSON_TRUE ? json_is_boolean(v) : json_typeof(v) == want;
}

static bool value_is(const struct member *m, const json_t *v)
{
	char quoted[64];

	if (!m->values)
		return true;
	(void)snprintf(quoted, sizeof(quoted), "|%s|", json_string_value(v));
	return strstr(m->values, quoted) != NULL;
}

/* Check the members of a body against the schema.  Return: @why with what is wrong, or NULL. */
static const char *check_members(const char *object, json_t *body, char why[200])
{
	const char *name;
	json_t *v;

	json_object_foreach(body, name, v)
	{
		const struct member *m = member_of(object, name);
		if (!m)
			(void)snprintf(why, 200, "unknown field `%s`", name);
		else if (!type_is(v, m->type))
			(void)snprintf(why, 200, "invalid type for `%s`", name);
		else if (!value_is(m, v))
			(void)snprintf(why, 200, "unknown variant `%s`", json_string_value(v));
		else
			continue;
		return why;
	}
	for (size_t i = 0; i < ARRAY_SIZE(schema); i++)
		if (strcmp(schema[i].object, object) == 0 && schema[i].required &&
		    !json_object_get(body, schema[i].name)) {
			(void)snprintf(why, 200, "missing field `%s`", schema[i].name);
			return why;
		}
	return NULL;
}

static bool text_is(const json_t *body, const char *member, const char *want)
{
	const char *s = json_string_value(json_object_get(body, member));

	return s && strcmp(s, want) == 0;
}

static const char *do_action(struct fake_firecracker *f, const json_t *body)
{
	if (text_is(body, "action_type", "InstanceStart")) {
		if (f->running)
			return "The requested operation is not supported after starting the "
			       "microVM.";
		if (!f->kernel)
			return "Cannot start microvm without kernel configuration.";
		f->running = true;
	} else if (!f->running) {
		return "The requested operation is not supported before starting the microVM.";
	} else if (text_is(body, "action_type", "SendCtrlAltDel")) {
		f->ctrl_alt_del = true;
	} else {
		f->flushes++;
	}
	return NULL;
}

static const char *check_machine(const json_t *body)
{
	json_int_t vcpus = json_integer_value(json_object_get(body, "vcpu_count"));

	if (vcpus < 1 || vcpus > 32)
		return "The vCPU number is invalid! The vCPU number can only be 1 or an even "
		       "number when SMT is enabled.";
	return json_integer_value(json_object_get(body, "mem_size_mib")) < 1
		       ? "The memory size (MiB) is invalid."
		       : NULL;
}

/* Apply a request with a valid body.  Return: the reason of a refusal, or NULL. */
static const char *apply(struct fake_firecracker *f, const char *path, const json_t *body)
{
	if (strcmp(path, "/actions") == 0)
		return do_action(f, body);
	if (f->running)
		return "The requested operation is not supported after starting the microVM.";
	if (strcmp(path, "/logger") == 0 || strcmp(path, "/metrics") == 0)
		return f->no_sinks ? "Failed to open target file: Permission denied (os error 13)"
				   : NULL;
	if (strcmp(path, "/machine-config") == 0)
		return check_machine(body);
	if (strcmp(path, "/vsock") == 0)
		return NULL;
	if (strcmp(path, "/boot-source") == 0) {
		f->kernel = true;
		return NULL;
	}
	if (strncmp(path, "/drives/", 8) == 0)
		return text_is(body, "drive_id", path + 8) ? NULL : "path_id and id do not match";
	return text_is(body, "iface_id", path + 20) ? NULL : "path_id and id do not match";
}

/* ---- HTTP ---- */

static void answer_error(int status, const char *why, char *out, size_t size)
{
	char body[400];

	(void)snprintf(body, sizeof(body), "{\"fault_message\":\"%s\"}", why);
	(void)snprintf(out, size,
		       "HTTP/1.1 %d \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
		       "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		       status, strlen(body), body);
}

static void answer_put(struct fake_firecracker *f, const char *path, const char *text, char *out,
		       size_t size)
{
	const char *object = object_of(path), *wrong;
	char why[200];

	if (!object) {
		answer_error(404, "Invalid request method and/or path.", out, size);
		return;
	}
	json_t *body = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(body))
		wrong = "The body of the request is no object.";
	else
		wrong = check_members(object, body, why);
	if (!wrong)
		wrong = apply(f, path, body);
	json_decref(body);
	if (wrong)
		answer_error(400, wrong, out, size);
	else
		(void)snprintf(out, size,
			       "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: "
			       "keep-alive\r\n\r\n");
}

static void answer_get(struct fake_firecracker *f, const char *path, char *out, size_t size)
{
	char body[200];

	if (strcmp(path, "/") != 0) {
		answer_error(404, "Invalid request method and/or path.", out, size);
		return;
	}
	(void)snprintf(body, sizeof(body),
		       "{\"id\":\"bgr-0\",\"state\":\"%s\",\"vmm_version\":\"1.14.0\",\"app_name\":"
		       "\"Firecracker\"}",
		       f->running ? "Running" : "Not started");
	(void)snprintf(out, size,
		       "HTTP/1.1 200 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
		       "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		       strlen(body), body);
}

static void remember(struct fake_firecracker *f, const char *method, const char *path,
		     const char *body)
{
	if (f->n == SEEN_MAX)
		return;
	(void)snprintf(f->seen[f->n].line, sizeof(f->seen[0].line), "%s %s", method, path);
	(void)snprintf(f->seen[f->n].body, sizeof(f->seen[0].body), "%s", body);
	f->n++;
}

/* Make the right answer to a complete request. */
static void answer(struct fake_firecracker *f, const char *request, char *out, size_t size)
{
	char method[8] = "", path[80] = "";
	const char *body = strstr(request, "\r\n\r\n") + 4;

	(void)pthread_mutex_lock(&f->lock);
	if (sscanf(request, "%7s %79s HTTP/1.1", method, path) != 2)
		answer_error(400, "Invalid request.", out, size);
	else if (strcmp(method, "PUT") == 0)
		answer_put(f, path, body, out, size);
	else if (strcmp(method, "GET") == 0)
		answer_get(f, path, out, size);
	else
		answer_error(404, "Invalid request method and/or path.", out, size);
	if (strncmp(out, "HTTP/1.1 20", 11) == 0)
		remember(f, method, path, body);
	(void)pthread_mutex_unlock(&f->lock);
}

/* Sleep until the time is over, the client leaves or the test ends.  Return: false in the last two
 * cases. */
static bool pause_ms(const struct fake_firecracker *f, int conn, int ms)
{
	struct pollfd p[2] = { { f->stop[0], POLLIN, 0 }, { conn, POLLRDHUP, 0 } };

	return poll(p, 2, ms) == 0;
}

static bool send_text(int conn, const char *text, size_t n)
{
	while (n) {
		ssize_t sent = send(conn, text, n, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		text += sent;
		n -= (size_t)sent;
	}
	return true;
}

static void send_slowly(const struct fake_firecracker *f, int conn, const char *text, size_t piece,
			int ms)
{
	for (size_t n; (n = strnlen(text, piece)) && send_text(conn, text, n); text += n)
		if (!pause_ms(f, conn, ms))
			return;
}

static void send_endless(const struct fake_firecracker *f, int conn, const char *head,
			 const char *more)
{
	(void)send_text(conn, head, strlen(head));
	while (send_text(conn, more, strlen(more)) && pause_ms(f, conn, 0))
		;
}

#define SEND(conn, literal) ((void)send_text(conn, literal, sizeof(literal) - 1))

static void send_faulty(const struct fake_firecracker *f, int conn, enum fc_fault fault,
			const char *right)
{
	char text[800];

	switch (fault) {
	case FC_NONE:
		(void)send_text(conn, right, strlen(right));
		break;
	case FC_HANG:
		(void)pause_ms(f, conn, -1);
		break;
	case FC_SLOW:
		send_slowly(f, conn, right, 7, 1);
		break;
	case FC_TRICKLE:
		send_slowly(f, conn, right, 1, 200);
		break;
	case FC_GARBAGE:
		SEND(conn, "\x7f\x00\xff not HTTP at all\r\n\r\n");
		break;
	case FC_HALF:
		(void)send_text(conn, right, strlen(right) / 2);
		break;
	case FC_HALF_HANG:
		(void)send_text(conn, right, strlen(right) / 2);
		(void)pause_ms(f, conn, -1);
		break;
	case FC_CLOSE:
		break;
	case FC_503:
		answer_error(503, "out of \\u001b[31mservice", text, sizeof(text));
		(void)send_text(conn, text, strlen(text));
		break;
	case FC_NO_JSON:
		SEND(conn, "HTTP/1.1 400 \r\nContent-Length: 5\r\n\r\n<htm>");
		break;
	case FC_ENDLESS:
		send_endless(f, conn, "HTTP/1.1 200 \r\nContent-Type: a/b\r\n\r\n",
			     "xxxxxxxxxxxxxxxxxxxxxxxxxxxx");
		break;
	case FC_HEADERS:
		send_endless(f, conn, "HTTP/1.1 200 \r\n", "X-More: xxxxxxxxxxxxxxxxxxxxxxxxx\r\n");
		break;
	case FC_WRONG:
		SEND(conn, "HTTP/1.1 200 \r\nContent-Length: 13\r\n\r\n{\"state\":[1]}");
		break;
	}
}

/* Read a request until headers and body are complete.  Return: false if the client ends it
 * before. */
static bool read_request(const struct fake_firecracker *f, int conn, char *buf)
{
	size_t n = 0;

	for (;;) {
		struct pollfd p[2] = { { conn, POLLIN, 0 }, { f->stop[0], POLLIN, 0 } };
		if (poll(p, 2, -1) < 0 || p[1].revents)
			return false;
		ssize_t got = recv(conn, buf + n, REQUEST_MAX - n, 0);
		if (got <= 0)
			return false;
		n += (size_t)got;
		buf[n] = '\0';
		const char *end = strstr(buf, "\r\n\r\n"),
			   *length = strcasestr(buf, "\r\nContent-Length:");
		size_t body = length ? strtoul(length + 17, NULL, 10) : 0;
		if (end && n >= (size_t)(end + 4 - buf) + body)
			return true;
		if (n == REQUEST_MAX)
			return false;
	}
}

static void serve(struct fake_firecracker *f, int conn)
{
	char *request = malloc(REQUEST_MAX + 1), right[1024];

	if (request && read_request(f, conn, request)) {
		(void)pthread_mutex_lock(&f->lock);
		enum fc_fault fault = f->fault_after ? FC_NONE : f->fault;
		if (f->fault_after)
			f->fault_after--;
		(void)pthread_mutex_unlock(&f->lock);
		answer(f, request, right, sizeof(right));
		send_faulty(f, conn, fault, right);
	}
	free(request);
	(void)close(conn);
}

static void *run(void *arg)
{
	struct fake_firecracker *f = arg;

	for (;;) {
		struct pollfd p[2] = { { f->listener, POLLIN, 0 }, { f->stop[0], POLLIN, 0 } };
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (p[1].revents)
			return NULL;
		int conn = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
		if (conn >= 0)
			serve(f, conn);
	}
}

/* ---- for tests ---- */

struct fake_firecracker *fake_firecracker_start(const char *path)
{
	struct fake_firecracker *f = calloc(1, sizeof(*f));
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (!f)
		return NULL;
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
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

void fake_firecracker_stop(struct fake_firecracker *f)
{
	(void)close(f->stop[1]);
	(void)pthread_join(f->thread, NULL);
	(void)close(f->stop[0]);
	(void)close(f->listener);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}

void fake_firecracker_fault(struct fake_firecracker *f, enum fc_fault fault, unsigned nth)
{
	(void)pthread_mutex_lock(&f->lock);
	f->fault = fault;
	f->fault_after = nth;
	(void)pthread_mutex_unlock(&f->lock);
}

const char *fake_firecracker_request(struct fake_firecracker *f, size_t i)
{
	(void)pthread_mutex_lock(&f->lock);
	const char *line = i < f->n ? f->seen[i].line : "";
	(void)pthread_mutex_unlock(&f->lock);
	return line;
}

const char *fake_firecracker_body(struct fake_firecracker *f, const char *path)
{
	const char *body = "";

	(void)pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->n; i++)
		if (strncmp(f->seen[i].line, "PUT ", 4) == 0 &&
		    strcmp(f->seen[i].line + 4, path) == 0)
			body = f->seen[i].body;
	(void)pthread_mutex_unlock(&f->lock);
	return body;
}

bool fake_firecracker_running(struct fake_firecracker *f)
{
	(void)pthread_mutex_lock(&f->lock);
	bool running = f->running;
	(void)pthread_mutex_unlock(&f->lock);
	return running;
}

void fake_firecracker_no_sinks(struct fake_firecracker *f)
{
	(void)pthread_mutex_lock(&f->lock);
	f->no_sinks = true;
	(void)pthread_mutex_unlock(&f->lock);
}

unsigned fake_firecracker_flushes(struct fake_firecracker *f)
{
	(void)pthread_mutex_lock(&f->lock);
	unsigned n = f->flushes;
	(void)pthread_mutex_unlock(&f->lock);
	return n;
}

bool fake_firecracker_ctrl_alt_del(struct fake_firecracker *f)
{
	(void)pthread_mutex_lock(&f->lock);
	bool asked = f->ctrl_alt_del;
	(void)pthread_mutex_unlock(&f->lock);
	return asked;
}
