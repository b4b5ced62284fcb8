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

/* bytes at the end of a console that are searched for a line of shutdown_lines[] */
#define TAIL 4096

/* Lines that a Linux guest writes to its console at a guest-initiated shutdown (kernel/reboot.c).
 * They are written even with "quiet". */
static const char *const shutdown_lines[] = { "reboot: Power down", "reboot: Restarting system",
					      "reboot: System halted" };

static bool shows_shutdown(struct ctl *c, const struct vm *vm)
{
	char buf[2 * TAIL + 1];
	uint64_t offset = 0;
	size_t have = 0;
	ssize_t n;

	while ((n = watch_read(c->watch, vm, STREAM_CONSOLE, &offset, buf + have, TAIL)) > 0) {
		have += (size_t)n;
		if (have > TAIL) {
			memmove(buf, buf + have - TAIL, TAIL);
			have = TAIL;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(shutdown_lines); i++)
		if (memmem(buf, have, shutdown_lines[i], strlen(shutdown_lines[i])))
			return true;
	return false;
}

/* Decide whether the restart policy applies.  Called after the release, which has read the rest of
 * the console's FIFO. */
static void decide_restart(struct ctl *c, struct vm *vm)
{
	struct error e = { 0 };

	if (c->draining || !vm->wanted || vm->restart == RESTART_ALWAYS)
		return;
	if (vm->restart == RESTART_ON_FAILURE && !shows_shutdown(c, vm))
		return;
	if (vm_clear_wanted(c, vm, &e) < 0)
		log_error("%s: %s", vm->name, e.why);
}

static void handle_exit(struct ctl *c, struct vm *vm, struct operation *o)
{
	struct error e = { 0 };

	operation_own(o);
	log_info("%s: the VMM ended", vm->name);
	(void)snprintf(vm->reason, sizeof(vm->reason), "%s",
		       c->draining ? VM_REASON_DRAINED : "the VMM ended");
	int r = operation_begin_state(c, o, OPERATION_EXIT, vm, VM_STOPPING, &e);
	if (r == 0)
		r = operation_end(c, o, vm_release(c, vm, vm_rest_state(vm), o, &e), &e);
	if (r < 0)
		log_error("%s: %s", vm->name, e.why);
	decide_restart(c, vm);
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
