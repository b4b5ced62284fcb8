/* vm_calls.c - handlers of the requests about VMs.
 *
 * Each handler turns a row of control.def into one call of lifecycle.h or db.h.  These decide by
 * the caller, which the handler passes on, which VMs it may see. */
#include "controller/api/vm_calls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pidfd.h"
#include "controller/db/db.h"
#include "controller/observe/usage.h"
#include "controller/lifecycle/lifecycle.h"
#include "controller/lifecycle/operation.h"
#include "controller/lifecycle/volumes.h"
#include "controller/policy/idle.h"
#include "controller/storage/disk_read.h"
#include "controller/storage/slot_folder.h"
#include "controller/user_log.h"
#include "controller/vmm/driver.h"
#include "controller/vmm/port.h"
#include "controller/vmm/watch.h"
#include "proto/slot.h"

#define LOOP_NONE 1048576 /* control.def: one above the largest loop number */

static void op_to(char out[ID_HEX], const struct exchange *x)
{
	memcpy(out, x->op.hex, ID_HEX);
}

static void runtime_to_event(const struct vm *vm, struct ev_vm *ev)
{
	const struct vm_runtime *r = &vm->runtime;

	ev->runtime_loop_base = r->loop_base < 0 ? LOOP_NONE : (uint64_t)r->loop_base;
	ev->runtime_loop_cow = r->loop_cow < 0 ? LOOP_NONE : (uint64_t)r->loop_cow;
	COPY(ev->runtime_tap, r->tap);
	COPY(ev->runtime_dm, r->dm);
	COPY(ev->runtime_boot_id, r->boot_id);
	COPY(ev->storage, r->storage);
	if (r->pid <= 0)
		return;
	ev->runtime_pid = (uint64_t)r->pid;
	COPY(ev->runtime_api_socket, r->api_socket);
	COPY(ev->vmm, r->vmm == VMM_FIRECRACKER ? "firecracker" : "qemu");
	COPY(ev->accel, r->accel == ACCEL_KVM ? "kvm" : "tcg");
}

/* Convert a row to the event of `list` and `show`. */
static void vm_to_event(const struct ctl *c, const struct vm *vm, struct ev_vm *ev)
{
	uint8_t m[6];

	memset(ev, 0, sizeof(*ev));
	format_id(vm->id, ev->id);
	COPY(ev->name, vm->name);
	ev->owner = vm->owner;
	COPY(ev->state, vm_state_name(vm->state));
	ev->ready = vm->state == VM_RUNNING && watch_is_ready(c->watch, vm->id);
	ev->starts_again = !c->draining && vm_starts_again(vm);
	COPY(ev->reason, vm->reason);
	COPY(ev->image, vm->image);
	ev->vcpus = vm->vcpus;
	ev->mem_mib = vm->mem_mib;
	ev->disk_mib = vm->disk_mib;
	ev->nat = vm->nat;
	if (vm->restart_max)
		(void)snprintf(ev->restart, sizeof(ev->restart), "%s:%u",
			       restart_policy_name(vm->restart), vm->restart_max);
	else
		COPY(ev->restart, restart_policy_name(vm->restart));
	ev->auto_stop_s = vm->auto_stop_s;
	ev->slot = vm->slot;
	ev->generation = vm->generation;
	format_ipv4(slot_ip(&c->config, vm->slot), ev->ip);
	slot_mac(vm->slot, m);
	(void)snprintf(ev->mac, sizeof(ev->mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2],
		       m[3], m[4], m[5]);
	api_time(vm->created_ns, ev->created);
	api_time(vm->started_ns, ev->started);
	COPY(ev->hold, hold_name(vm->hold));
	COPY(ev->op, vm->op);
	vm_format_volumes(vm, ev->volumes, sizeof(ev->volumes));
	runtime_to_event(vm, ev);
}

int api_vm_create(struct exchange *x)
{
	struct res_vm_create *res = &x->result.res_vm_create;
	struct vm vm;

	if (vm_create(x->ctl, &x->op, &x->args.vm_create, &vm, &x->error) < 0)
		return EXCHANGE_FAILED;
	op_to(res->op, x);
	format_id(vm.id, res->id);
	COPY(res->name, vm.name);
	res->slot = vm.slot;
	return EXCHANGE_DONE;
}

int api_vm_start(struct exchange *x)
{
	struct res_vm_start *res = &x->result.res_vm_start;
	struct vm vm;

	if (vm_start(x->ctl, &x->op, x->args.vm_start.vm, &res->already, &vm, &x->error) < 0)
		return EXCHANGE_FAILED;
	op_to(res->op, x);
	format_ipv4(slot_ip(&x->ctl->config, vm.slot), res->ip);
	return EXCHANGE_DONE;
}

int api_vm_stop(struct exchange *x)
{
	const struct call_vm_stop *a = &x->args.vm_stop;
	struct res_vm_stop *res = &x->result.res_vm_stop;

	op_to(res->op, x);
	return vm_stop(x->ctl, &x->op, a->vm, a->timeout_ms, &res->already, &res->forced,
		       &x->error);
}

int api_vm_kill(struct exchange *x)
{
	struct res_vm_kill *res = &x->result.res_vm_kill;

	op_to(res->op, x);
	return vm_kill(x->ctl, &x->op, x->args.vm_kill.vm, &res->already, &x->error);
}

int api_vm_delete(struct exchange *x)
{
	op_to(x->result.res_vm_delete.op, x);
	return vm_delete(x->ctl, &x->op, x->args.vm_delete.vm, &x->error);
}

int api_vm_hold(struct exchange *x)
{
	const struct call_vm_hold *a = &x->args.vm_hold;

	return vm_hold(x->ctl, &x->op, a->vm, (enum hold)a->hold, &x->error);
}

int api_vm_set(struct exchange *x)
{
	op_to(x->result.res_vm_set.op, x);
	return vm_set(x->ctl, &x->op, &x->args.vm_set, &x->error);
}

/* ---- list and show ---- */

static int gather(void *arg, const struct vm *vm)
{
	struct api_rows *rows = arg;
	struct ev_vm *ev = api_rows_add(rows);

	if (!ev)
		return -1;
	vm_to_event(rows->x->ctl, vm, ev);
	return 0;
}

int api_vm_list(struct exchange *x)
{
	struct api_rows rows = { .x = x, .size = sizeof(struct ev_vm) };
	bool all = x->args.vm_list.all;

	if (all && !access_sees_all(&x->caller)) {
		(void)error_set(&x->error, FAIL_NOT_ALLOWED, "list",
				"only root sees the VMs of all users");
		error_hint(&x->error, "leave out --all to see your own");
		return EXCHANGE_FAILED;
	}
	int r = db_vm_each(x->ctl->db, &x->caller, all, gather, &rows, &x->error);
	return api_rows_send(x, &rows, r, EVENT_VM, &x->result.res_vm_list.count);
}

int api_vm_show(struct exchange *x)
{
	struct ev_vm ev;
	struct vm vm;

	if (db_vm_find(x->ctl->db, &x->caller, x->args.vm_show.vm, &vm, &x->error) < 0)
		return EXCHANGE_FAILED;
	vm_to_event(x->ctl, &vm, &ev);
	(void)exchange_event(x, EVENT_VM, &ev);
	return EXCHANGE_DONE;
}

/* ---- stats ---- */

struct stats_rows {
	struct api_rows rows; /* first: api_rows_send() takes it */
	char *network;
};

static int add_stats(void *arg, const struct vm *vm)
{
	struct stats_rows *r = arg;
	struct stats s;

	if (vm->state != VM_RUNNING || stats_read(r->rows.x->ctl, vm, r->network, &s) < 0)
		return 0;
	struct ev_stats *ev = api_rows_add(&r->rows);
	if (!ev)
		return -1;
	format_id(vm->id, ev->id);
	COPY(ev->name, vm->name);
	ev->owner = vm->owner;
	ev->slot = vm->slot;
	ev->vcpus = vm->vcpus;
	ev->mem_mib = vm->mem_mib;
	ev->cpu_us = s.cpu_us;
	ev->resident = s.resident;
	ev->processes = s.processes;
	ev->received = s.received;
	ev->sent = s.sent;
	ev->idle_s = idle_seconds(r->rows.x->ctl->idle, vm);
	return 0;
}

static int stats_of_one(struct exchange *x, struct stats_rows *r)
{
	struct vm vm;

	if (db_vm_find(x->ctl->db, &x->caller, x->args.vm_stats.vm, &vm, &x->error) < 0)
		return -1;
	if (vm.state != VM_RUNNING)
		return error_set(&x->error, FAIL_STATE, vm.name, "it does not run");
	return add_stats(r, &vm);
}

int api_vm_stats(struct exchange *x)
{
	struct stats_rows r = { .rows = { .x = x, .size = sizeof(struct ev_stats) },
				.network = stats_network(x->ctl) };
	int ret = x->args.vm_stats.vm[0]
			  ? stats_of_one(x, &r)
			  : db_vm_each(x->ctl->db, &x->caller, true, add_stats, &r, &x->error);

	free(r.network);
	return api_rows_send(x, &r.rows, ret, EVENT_STATS, &x->result.res_vm_stats.count);
}

/* ---- logs and wait: handlers that return EXCHANGE_AGAIN ---- */

/* Read the VM of this exchange: in the first pass by reference, later by id, since its name may be
 * reused meanwhile. */
static int find_again(struct exchange *x, const char *ref, struct vm *vm)
{
	if (x->passes)
		return db_vm_by_id(x->ctl->db, x->vm, vm, &x->error);
	if (db_vm_find(x->ctl->db, &x->caller, ref, vm, &x->error) < 0)
		return -1;
	memcpy(x->vm, vm->id, ID_LEN);
	return 0;
}

/* Set x->cursor to the first byte that the client wants. */
static void begin_at(struct exchange *x, const struct vm *vm, enum stream_kind what)
{
	const struct call_vm_logs *a = &x->args.vm_logs;

	x->cursor = a->from;
	if (!a->tail)
		return;
	watch_catch_up(x->ctl->watch, vm, what);
	uint64_t end = watch_end(x->ctl->watch, vm, what);
	if (end > a->tail && x->cursor < end - a->tail)
		x->cursor = end - a->tail;
}

/* Check that the stream exists, and have the VMM flush its metrics.  If the flush fails, the
 * metrics of the last periodic flush are shown. */
static int begin_logs(struct exchange *x, const struct vm *vm, enum stream_kind what)
{
	const struct vmm_driver *d = vmm_driver(x->ctl, vm->runtime.vmm);
	struct error ignored;

	if (what == STREAM_CONSOLE)
		return 0;
	if (!watch_has(x->ctl->watch, vm, what)) {
		(void)error_set(&x->error, FAIL_STATE, vm->name,
				"its latest start has no %s: only Firecracker writes them",
				what == STREAM_VMM ? "log of the monitor" : "metrics");
		error_hint(&x->error, "QEMU writes its messages to the console: banger vm logs %s",
			   vm->name);
		return -1;
	}
	_cleanup_close_ int pidfd = watch_pidfd(x->ctl->watch, vm->id);
	if (what == STREAM_METRICS && d && d->flush && pidfd_alive(pidfd))
		(void)d->flush(x->ctl, vm, pidfd, &ignored);
	return 0;
}

static int send_stream(struct exchange *x, const struct vm *vm, enum stream_kind what)
{
	struct ev_bytes ev = { 0 };

	watch_catch_up(x->ctl->watch, vm, what);
	for (size_t total = 0; total < CONSOLE_MAX; total += ev.data.n) {
		ssize_t n = watch_read(x->ctl->watch, vm, what, &x->cursor, (char *)ev.data.v,
				       sizeof(ev.data.v));
		if (n < 0)
			return error_set(&x->error, FAIL_GENERAL, vm->name,
					 "its output can not be read");
		ev.data.n = (size_t)n;
		ev.at = x->cursor - ev.data.n;
		if (n == 0 || exchange_event(x, EVENT_BYTES, &ev) < 0)
			break;
	}
	return 0;
}

int api_vm_logs(struct exchange *x)
{
	const struct call_vm_logs *a = &x->args.vm_logs;
	enum stream_kind what = (enum stream_kind)a->what;
	struct vm vm;

	if (find_again(x, a->vm, &vm) < 0)
		/* deleted meanwhile: its log ends here */
		return x->passes ? EXCHANGE_DONE : EXCHANGE_FAILED;
	if (!x->passes && begin_logs(x, &vm, what) < 0)
		return EXCHANGE_FAILED;
	if (!x->passes)
		begin_at(x, &vm, what);
	/* The state was read before the bytes: after a state at rest, the last bytes of the VM are
	 * sent. */
	if (send_stream(x, &vm, what) < 0)
		return EXCHANGE_FAILED;
	x->result.res_vm_logs.at = x->cursor;
	/* A degraded VM may run: its output goes on. */
	return a->follow && (vm_is_active(&vm) || vm_is_up(&vm)) ? EXCHANGE_AGAIN : EXCHANGE_DONE;
}

/* ---- the console's input ---- */

static int can_not_type(struct exchange *x, const struct vm *vm, int err)
{
	if (vm_at_rest(vm) || err == ESRCH) {
		(void)error_set(&x->error, FAIL_STATE, vm->name, "it is %s",
				vm_state_name(vm->state));
		if (vm_at_rest(vm))
			error_hint(&x->error, "banger vm start %s", vm->name);
	} else if (err == ENOENT) {
		(void)error_set(&x->error, FAIL_STATE, vm->name,
				"this start of it has no console input");
		error_hint(
			&x->error,
			"an earlier banger has started it; after `banger vm restart %s` it has one",
			vm->name);
	} else {
		(void)error_set(&x->error, FAIL_STATE, vm->name,
				"its monitor does not read the console's input: %s",
				strerrordesc_np(err));
	}
	return EXCHANGE_FAILED;
}

/* Note a console that begins to be used, for the log, and each use, for the time without one. */
static void note_typing(struct exchange *x, const struct vm *vm)
{
	if (!x->args.vm_type.data.n)
		user_log(x->caller.uid, "%s: uid %u opens its console (op %s)", vm->name,
			 x->caller.uid, x->op.hex);
	idle_use(x->ctl->idle, vm, clock_boot_ns());
}

int api_vm_type(struct exchange *x)
{
	const struct call_vm_type *a = &x->args.vm_type;
	struct vm vm;

	if (db_vm_find(x->ctl->db, &x->caller, a->vm, &vm, &x->error) < 0)
		return EXCHANGE_FAILED;
	ssize_t n = watch_type(x->ctl->watch, vm.id, a->data.v, a->data.n);
	if (n < 0)
		return can_not_type(x, &vm, errno);
	note_typing(x, &vm);
	x->result.res_vm_type.took = (size_t)n == a->data.n;
	return EXCHANGE_DONE;
}

/* ---- the disk ---- */

int api_vm_disk(struct exchange *x)
{
	struct res_vm_disk *res = &x->result.res_vm_disk;
	uint64_t sizes[DISK_PARTS];
	struct vm vm;

	if (vm_read_begin(x->ctl, &x->op, x->args.vm_disk.vm, &vm, &x->error) < 0 ||
	    disk_sizes(x->ctl, &vm, sizes, &x->error) < 0)
		return EXCHANGE_FAILED;
	format_id(vm.id, res->id);
	COPY(res->name, vm.name);
	COPY(res->image, vm.image);
	COPY(res->image_digest, vm.image_digest);
	COPY(res->kernel_digest, vm.kernel_digest);
	res->size = sizes[0];
	res->store = sizes[1];
	return EXCHANGE_DONE;
}

/* The reader keeps the disk as it is, so the operation lock is not needed. */
static int open_part(struct exchange *x)
{
	const struct call_vm_read *a = &x->args.vm_read;
	struct vm vm;

	if (db_vm_find(x->ctl->db, &x->caller, a->vm, &vm, &x->error) < 0)
		return -1;
	if (reader_is(x->ctl->readers, &vm, x->connection))
		return disk_open_read(x->ctl, &vm, (unsigned)a->part, &x->error);
	return error_set(&x->error, FAIL_STATE, vm.name, "this connection does not read its disk");
}

int api_vm_read(struct exchange *x)
{
	const struct call_vm_read *a = &x->args.vm_read;
	struct res_vm_read *res = &x->result.res_vm_read;
	struct file_part part = {
		.offset = a->offset, .end = a->end, .buf = res->data.v, .room = sizeof(res->data.v)
	};
	_cleanup_close_ int fd = open_part(x);

	if (fd < 0)
		return EXCHANGE_FAILED;
	if (api_send_pieces(x, fd, &part) < 0)
		return storage_fail("disk", &x->error);
	res->size = part.size;
	res->at = part.at;
	res->data.n = part.n;
	return EXCHANGE_DONE;
}

/* ---- the agent ---- */

static int agent_late(struct exchange *x, const struct vm *vm)
{
	(void)error_set(&x->error, FAIL_TIMEOUT, vm->name,
			"its agent has not answered within %llu ms",
			(unsigned long long)x->args.vm_agent.timeout_ms);
	error_hint(&x->error,
		   "its kernel may have been imported without one, or all its ports are in use; "
		   "ssh needs no agent: --ssh");
	return EXCHANGE_FAILED;
}

/* True if @vm still runs, in the same start.  The ports are found by the number of the slot, which
 * may have been given to another user's VM since @vm was read. */
static bool still_runs(struct exchange *x, const struct vm *vm)
{
	struct error ignored = { 0 };
	struct vm now;

	return db_vm_by_id(x->ctl->db, vm->id, &now, &ignored) == 0 && now.state == VM_RUNNING &&
	       now.started_ns == vm->started_ns &&
	       strcmp(now.runtime.boot_id, vm->runtime.boot_id) == 0;
}

/* Leave a trace of a session that begins.  The controller sees neither its bytes nor its end. */
static void note_session(struct exchange *x, const struct vm *vm)
{
	user_log(x->caller.uid, "%s: uid %u gets a session of its agent (op %s)", vm->name,
		 x->caller.uid, x->op.hex);
	watch_set_ready(x->ctl->watch, vm->id);
	idle_use(x->ctl->idle, vm, clock_boot_ns());
}

/* The stream between client and agent does not pass through the controller: the answer carries a
 * connected descriptor. */
int api_vm_agent(struct exchange *x)
{
	const struct call_vm_agent *a = &x->args.vm_agent;
	struct vm vm;

	if (find_again(x, a->vm, &vm) < 0)
		return EXCHANGE_FAILED;
	if (vm.state != VM_RUNNING) {
		(void)error_set(&x->error, FAIL_STATE, vm.name, "it is %s",
				vm_state_name(vm.state));
		error_hint(&x->error, "banger vm start %s", vm.name);
		return EXCHANGE_FAILED;
	}
	int r = vmm_port_take(x->ctl, &vm, &x->ports, &x->fd_out, &x->error);
	memcpy(x->result.res_vm_agent.nonce, x->ports.nonce, AGENT_NONCE);
	if (r < 0)
		return EXCHANGE_FAILED;
	if (r > 0 && still_runs(x, &vm)) {
		note_session(x, &vm);
		return EXCHANGE_DONE;
	}
	fdio_close_all(&x->fd_out, 1);
	bool late = clock_boot_ns() - x->begun_ns >= a->timeout_ms * 1000000u;
	return late ? agent_late(x, &vm) : EXCHANGE_AGAIN;
}

/* ---- waiting ---- */

/* Return: 1 the agent has answered, 0 not yet, or -1 with the error: it has no ports. */
static int ask_agent(struct exchange *x, const struct vm *vm)
{
	int fd = -1;

	if (watch_is_ready(x->ctl->watch, vm->id))
		return 1;
	int r = vmm_port_take(x->ctl, vm, &x->ports, &fd, &x->error);
	fdio_close_all(&fd, 1);
	if (r <= 0)
		return r;
	if (!still_runs(x, vm))
		return 0;
	watch_set_ready(x->ctl->watch, vm->id);
	return 1;
}

/* Return: 1 the VM has come to what is waited for, 0 not yet, -1 with the error.  x->cursor is the
 * time of the start that the first pass saw. */
static int has_reached(struct exchange *x, const struct vm *vm)
{
	switch (x->args.vm_wait.until) {
	case WAIT_RUNNING:
		return vm_is_up(vm);
	case WAIT_READY:
		return vm->state == VM_RUNNING ? ask_agent(x, vm) : 0;
	case WAIT_EXIT:
		return !vm_is_active(vm) || vm->started_ns != x->cursor;
	default:
		return !vm_is_active(vm);
	}
}

int api_vm_wait(struct exchange *x)
{
	const struct call_vm_wait *a = &x->args.vm_wait;
	struct res_vm_wait *res = &x->result.res_vm_wait;
	bool up = a->until == WAIT_RUNNING || a->until == WAIT_READY;
	struct vm vm;

	if (find_again(x, a->vm, &vm) < 0) {
		if (!x->passes || x->error.code != FAIL_NOT_FOUND)
			return EXCHANGE_FAILED;
		COPY(res->state, "deleted");
		res->reached = !up;
		return EXCHANGE_DONE;
	}
	if (!x->passes)
		x->cursor = vm.started_ns;
	COPY(res->state, vm_state_name(vm.state));
	int reached = has_reached(x, &vm);
	if (reached < 0)
		return EXCHANGE_FAILED;
	res->reached = reached;
	bool late = clock_boot_ns() - x->begun_ns >= a->timeout_ms * 1000000u;
	bool comes = vm_is_active(&vm) || (up && !x->ctl->draining && vm_starts_again(&vm));
	return reached || late || !comes ? EXCHANGE_DONE : EXCHANGE_AGAIN;
}
