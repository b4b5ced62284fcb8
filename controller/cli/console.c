/* console.c - `vm console`: the serial line of a guest, both ways.
 *
 * The output is that of `logs --follow`; the service keeps it all the same.  What is typed goes to
 * the service by a call of its own (vm_type), beside the connection that brings the output.  One
 * function, beside(), does all else while the daemon is waited for: it reads the terminal, types,
 * and writes the output.  None of these waits for another, so a stopped terminal holds no typing,
 * and a guest that does not read holds no output.
 *
 * The past of the console is shown without its escape sequences: some have a terminal answer, and
 * the answer would be typed.  What comes later passes unchanged, as of ssh.
 *
 * A session outlives a restart of the service: it asks again from the byte on that it has.  Each
 * piece of output has its offset, since the service keeps so much of a console and no more: a
 * session may have missed some.  Offsets begin anew with each start of the VM. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/cli/conn.h"
#include "controller/cli/out.h"
#include "controller/cli/terminal.h"

#define ESCAPE_DEFAULT ("\035"[0]) /* Ctrl-] */
#define ESCAPE_NONE (-1)
#define PAST 2048         /* bytes of earlier output that are shown */
#define TYPED_MOST 65536  /* bytes that wait for the guest */
#define OUTPUT_MOST 65536 /* bytes that wait for the terminal */
#define AGAIN_MS 50       /* until a guest that took nothing is tried again */
#define TYPE_MS 1000      /* the longest wait for the answer to a vm_type */
#define SERVICE_MS 200    /* between two attempts to reach the service */
#define REBOOT_MS 15000   /* in which the service starts a guest again that has rebooted */

struct console {
	struct cli *c;
	struct ev_vm vm;
	int escape;
	bool input; /* standard input is read */
	bool tty;   /* standard input is a terminal */
	bool raw;
	bool left;   /* the user has typed the escape character */
	bool closed; /* nothing reads the output any more */
	bool told;   /* that the service does not answer */
	uint64_t at; /* offset of the next byte of output */
	uint64_t again_ms;
	int out; /* the descriptor of the output */
	int opened;
	size_t chunk;
	struct clean clean;
	size_t typed, have;
	uint8_t typed_v[TYPED_MOST], have_v[OUTPUT_MOST];
};

static uint64_t now_ms(void)
{
	return clock_boot_ns() / 1000000;
}

/* Parse --escape: "none", a character, or ^ and a letter or one of @[\]_.  Return: 0 or -1. */
static int parse_escape(const char *s, int *out)
{
	if (!s)
		*out = ESCAPE_DEFAULT;
	else if (strcmp(s, "none") == 0)
		*out = ESCAPE_NONE;
	else if (s[0] && !s[1])
		*out = (unsigned char)s[0];
	else if (s[0] == '^' && s[1] >= '?' && s[1] <= 'z' && s[1] != '`' && !s[2])
		*out = s[1] == '?' ? 0x7f : s[1] & 0x1f;
	else
		return -1;
	return 0;
}

/* The name of the escape character, as a user types it. */
static void name_escape(int escape, char out[16])
{
	if (escape < 0x20)
		(void)snprintf(out, 16, "Ctrl-%c", escape + '@');
	else
		(void)snprintf(out, 16, escape == 0x7f ? "Ctrl-?" : "%c", escape);
}

/* ---- the user's side ---- */

/* Take what was typed, up to the escape character. */
static void read_input(struct console *k)
{
	uint8_t *at = k->typed_v + k->typed;
	ssize_t n = read(STDIN_FILENO, at, TYPED_MOST - k->typed);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		k->input = false;
		k->left |= k->tty; /* the terminal is gone */
		return;
	}
	const uint8_t *escape = k->escape < 0 ? NULL : memchr(at, k->escape, (size_t)n);
	if (escape) {
		k->left = true;
		k->input = false;
		n = escape - at;
	}
	k->typed += (size_t)n;
}

static void write_output(struct console *k)
{
	ssize_t n = write(k->out, k->have_v, k->have < k->chunk ? k->have : k->chunk);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		k->closed = true;
		return;
	}
	k->have -= (size_t)n;
	memmove(k->have_v, k->have_v + n, k->have);
}

/* ---- the guest's side ---- */

static int call_type(struct console *k, size_t n, struct res_vm_type *r, struct error *e)
{
	const struct reply_to to = { .timeout_ms = TYPE_MS };
	struct call_vm_type a = { .data = { .n = n } };

	(void)strcpy(a.vm, k->vm.id);
	memcpy(a.data.v, k->typed_v, n);
	return conn_call(k->c, CALL_VM_TYPE, &a, NULL, &to, r, e);
}

/* Send one part of what is typed.  A service that is gone, or busy, is tried again later.  A VM
 * that takes nothing has ended, which the other connection tells, or begins again.
 * Return: the bytes that need not be sent any more, or -1 with @e. */
static ssize_t type_part(struct console *k, struct error *e)
{
	const size_t most = sizeof(((struct call_vm_type *)0)->data.v);
	const size_t n = k->typed < most ? k->typed : most;
	struct res_vm_type r;

	if (call_type(k, n, &r, e) == 0)
		return r.took ? (ssize_t)n : 0;
	switch (e->code) {
	case FAIL_UNREACHABLE:
	case FAIL_LIMIT:
	case FAIL_TIMEOUT: /* a request that still waits ends with its connection */
		return 0;
	case FAIL_STATE:
	case FAIL_NOT_FOUND:
		return (ssize_t)k->typed;
	default:
		return -1;
	}
}

/* Send what is typed, until all is sent or the guest takes no more.  Return: 0, or -1 with @e. */
static int type(struct console *k, struct error *e)
{
	while (k->typed && now_ms() >= k->again_ms) {
		ssize_t n = type_part(k, e);
		if (n < 0)
			return -1;
		k->again_ms = n ? 0 : now_ms() + AGAIN_MS;
		k->typed -= (size_t)n;
		memmove(k->typed_v, k->typed_v + n, k->typed);
	}
	return 0;
}

/* See the comment of beside_fn. */
static int beside(void *arg, struct pollfd p[CONN_BESIDE], int *ms, struct error *e)
{
	struct console *k = arg;

	if (p[0].revents)
		read_input(k);
	if (p[1].revents)
		write_output(k);
	if (type(k, e) < 0)
		return -1;
	if (k->closed)
		return error_set(e, FAIL_GENERAL, "standard output", "can not be written");
	/* What a program has typed before the escape character is sent first. */
	if (k->left && (k->tty || !k->typed))
		return error_set(e, FAIL_GENERAL, "console", "left");
	p[0] = (struct pollfd){ k->input && k->typed < TYPED_MOST ? STDIN_FILENO : -1, POLLIN, 0 };
	p[1] = (struct pollfd){ k->have ? k->out : -1, POLLOUT, 0 };
	if (k->typed)
		*ms = AGAIN_MS;
	return 0;
}

/* Do what is beside the daemon for @ms at most, and until there is room for @room bytes of output.
 * Return: 0, or -1 with @e. */
static int wait_beside(struct console *k, size_t room, int ms, struct error *e)
{
	struct pollfd p[1 + CONN_BESIDE] = { { k->c->sigfd, POLLIN, 0 },
					     { .fd = -1 },
					     { .fd = -1 } };
	const uint64_t end = now_ms() + (uint64_t)ms;

	while (now_ms() < end || OUTPUT_MOST - k->have < room) {
		int wait = -1;
		if (beside(k, p + 1, &wait, e) < 0)
			return -1;
		if (OUTPUT_MOST - k->have >= room) {
			const uint64_t now = now_ms(), left = now < end ? end - now : 0;
			wait = wait < 0 || (uint64_t)wait > left ? (int)left : wait;
		}
		if (poll(p, ARRAY_SIZE(p), wait) <= 0)
			p[0].revents = p[1].revents = p[2].revents = 0;
		if (p[0].revents && signals_pending(k->c))
			return signals_error(k->c, "console", e);
	}
	return 0;
}

static int take_bytes(void *arg, const struct event *event, const union control_body *body,
		      struct error *e)
{
	const struct ev_bytes *b = &body->ev_bytes;
	struct console *k = arg;

	if (event->id != EVENT_BYTES)
		return 0;
	if (OUTPUT_MOST - k->have < b->data.n && wait_beside(k, b->data.n, 0, e) < 0)
		return -1;
	memcpy(k->have_v + k->have, b->data.v, b->data.n);
	k->have += b->data.n;
	k->at = b->at + b->data.n;
	k->told = false;
	return 0;
}

static int take_past(void *arg, const struct event *event, const union control_body *body,
		     struct error *e)
{
	const struct ev_bytes *b = &body->ev_bytes;
	struct console *k = arg;
	char clean[sizeof(b->data.v) + 1];

	(void)e;
	if (event->id != EVENT_BYTES)
		return 0;
	size_t n = clean_bytes(&k->clean, (const char *)b->data.v, b->data.n, clean);
	(void)fwrite(clean, 1, n, k->c->out);
	return 0;
}

/* ---- the session ---- */

/* Check that the VM takes input, and show the end of what it has said. */
static int begin(struct console *k, struct error *e)
{
	const struct reply_to to = { .event = take_past, .arg = k };
	struct call_vm_logs a = { .tail = PAST };
	struct res_vm_type typed;
	struct res_vm_logs r;

	if (vm_lookup(k->c, k->c->pos[0], &k->vm, e) < 0 || call_type(k, 0, &typed, e) < 0)
		return -1;
	(void)strcpy(a.vm, k->vm.id);
	if (conn_call(k->c, CALL_VM_LOGS, &a, NULL, &to, &r, e) < 0)
		return -1;
	k->at = r.at;
	if (fflush(k->c->out) == 0)
		return 0;
	k->c->output_told = true;
	return error_set(e, FAIL_GENERAL, "standard output", "can not be written: %s",
			 strerror(errno));
}

static void greet(const struct console *k)
{
	char name[16];

	if (!k->c->err_tty)
		return;
	fprintf(k->c->err, "banger: this is the console of %s", k->vm.name);
	if (k->escape != ESCAPE_NONE) {
		name_escape(k->escape, name);
		fprintf(k->c->err, "; %s leaves it", name);
	}
	fputc('\n', k->c->err);
	(void)fflush(k->c->err);
}

/* The service does not answer: say so once, and wait a moment.  Return: 0, or -1 with @e. */
static int wait_for_service(struct console *k, struct error *e)
{
	if (!k->told)
		fprintf(k->c->err,
			"\r\nbanger: the service does not answer; the VM goes on, and so does this "
			"when it is back\r\n");
	(void)fflush(k->c->err);
	k->told = true;
	return wait_beside(k, 0, SERVICE_MS, e);
}

static bool is_active(const struct ev_vm *vm)
{
	return strcmp(vm->state, "running") == 0 || strcmp(vm->state, "starting") == 0;
}

/* Look what has become of the VM.  Return: 0, or -1 with @e. */
static int look_again(struct console *k, struct error *e)
{
	struct ev_vm now;

	while (vm_lookup(k->c, k->vm.id, &now, e) < 0) {
		if (e->code == FAIL_NOT_FOUND) {
			(void)strcpy(k->vm.state, "deleted");
			k->vm.reason[0] = '\0';
			return 0;
		}
		if (e->code != FAIL_UNREACHABLE || wait_for_service(k, e) < 0)
			return -1;
	}
	k->vm = now;
	return 0;
}

/* The service was down.  If it has started the VM again meanwhile, the output begins anew.  Return:
 * 0, or -1 with @e. */
static int look_for_start(struct console *k, struct error *e)
{
	const struct ev_vm before = k->vm;

	if (look_again(k, e) < 0)
		return -1;
	/* The time of a start is known once the VM runs. */
	if (strcmp(before.state, "running") == 0 && strcmp(before.started, k->vm.started) != 0)
		k->at = 0;
	return 0;
}

/* Show the output of one start, to its end.  Return: 0, or -1 with @e. */
static int follow(struct console *k, struct error *e)
{
	const struct reply_to to = { .event = take_bytes, .beside = beside, .arg = k };
	struct call_vm_logs a = { .follow = true };
	struct res_vm_logs r;

	(void)strcpy(a.vm, k->vm.id);
	for (;;) {
		a.from = k->at;
		if (conn_call(k->c, CALL_VM_LOGS, &a, NULL, &to, &r, e) == 0)
			return 0;
		if (e->code != FAIL_UNREACHABLE || wait_for_service(k, e) < 0 ||
		    look_for_start(k, e) < 0)
			return -1;
	}
}

/* The VM has come to rest.  If its guest has rebooted, wait until the service has started it again.
 * Return: 1 it runs again, 0 it does not, or -1 with @e. */
static int wait_for_reboot(struct console *k, struct error *e)
{
	const uint64_t end = now_ms() + REBOOT_MS;

	while (look_again(k, e) == 0) {
		if (is_active(&k->vm)) {
			k->at = 0;
			return 1;
		}
		if (!k->vm.starts_again || now_ms() >= end)
			return 0;
		if (wait_beside(k, 0, SERVICE_MS, e) < 0)
			return -1;
	}
	return -1;
}

/* Return: 0 at the end of the VM, or -1 with @e. */
static int converse(struct console *k, struct error *e)
{
	int r;

	do
		r = follow(k, e);
	while (r == 0 && (r = wait_for_reboot(k, e)) > 0);
	return r < 0 ? -1 : wait_beside(k, OUTPUT_MOST, 0, e);
}

/* Say how the session has ended.  Return: the exit status. */
static int farewell(struct console *k, int r, const struct error *e)
{
	const bool after_guest = k->c->out_tty && k->raw;

	if (after_guest)
		fputs("\n", k->c->err);
	if (k->c->signal)
		return 128 + k->c->signal;
	if (k->closed) {
		k->c->output_told = true;
		return out_error(k->c, e);
	}
	if (r < 0 && !k->left)
		return out_error(k->c, e);
	if (k->left && k->c->err_tty)
		fprintf(k->c->err, "banger: left the console of %s, which goes on\n", k->vm.name);
	if (!k->left)
		fprintf(k->c->err, "banger: %s is %s%s%s\n", k->vm.name, k->vm.state,
			k->vm.reason[0] ? ": " : "", k->vm.reason);
	return 0;
}

int cmd_vm_console(struct cli *c)
{
	_cleanup_free_ struct console *k = calloc(1, sizeof(*k));
	struct error e = { 0 };

	if (!k)
		return out_error(c, (error_set(&e, FAIL_GENERAL, "console", "out of memory"), &e));
	*k = (struct console){ .c = c, .input = true, .tty = isatty(STDIN_FILENO) };
	if (parse_escape(c->opt.escape, &k->escape) < 0) {
		(void)error_set(&e, FAIL_USAGE, "--escape",
				"\"%s\" is no character, ^ with a character, or none",
				c->opt.escape);
		return out_error(c, &e);
	}
	if (signals_hold(c, &e) < 0 || begin(k, &e) < 0)
		return c->signal ? 128 + c->signal : out_error(c, &e);
	greet(k);
	k->opened = terminal_open_output(STDOUT_FILENO, &k->chunk);
	k->out = k->opened >= 0 ? k->opened : STDOUT_FILENO;
	k->raw = terminal_make_raw_guarded();
	int r = converse(k, &e);
	if (k->raw)
		terminal_restore();
	if (k->opened >= 0)
		(void)close(k->opened);
	return farewell(k, r, &e);
}
