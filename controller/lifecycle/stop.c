/* stop.c - ends a VM on request: asks its guest to power off, or kills its VMM, and releases its
 * objects. */
#include "controller/lifecycle/stop.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/pidfd.h"
#include "controller/lifecycle/operation.h"
#include "controller/lifecycle/power_off.h"
#include "controller/objects/release.h"
#include "controller/db/db.h"
#include "controller/vmm/driver.h"
#include "controller/vmm/watch.h"

#define STOP_TIMEOUT_MS 10000

/* Wait until the VMM has exited.  Return: true when it has; false after @ms, or when a kill or a
 * delete waits for the operation lock. */
static bool wait_end(int pidfd, uint64_t ms, const struct operation *o)
{
	const uint64_t end = clock_boot_ns() + ms * 1000000u;

	while (clock_boot_ns() < end && !operation_cancelled(o))
		if (pidfd_wait(pidfd, 50))
			return true;
	return !pidfd_alive(pidfd);
}

/* The guest is asked repeatedly. */
bool vm_shut_down(struct ctl *c, const struct vm *vm, uint64_t timeout_ms,
		  const struct operation *o)
{
	const uint64_t end = clock_boot_ns() +
			     (timeout_ms ? timeout_ms : STOP_TIMEOUT_MS) * 1000000u;
	_cleanup_close_ int pidfd = watch_pidfd(c->watch, vm->id), agent = -1;

	if (!pidfd_alive(pidfd))
		return true;
	operation_stage(o, "shutdown", "");
	for (uint64_t now = clock_boot_ns(); now < end && !operation_cancelled(o);
	     now = clock_boot_ns()) {
		uint64_t left = (end - now) / 1000000u;
		if (power_off_ask(c, vm, pidfd, left, &agent) < 0)
			break;
		if (wait_end(pidfd, left < VMM_SHUTDOWN_AGAIN_MS ? left : VMM_SHUTDOWN_AGAIN_MS, o))
			return true;
	}
	return !pidfd_alive(pidfd);
}

static int release_stopped(struct ctl *c, struct vm *vm, const struct operation *o, struct error *e)
{
	operation_stage(o, "release", "");
	vm->reason[0] = '\0';
	return operation_end(c, o, vm_release(c, vm, vm_rest_state(vm), o, e), e);
}

int vm_stop_locked(struct ctl *c, struct vm *vm, uint64_t timeout_ms, const struct operation *o,
		   bool *forced, struct error *e)
{
	vm->wanted = false;
	if (operation_begin_state(c, o, OPERATION_STOP, vm, VM_STOPPING, e) < 0)
		return -1;
	*forced = !vm_shut_down(c, vm, timeout_ms, o);
	return release_stopped(c, vm, o, e);
}

int vm_clear_wanted(struct ctl *c, struct vm *vm, struct error *e)
{
	bool was = vm->wanted;

	vm->wanted = false;
	return was ? db_vm_update(c->db, vm, e) : 0;
}

int vm_stop(struct ctl *c, struct operation *o, const char *ref, uint64_t timeout_ms, bool *already,
	    bool *forced, struct error *e)
{
	struct vm vm;

	*already = *forced = false;
	if (operation_enter(c, o, ref, false, &vm, e) < 0)
		return -1;
	*already = vm_at_rest(&vm);
	int r = *already ? vm_clear_wanted(c, &vm, e)
			 : vm_stop_locked(c, &vm, timeout_ms, o, forced, e);
	return operation_leave(c, o, &vm, r, e);
}

static int kill_locked(struct ctl *c, struct vm *vm, const struct operation *o, struct error *e)
{
	vm->wanted = false;
	if (operation_begin_state(c, o, OPERATION_KILL, vm, VM_STOPPING, e) < 0)
		return -1;
	return release_stopped(c, vm, o, e);
}

int vm_kill(struct ctl *c, struct operation *o, const char *ref, bool *already, struct error *e)
{
	struct vm vm;

	*already = false;
	if (operation_enter(c, o, ref, true, &vm, e) < 0)
		return -1;
	*already = vm_at_rest(&vm);
	int r = *already ? vm_clear_wanted(c, &vm, e) : kill_locked(c, &vm, o, e);
	return operation_leave(c, o, &vm, r, e);
}
