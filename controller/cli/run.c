/* run.c - vm run, ssh, shell, exec, wait and host-key: what goes on in a guest, and the promise
 * that `run` leaves no VM that runs, and with --rm none at all.
 *
 * The connection that creates the VM holds it until `run` ends, in whatever way: the service stops
 * or deletes the VM when the connection ends (hold.h).  The signals that end programs are blocked
 * from before the VM is made until after it is deleted.  Each wait (for an answer, for the guest's
 * ssh, for the command) also watches the signal descriptor, gives up, and the way back through
 * cmd_vm_run() deletes the VM on a connection of its own, and tells errors.  The answer of
 * vm_create alone is always waited for: it has the VM's name, which a message needs. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/cli/agent.h"
#include "controller/cli/cli.h"
#include "controller/cli/conn.h"
#include "controller/cli/cp.h"
#include "controller/cli/each.h"
#include "controller/cli/hold.h"
#include "controller/cli/images.h"
#include "controller/cli/out.h"
#include "controller/cli/run.h"
#include "controller/cli/ssh.h"
#include "controller/cli/vm_end.h"
#include "controller/cli/volume.h"

#define RUN_TIMEOUT_MS 120000
#define LOGIN_TIMEOUT_MS 10000 /* for a VM that should be up already */
#define DELETE_TIMEOUT_MS 60000

/* The exit status for @e where every other status is the guest's. */
static int ours(struct cli *c, const struct error *e)
{
	int code = out_error(c, e);

	if (c->signal)
		return 128 + c->signal;
	return code == FAIL_USAGE || code == FAIL_TIMEOUT ? code : EXIT_OURS;
}

/* Put --entrypoint before the words of the command.  @words: out: their room, the caller's. */
static int put_entrypoint(struct cli *c, char ***words, struct error *e)
{
	const char *entry = c->opt.entrypoint;
	size_t n = c->guest ? (size_t)c->nguest : 0;

	if (!entry || !*entry)
		return 0;
	*words = calloc(n + 2, sizeof(**words));
	if (!*words)
		return error_set(e, FAIL_GENERAL, "run", "out of memory");
	(*words)[0] = (char *)entry;
	if (n)
		memcpy(*words + 1, c->guest, n * sizeof(**words));
	c->guest = *words;
	c->nguest = (int)n + 1;
	return 0;
}

/* Check the command and the options that belong to it. */
static int check_command(const struct cli *c, struct error *e)
{
	if (!c->opt.ssh)
		return agent_check_command(c->guest, e) < 0 ? -1 : agent_check_options(&c->opt, e);
	if (c->opt.copies.n || c->opt.env.n || c->opt.as || c->opt.workdir || c->opt.entrypoint)
		return error_set(e, FAIL_USAGE, "--ssh",
				 "--copy, --entrypoint, --env, --user and --workdir are for the "
				 "agent alone");
	return ssh_check_length(c->guest, e);
}

static int check_run(struct cli *c, struct error *e)
{
	if (c->opt.detach && c->opt.rm)
		return error_set(
			e, FAIL_USAGE, "run",
			"--rm deletes the VM when the command ends; with --detach there is none");
	if (c->opt.detach && (c->guest || c->opt.entrypoint || c->opt.copies.n))
		return error_set(e, FAIL_USAGE, "run",
				 "--detach waits for nothing: it takes no command and no --copy");
	if (c->npos && c->opt.image)
		return error_set(e, FAIL_USAGE, "run",
				 "the image is named twice: %s, and --image %s", c->pos[0],
				 c->opt.image);
	if (vm_check_name(c->opt.name, e) < 0 || cp_check(&c->opt.copies, e) < 0 ||
	    volumes_check(&c->opt.volumes, e) < 0)
		return -1;
	return check_command(c, e);
}

/* Create the VM, and hold it unless it is for --detach. */
static int create(struct cli *c, const struct ssh *s, struct res_vm_create *r, struct hold *h,
		  struct error *e)
{
	const enum hold_end end = c->opt.detach ? HOLD_END_NONE
				  : c->opt.rm   ? HOLD_END_DELETE
						: HOLD_END_STOP;
	int fd = -1;
	const struct reply_to to = { .uncut = true, .keep = end ? &fd : NULL };
	struct call_vm_create a;

	if (vm_create_args(c, &a, c->opt.name, s->line, e) < 0)
		return -1;
	a.hold = end;
	if (conn_call(c, CALL_VM_CREATE, &a, NULL, &to, r, e) < 0)
		return -1;
	if (end)
		hold_begin(h, fd, r->id, end);
	return 0;
}

static int start(struct cli *c, const char *id, struct error *e)
{
	struct call_vm_start a = { 0 };
	struct res_vm_start r;

	if (signals_pending(c))
		return signals_error(c, "run", e);
	(void)strcpy(a.vm, id);
	return conn_call(c, CALL_VM_START, &a, NULL, NULL, &r, e);
}

/* A stage of our own among the daemon's. */
static void stage(struct cli *c, const char *name, const char *detail, uint64_t began_ns)
{
	struct ev_stage s = { .us = began_ns ? (clock_boot_ns() - began_ns) / 1000 : 0 };

	(void)snprintf(s.stage, sizeof(s.stage), "%s", name);
	(void)snprintf(s.detail, sizeof(s.detail), "%s", detail);
	out_stage(c, &s);
}

static void hint_kept(const struct ev_vm *vm, struct error *e)
{
	if (e->code == FAIL_TIMEOUT)
		error_hint(e, "the VM is kept: banger vm logs %s, then banger vm delete %s",
			   vm->name, vm->name);
}

/* A person at a terminal gets one for a shell. */
static void choose_tty(struct cli *c)
{
	c->opt.tty |= !c->guest && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

#define END_MS 10000 /* for the service to notice that a monitor has exited */

void explain_end(struct cli *c, const struct ev_vm *vm, struct error *e)
{
	_cleanup_close_ int end = vm_end_watch(vm->id);
	struct pollfd p[] = { { end, POLLIN, 0 }, { c->sigfd, POLLIN, 0 } };

	if (vm_start_error(c, vm, e) < 0)
		return;
	if (end >= 0)
		(void)poll(p, ARRAY_SIZE(p), END_MS);
	if (vm_end_error(c, vm->id, "the VM ended", e) == 0)
		(void)vm_start_error(c, vm, e);
}

/* Run c->guest by the agent.  Return: its status, or -1 with @e. */
static int by_agent(struct cli *c, const struct ev_vm *vm, uint64_t timeout_ms, struct error *e)
{
	uint8_t nonce[16];
	uint64_t began = clock_boot_ns();
	bool boots = c->npos == 0; /* vm run; to a VM that runs, it is a matter of milliseconds */

	if (boots)
		stage(c, "agent", "waiting for the guest", 0);
	if (cp_into(c, vm, timeout_ms, e) < 0)
		return -1;
	struct ev_vm now = *vm;
	_cleanup_close_ int port = reach_agent(c, &now, nonce, e);
	if (port < 0)
		return -1;
	if (boots)
		stage(c, "agent", "the guest answers", began);
	choose_tty(c);
	int status = agent_run(c, port, nonce, timeout_ms, e);
	if (status < 0 && e->code == FAIL_STATE)
		explain_end(c, &now, e);
	return status;
}

static int reach(struct cli *c, const struct ev_vm *vm, uint64_t timeout_ms, struct error *e)
{
	uint64_t began = clock_boot_ns();

	stage(c, "ssh", "waiting for the guest", 0);
	if (ssh_wait(c, vm, SSH_BY_NETWORK, timeout_ms, e) < 0) {
		hint_kept(vm, e);
		return -1;
	}
	stage(c, "ssh", "the guest answers", began);
	out_stage_end(c);
	return 0;
}

static int by_ssh(struct cli *c, const struct ssh *s, const struct ev_vm *vm, uint64_t timeout_ms,
		  struct error *e)
{
	return reach(c, vm, timeout_ms, e) < 0 ? -1 : ssh_run(c, s, vm, c->guest != NULL, e);
}

/* Everything between create and delete.  Return: the guest's status, or -1 with @e. */
static int session(struct cli *c, const struct ssh *s, const char *id, struct error *e)
{
	struct ev_vm vm;

	if (start(c, id, e) < 0 || vm_lookup(c, id, &vm, e) < 0)
		return -1;
	if (c->opt.detach)
		return 0;
	uint64_t ms = c->opt.timeout_ms ? c->opt.timeout_ms : RUN_TIMEOUT_MS;
	if (c->opt.ssh)
		return by_ssh(c, s, &vm, ms, e);
	int status = by_agent(c, &vm, ms, e);
	if (status < 0)
		hint_kept(&vm, e);
	return status;
}

/* Whatever happened: a connection of its own, no signal ends it, and a bound, for a daemon that
 * hangs. */
static int remove_vm(struct cli *c, const char *id, const char *name)
{
	const struct reply_to to = { .uncut = true, .timeout_ms = DELETE_TIMEOUT_MS };
	struct call_vm_delete a = { 0 };
	struct res_vm_delete r;
	struct error e;

	(void)strcpy(a.vm, id);
	if (conn_call(c, CALL_VM_DELETE, &a, NULL, &to, &r, &e) < 0 && e.code != FAIL_NOT_FOUND) {
		if (!e.hint[0])
			error_hint(&e, "the VM may be left: banger vm delete %s", name);
		(void)out_error(c, &e);
		return -1;
	}
	ssh_forget(id);
	return 0;
}

static int print_created(struct cli *c, const struct res_vm_create *r)
{
	if (c->opt.format == FORMAT_JSON)
		return out_json(c, out_fields_json(control_call(CALL_VM_CREATE)->result(), r));
	fprintf(c->out, "%s\n", r->name);
	return 0;
}

/* Give up the hold: the VM ends, unless @keep.  Return: 0, or -1 (told). */
static int end_hold(struct cli *c, struct hold *h, bool keep, const char *name)
{
	struct error e = { 0 };
	int r = keep && h->end ? hold_let_go(c, h, &e) : 0;

	hold_end(h);
	if (r == 0)
		return 0;
	error_hint(&e, "the VM is stopped, as the service says: banger vm show %s", name);
	(void)out_error(c, &e);
	return -1;
}

int cmd_vm_run(struct cli *c)
{
	struct hold hold = { .fd = -1 };
	struct error e = { 0 };
	struct res_vm_create r;
	struct ssh s;
	char image[80];
	_cleanup_free_ char **words = NULL;

	if (put_entrypoint(c, &words, &e) < 0 || check_run(c, &e) < 0)
		return out_error(c, &e);
	if (signals_hold(c, &e) < 0 || image_for_vm(c, c->npos ? c->pos[0] : NULL, image, &e) < 0 ||
	    volumes_make(c, &e) < 0 || ssh_prepare(c, &s, true, &e) < 0 ||
	    create(c, &s, &r, &hold, &e) < 0)
		return c->opt.detach ? out_error(c, &e) : ours(c, &e);
	int status = session(c, &s, r.id, &e);
	bool post_mortem = status < 0 && e.code == FAIL_TIMEOUT;
	/* After a command that has ended, or to be looked at. */
	bool keep = post_mortem || (!c->opt.rm && status >= 0 && !c->signal);
	if (status < 0) {
		if (!c->opt.rm && !e.hint[0])
			error_hint(&e, "the VM is kept: banger vm delete %s", r.name);
		status = c->opt.detach ? out_error(c, &e) : ours(c, &e);
	} else if (c->opt.detach) {
		status = print_created(c, &r);
	}
	bool failed = c->opt.rm && !post_mortem && remove_vm(c, r.id, r.name) < 0;
	failed |= end_hold(c, &hold, keep, r.name) < 0;
	return failed && status == 0 ? EXIT_OURS : status;
}

/* ---- into a VM that runs ---- */

int look_up_running(struct cli *c, const char *ref, struct ev_vm *vm, struct error *e)
{
	if (vm_lookup(c, ref, vm, e) < 0)
		return -1;
	if (strcmp(vm->state, "running") == 0)
		return 0;
	error_set(e, FAIL_STATE, vm->name, "it is %s", vm->state);
	error_hint(e, "banger vm start %s", vm->name);
	return -1;
}

/* A guest has the time of `vm run` from its start, so that a start and an exec can follow one
 * another. */
static uint64_t boot_left_ms(const struct ev_vm *vm)
{
	struct tm tm = { 0 };

	if (!strptime(vm->started, "%Y-%m-%dT%H:%M:%S", &tm))
		return 0;
	long long age_ms = (long long)(time(NULL) - timegm(&tm)) * 1000;
	if (age_ms < 0) /* time(2) may be a tick late */
		age_ms = 0;
	return age_ms >= RUN_TIMEOUT_MS ? 0 : (uint64_t)(RUN_TIMEOUT_MS - age_ms);
}

uint64_t login_ms(const struct cli *c, const struct ev_vm *vm)
{
	uint64_t left = boot_left_ms(vm);

	return c->opt.timeout_ms         ? c->opt.timeout_ms
	       : left > LOGIN_TIMEOUT_MS ? left
					 : LOGIN_TIMEOUT_MS;
}

bool vm_comes_up(const struct ev_vm *vm)
{
	return strcmp(vm->state, "running") == 0 || strcmp(vm->state, "starting") == 0 ||
	       strcmp(vm->state, "stopping") == 0 || vm->starts_again;
}

#define LOOK_MS 200 /* between two looks at a VM that starts again */

static uint64_t now_ms(void)
{
	return clock_boot_ns() / 1000000;
}

/* Wait until the VM runs.  Return: false if it does not come to that until @end_ms. */
static bool await_start(struct cli *c, struct ev_vm *vm, uint64_t end_ms)
{
	struct pollfd p = { c->sigfd, POLLIN, 0 };
	struct error ignored = { 0 };
	struct ev_vm now;

	while (vm_lookup(c, vm->id, &now, &ignored) == 0 && vm_comes_up(&now) &&
	       now_ms() < end_ms) {
		*vm = now;
		if (strcmp(now.state, "running") == 0)
			return true;
		if ((poll(&p, 1, LOOK_MS) > 0 && signals_pending(c)) || agent_client_is_gone(c))
			return false;
	}
	return false;
}

/* True if the VM still runs in the start of @vm, or nothing is to be waited for. */
static bool is_final(struct cli *c, const struct ev_vm *vm)
{
	struct error ignored = { 0 };
	struct ev_vm now;

	if (vm_lookup(c, vm->id, &now, &ignored) < 0 || !vm_comes_up(&now))
		return true;
	return strcmp(now.state, "running") == 0 && strcmp(now.started, vm->started) == 0;
}

int reach_agent(struct cli *c, struct ev_vm *vm, uint8_t nonce[16], struct error *e)
{
	const uint64_t most = c->opt.timeout_ms ? c->opt.timeout_ms : RUN_TIMEOUT_MS,
		       end_ms = now_ms() + most;

	for (;;) {
		const uint64_t now = now_ms(), left = now < end_ms ? end_ms - now : 1;
		const uint64_t ms = login_ms(c, vm);
		int port = agent_open(c, vm, ms < left ? ms : left, nonce, e);
		if (port >= 0 || e->code != FAIL_STATE || is_final(c, vm))
			return port;
		out_stage_end(c);
		fprintf(c->err, "banger: %s: a connection waits for its next start\n", vm->name);
		(void)fflush(c->err);
		if (!await_start(c, vm, end_ms))
			return -1;
		*e = (struct error){ 0 };
	}
}

/* A server has few places for connections that are not logged in yet, so one is not spent on the
 * question whether it answers, but for a guest that may still boot.  255 is ssh's own status, or
 * the command's: then it is asked. */
static int login(struct cli *c, const struct ssh *s, const struct ev_vm *vm, bool batch,
		 struct error *e)
{
	uint64_t ms = login_ms(c, vm);

	if ((boot_left_ms(vm) || c->opt.timeout_ms) && ssh_wait(c, vm, s->way, ms, e) < 0)
		return -1;
	int status = ssh_run(c, s, vm, batch, e);
	if (status == 255 && ssh_wait(c, vm, s->way, ms, e) < 0)
		return -1;
	return status;
}

/* Choose the way to the ssh server: through the agent if it answers, else by the network, for hosts
 * and kernels without it.  Return: 0, or -1 with @e. */
static int choose_way(struct cli *c, struct ssh *s, const struct ev_vm *vm, struct error *e)
{
	uint8_t nonce[16];
	_cleanup_close_ int port = agent_open(c, vm, login_ms(c, vm), nonce, e);

	if (port >= 0) {
		s->way = SSH_BY_AGENT;
		return 0;
	}
	if (c->signal || (e->code != FAIL_STATE && e->code != FAIL_TIMEOUT))
		return -1;
	if (vm_end_error(c, vm->id, VM_END_UNANSWERED, e) < 0)
		return -1;
	out_note(c, "no agent answers in %s: ssh uses its network", vm->name);
	return 0;
}

static int enter(struct cli *c, bool batch)
{
	struct error e = { 0 };
	struct ev_vm vm;
	struct ssh s;

	if (ssh_check_length(c->guest, &e) < 0 || signals_hold(c, &e) < 0 ||
	    look_up_running(c, c->pos[0], &vm, &e) < 0 || ssh_prepare(c, &s, false, &e) < 0 ||
	    (!batch && choose_way(c, &s, &vm, &e) < 0))
		return ours(c, &e);
	int status = login(c, &s, &vm, batch, &e);
	return status < 0 ? ours(c, &e) : status;
}

/* A command or a shell by the agent. */
static int enter_by_agent(struct cli *c)
{
	struct error e = { 0 };
	struct ev_vm vm;

	if (check_command(c, &e) < 0 || signals_hold(c, &e) < 0 ||
	    look_up_running(c, c->pos[0], &vm, &e) < 0)
		return ours(c, &e);
	int status = by_agent(c, &vm, login_ms(c, &vm), &e);
	return status < 0 ? ours(c, &e) : status;
}

int guest_journal(struct cli *c)
{
	static char words[][16] = { "journalctl", "--no-pager", "--boot", "--follow", "--no-tail" };
	static char *guest[ARRAY_SIZE(words) + 1];
	struct error e = { 0 };
	struct ev_vm vm;

	c->nguest = c->opt.follow ? 5 : 3;
	for (int i = 0; i < c->nguest; i++)
		guest[i] = words[i];
	c->guest = guest;
	c->opt.no_stdin = c->opt.clean = true;
	if (signals_hold(c, &e) < 0 || look_up_running(c, c->pos[0], &vm, &e) < 0)
		return out_error(c, &e);
	int status = by_agent(c, &vm, login_ms(c, &vm), &e);
	if (status == 127) /* of the agent, which has said it */
		return out_error(c, (error_set(&e, FAIL_STATE, vm.name, "its guest has no journal"),
				     error_hint(&e, "its console: banger logs %s", vm.name), &e));
	/* The end of the guest is the end of what is followed; its init ends journalctl first. */
	if (status >= 0)
		return status > 128 && c->opt.follow && !c->signal ? 0 : status;
	bool over = c->opt.follow && e.code == FAIL_STATE && !c->signal;
	int code = over ? 0 : out_error(c, &e);
	return c->signal ? 128 + c->signal : code;
}

int cmd_vm_ssh(struct cli *c)
{
	return enter(c, false);
}

int cmd_vm_shell(struct cli *c)
{
	return enter_by_agent(c);
}

int cmd_vm_exec(struct cli *c)
{
	struct error e = { 0 };

	if (!c->guest) {
		error_set(&e, FAIL_USAGE, "exec", "which command?");
		error_hint(&e, "banger vm exec %s -- uname -a", c->pos[0]);
		return out_error(c, &e);
	}
	if (check_command(c, &e) < 0)
		return out_error(c, &e);
	return c->opt.ssh ? enter(c, true) : enter_by_agent(c);
}

int cmd_vm_host_key(struct cli *c)
{
	struct error e = { 0 };
	struct ev_vm vm;
	struct ssh s;

	if (look_up_running(c, c->pos[0], &vm, &e) < 0 || ssh_prepare(c, &s, false, &e) < 0 ||
	    choose_way(c, &s, &vm, &e) < 0 || ssh_host_key(c, &s, &vm, &e) < 0)
		return out_error(c, &e);
	return 0;
}

int cmd_vm_ssh_config(struct cli *c)
{
	struct error e = { 0 };
	struct ev_vm vm;
	struct ssh s;

	if (vm_lookup(c, c->pos[0], &vm, &e) < 0 || ssh_prepare(c, &s, false, &e) < 0 ||
	    ssh_config(c, &s, &vm, &e) < 0)
		return out_error(c, &e);
	return 0;
}

static int wait_one(struct cli *c, const char *ref, const char **said, json_t **result,
		    struct error *e)
{
	struct ev_vm vm;

	if (look_up_running(c, ref, &vm, e) < 0 ||
	    ssh_wait(c, &vm, SSH_BY_NETWORK, c->opt.timeout_ms ? c->opt.timeout_ms : RUN_TIMEOUT_MS,
		     e) < 0)
		return -1;
	*said = "answers";
	*result = json_pack("{s:s, s:s}", "id", vm.id, "ip", vm.ip);
	return 0;
}

int cmd_vm_wait(struct cli *c)
{
	return each_target(c, c->opt.wait_for ? vm_wait_until : wait_one);
}
