/* exit.c - the exit handler: releases a VM whose VMM has exited, and decides whether its policy
 * may start it again. */
#include "controller/lifecycle/exit.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "controller/db/db.h"
#include "controller/lifecycle/operation.h"
#include "controller/lifecycle/stop.h"
#include "controller/lifecycle/vm_lock.h"
#include "controller/objects/release.h"
#include "controller/vmm/watch.h"
#include "controller/workers.h"

/* bytes at the end of a console that are searched for a line of ends[] */
#define TAIL 4096

/* Lines that a Linux guest writes to its console at its end (kernel/reboot.c, kernel/panic.c).
 * They are written even with "quiet".  A guest can write any of them, which decides about its
 * own VM alone. */
static const struct end {
	const char *line, *reason;
	bool asked; /* a guest-initiated shutdown */
	bool reboot;
} ends[] = {
	{ "reboot: Power down", "its guest powered off", true, false },
	{ "reboot: Restarting system", REASON_REBOOTED, true, true },
	{ "reboot: System halted", "its guest halted", true, false },
	{ "Kernel panic - not syncing", "the kernel of its guest panicked", false, false },
}, no_line = { "", "the VMM ended", false, false };

/* Return: the place of the last @line in @buf, 1 for the first byte; 0: it is not there. */
static size_t last_place(const char *buf, size_t n, const char *line)
{
	const char *at = buf, *end = buf + n;
	size_t place = 0;

	while ((at = memmem(at, (size_t)(end - at), line, strlen(line))))
		place = (size_t)(++at - buf);
	return place;
}

/* Return: how the guest ended, by the last such line of its console. */
static const struct end *end_of(struct ctl *c, const struct vm *vm)
{
	char buf[2 * TAIL + 1];
	const struct end *found = &no_line;
	size_t have = 0, last = 0;
	uint64_t offset = 0;
	ssize_t n;

	watch_catch_up(c->watch, vm, STREAM_CONSOLE);
	while ((n = watch_read(c->watch, vm, STREAM_CONSOLE, &offset, buf + have, TAIL)) > 0) {
		have += (size_t)n;
		if (have > TAIL) {
			memmove(buf, buf + have - TAIL, TAIL);
			have = TAIL;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t place = last_place(buf, have, ends[i].line);
		if (place > last) {
			last = place;
			found = &ends[i];
		}
	}
	return found;
}

/* Decide whether the restart policy applies. */
static void decide_restart(struct ctl *c, struct vm *vm, const struct end *how)
{
	struct error e = { 0 };

	if (c->draining || !vm->wanted || vm->rebooted || vm->restart == RESTART_ALWAYS)
		return;
	if (vm->restart == RESTART_ON_FAILURE && !how->asked)
		return;
	if (vm_clear_wanted(c, vm, &e) < 0)
		log_error("%s: %s", vm->name, e.why);
}

static void handle_exit(struct ctl *c, struct vm *vm, struct operation *o)
{
	const struct end *how = end_of(c, vm);
	struct error e = { 0 };

	operation_own(o);
	log_info("%s: %s", vm->name, how->reason);
	(void)snprintf(vm->reason, sizeof(vm->reason), "%s",
		       c->draining ? VM_REASON_DRAINED : how->reason);
	/* With Firecracker a guest has no other way to power off. */
	vm->rebooted = how->reboot && vm->wanted && !c->draining && vm->runtime.vmm == VMM_QEMU;
	int r = operation_begin_state(c, o, OPERATION_EXIT, vm, VM_STOPPING, &e);
	if (r == 0)
		r = operation_end(c, o, vm_release(c, vm, vm_rest_state(vm), o, &e), &e);
	if (r < 0)
		log_error("%s: %s", vm->name, e.why);
	decide_restart(c, vm, how);
}

/* The report may be late: a stop, and even a new start, may have come first.  Therefore the row and
 * the pidfd decide, read with the operation lock held.  A degraded VM that is not watched has been
 * released as far as possible. */
void vm_on_exit(struct ctl *c, const uint8_t id[ID_LEN])
{
	struct operation o;
	struct error e = { 0 };
	atomic_bool *cancelled;
	struct vm vm;

	vm_lock_take(c->vm_locks, id, VM_LOCK_WAIT, &cancelled);
	if (db_vm_by_id(c->db, id, &vm, &e) == 0 && !vm_at_rest(&vm)) {
		enum watch_life life = watch_life(c->watch, id);
		bool released = life == WATCH_NOT && vm.state == VM_DEGRADED;
		if (!released && life != WATCH_LIVES)
			handle_exit(c, &vm, &o);
	}
	vm_lock_give(c->vm_locks, id);
}
