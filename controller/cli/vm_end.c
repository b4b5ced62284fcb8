/* vm_end.c - waits for a state of a VM; notices its end during another wait, and reports the last
 * words of its guest on the console. */
#include "controller/cli/vm_end.h"

#include <string.h>

#include "common/cleanup.h"
#include "controller/cli/conn.h"
#include "controller/cli/out.h"

#define WATCH_MS 3600000 /* the most that vm_wait takes */
#define UNTIL_MS 120000  /* of `vm wait --for` without --timeout */
#define ASK_MS 5000      /* silence of the service that ends a question about an end */

/* Finds the console line that explains an end best: a panic, else the last line of a program, else
 * the last line of the kernel, which has a time stamp ("[    7.07] reboot: Power down"). */
struct tail {
	struct clean clean;
	char line[160], best[160];
	size_t n;
	enum { LINE_NONE, LINE_KERNEL, LINE_PROGRAM, LINE_PANIC } kind;
};

int vm_end_watch(const char *id)
{
	struct call_vm_wait a = { .timeout_ms = WATCH_MS };
	struct error ignored;
	_cleanup_close_ int fd = conn_open(&ignored);

	(void)snprintf(a.vm, sizeof(a.vm), "%s", id);
	if (fd < 0 || control_send_request(fd, 1, control_call(CALL_VM_WAIT), &a, NULL, 0) < 0)
		return -1;
	return steal_fd(&fd);
}

static void tail_byte(struct tail *t, char b)
{
	if (b != '\n') {
		if (t->n + 1 < sizeof(t->line))
			t->line[t->n++] = b;
		return;
	}
	t->line[t->n] = '\0';
	bool blank = !t->line[strspn(t->line, " \t")],
	     panic = strstr(t->line, "Kernel panic") != NULL;
	int kind = blank               ? LINE_NONE
		   : panic             ? LINE_PANIC
		   : t->line[0] == '[' ? LINE_KERNEL
				       : LINE_PROGRAM;
	if (!blank && kind >= (int)t->kind) {
		(void)strcpy(t->best, t->line);
		t->kind = kind;
	}
	t->n = 0;
}

static int console(void *arg, const struct event *event, const union control_body *body,
		   struct error *e)
{
	char clean[sizeof(body->ev_bytes.data.v) + 1];
	struct tail *t = arg;

	(void)e;
	if (event->id != EVENT_BYTES)
		return 0;
	size_t n = clean_bytes(&t->clean, (const char *)body->ev_bytes.data.v,
			       body->ev_bytes.data.n, clean);
	for (size_t i = 0; i < n; i++)
		tail_byte(t, clean[i]);
	return 0;
}

/* Look the VM up, if the service answers in time. */
static bool look_up(struct cli *c, const char *id, struct ev_vm *vm)
{
	struct error ignored = { 0 };

	return vm_lookup_within(c, id, ASK_MS, vm, &ignored) == 0;
}

static bool is_active(const struct ev_vm *vm)
{
	return strcmp(vm->state, "running") == 0 || strcmp(vm->state, "starting") == 0;
}

int vm_start_error(struct cli *c, const struct ev_vm *vm, struct error *e)
{
	struct ev_vm now;

	if (!look_up(c, vm->id, &now) || !is_active(&now) || strcmp(now.started, vm->started) == 0)
		return 0;
	return error_set(e, FAIL_STATE, now.name, "its guest ended, and it was started again");
}

int vm_end_error(struct cli *c, const char *id, const char *what, struct error *e)
{
	struct tail t = { .n = 0 };
	const struct reply_to to = { .event = console, .arg = &t, .timeout_ms = ASK_MS };
	struct call_vm_logs a = { 0 };
	struct res_vm_logs r;
	struct error ignored;
	struct ev_vm vm;

	if (!look_up(c, id, &vm) || is_active(&vm))
		return 0;
	(void)strcpy(a.vm, vm.id);
	(void)conn_call(c, CALL_VM_LOGS, &a, NULL, &to, &r, &ignored);
	tail_byte(&t, '\n');
	return error_set(e, FAIL_STATE, vm.name, "%s%s%s%s%s%s", what, vm.reason[0] ? ": " : "",
			 vm.reason, t.best[0] ? "; its console says \"" : "", t.best,
			 t.best[0] ? "\"" : "");
}

/* Explain a wait that ended too early. */
static int not_reached(struct cli *c, const struct ev_vm *vm, const char *what,
		       const struct res_vm_wait *r, struct error *e)
{
	bool active = strcmp(r->state, "running") == 0 || strcmp(r->state, "starting") == 0 ||
		      strcmp(r->state, "stopping") == 0;

	if (active)
		return error_set(e, FAIL_TIMEOUT, vm->name, "it is %s, not %s", r->state, what);
	if (vm_end_error(c, vm->id, VM_END_UNANSWERED, e) < 0)
		return -1;
	return error_set(e, FAIL_STATE, vm->name, "it is %s", r->state);
}

int vm_wait_until(struct cli *c, const char *ref, const char **said, json_t **result,
		  struct error *e)
{
	static const char *const names[] = { "at rest", "running", "ready", "at its end" };
	struct call_vm_wait a = { .until = c->opt.wait_for - 1 };
	struct res_vm_wait r;
	struct ev_vm vm;

	a.timeout_ms = c->opt.timeout_ms ? c->opt.timeout_ms : UNTIL_MS;
	if (vm_lookup(c, ref, &vm, e) < 0)
		return -1;
	(void)strcpy(a.vm, vm.id);
	if (conn_call(c, CALL_VM_WAIT, &a, NULL, NULL, &r, e) < 0)
		return -1;
	if (!r.reached)
		return not_reached(c, &vm, names[a.until], &r, e);
	*said = names[a.until];
	*result = json_pack("{s:s, s:s}", "id", vm.id, "state", r.state);
	return 0;
}
