/* The ways in which a VM ends: asked to, made to, deleted, or by itself.  All go through vm_release(). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/pidfd.h"
#include "controller/idle.h"
#include "controller/lifecycle.h"
#include "controller/lifecycle_internal.h"
#include "controller/operation.h"
#include "controller/release.h"
#include "controller/storage.h"
#include "controller/store.h"
#include "controller/vmm.h"
#include "controller/watch.h"
#include "controller/worker.h"

#define STOP_TIMEOUT_MS 10000
#define DRAINED "the host was shut down"
#define TAIL 4096 /* of a console, to be searched for a farewell */

/* A guest that is still booting has nobody who listens to its power button yet. */
#define ASK_AGAIN_MS 5000

/* Return: true once the VMM has ended; false after @ms, or when a kill or a delete waits behind us. */
static bool wait_end(int pidfd, uint64_t ms, const struct operation *o)
{
	const uint64_t end = clock_boot_ns() + ms * 1000000u;

	while (clock_boot_ns() < end && !operation_cancelled(o))
		if (pidfd_wait(pidfd, 50))
			return true;
	return !pidfd_alive(pidfd);
}

/* Ask the guest to power off, and again, until it does.  Return: true when no VMM is left to be killed. */
static bool shut_down(struct ctl *c, const struct vm *vm, uint64_t timeout_ms, const struct operation *o)
{
	const uint64_t end = clock_boot_ns() + (timeout_ms ? timeout_ms : STOP_TIMEOUT_MS) * 1000000u;
	const struct vmm_driver *d = vmm_driver(c, vm->runtime.vmm);
	_cleanup_close_ int pidfd = watch_pidfd(c->watch, vm->id);
	struct error e = { 0 };

	if (!pidfd_alive(pidfd))
		return true;
	operation_stage(o, "shutdown", "");
	for (uint64_t now = clock_boot_ns(); now < end && !operation_cancelled(o); now = clock_boot_ns()) {
		uint64_t left = (end - now) / 1000000u;
		if (!d || d->shutdown(c, vm, pidfd, &e) < 0) {
			log_warn("%s: the monitor does not take a shutdown: %s", vm->name, e.why);
			break;
		}
		if (wait_end(pidfd, left < ASK_AGAIN_MS ? left : ASK_AGAIN_MS, o))
			return true;
	}
	return !pidfd_alive(pidfd);
}

static int release(struct ctl *c, struct vm *vm, const struct operation *o, struct error *e)
{
	operation_stage(o, "release", "");
	vm->reason[0] = '\0';
	return operation_end(c, o, vm_release(c, vm, vm_rest_state(vm), o, e), e);
}

static int stop(struct ctl *c, struct vm *vm, uint64_t timeout_ms, const struct operation *o, bool *forced,
		struct error *e)
{
	vm->wanted = false;
	if (operation_begin_state(c, o, "stop", vm, VM_STOPPING, e) < 0)
		return -1;
	*forced = !shut_down(c, vm, timeout_ms, o);
	return release(c, vm, o, e);
}

/* One that waits to be started again is not wanted any more. */
static int unwant(struct ctl *c, struct vm *vm, struct error *e)
{
	bool was = vm->wanted;

	vm->wanted = false;
	return was ? store_vm_update(c->store, vm, e) : 0;
}

int vm_stop(struct ctl *c, struct operation *o, const char *ref, uint64_t timeout_ms, bool *already, bool *forced,
	    struct error *e)
{
	struct vm vm;
	int r = 0;

	*already = *forced = false;
	if (operation_enter(c, o, ref, false, &vm, e) < 0)
		return -1;
	*already = vm_at_rest(&vm);
	r = *already ? unwant(c, &vm, e) : stop(c, &vm, timeout_ms, o, forced, e);
	return operation_leave(c, o, &vm, r, e);
}

int vm_kill(struct ctl *c, struct operation *o, const char *ref, bool *already, struct error *e)
{
	struct vm vm;
	int r = 0;

	*already = false;
	if (operation_enter(c, o, ref, true, &vm, e) < 0)
		return -1;
	*already = vm_at_rest(&vm);
	if (*already)
		r = unwant(c, &vm, e);
	vm.wanted = false;
	if (!*already)
		r = operation_begin_state(c, o, "kill", &vm, VM_STOPPING, e);
	if (r == 0 && !*already)
		r = release(c, &vm, o, e);
	return operation_leave(c, o, &vm, r, e);
}

/* ---- delete ---- */

/* What its slot has, unless that is another VM's. */
static int remove_files(struct ctl *c, const struct vm *vm, struct error *e)
{
	struct error whose = { 0 };

	if (storage_check_owner(&c->config, vm, &whose) == 0)
		return c->disks->remove(c, vm->slot, e);
	if (whose.code == FAIL_STATE)
		return 0;
	*e = whose;
	return -1;
}

int vm_remove(struct ctl *c, struct vm *vm, unsigned listed, const struct operation *o, struct error *e)
{
	operation_stage(o, "release", "");
	/* From here on some of its files may be gone: whatever stops us, it must not look as if it could be started. */
	(void)snprintf(vm->reason, sizeof(vm->reason), "its deletion has begun");
	if (vm_release_listed(c, vm, listed, VM_FAILED, o, e) < 0)
		return -1;
	operation_stage(o, "files", "");
	if (remove_files(c, vm, e) < 0)
		return -1;
	if (c->watch)
		watch_discard(c->watch, vm->slot);
	return store_vm_delete(c->store, vm, e);
}

int vm_delete(struct ctl *c, struct operation *o, const char *ref, struct error *e)
{
	struct vm vm;

	if (operation_enter(c, o, ref, true, &vm, e) < 0)
		return -1;
	int r = operation_begin_state(c, o, "delete", &vm, vm_is_incomplete(&vm) ? vm.state : VM_STOPPING, e);
	if (r == 0)
		r = operation_end(c, o, vm_remove(c, &vm, 0, o, e), e);
	return operation_leave(c, o, &vm, r, e);
}

/* ---- by itself ---- */

/* What a Linux guest writes to its console, quiet or not, when it ends as it was meant to (kernel/reboot.c). */
static const char *const farewells[] = { "reboot: Power down", "reboot: Restarting system", "reboot: System halted" };

static bool said_farewell(struct ctl *c, const struct vm *vm)
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
	for (size_t i = 0; i < ARRAY_SIZE(farewells); i++)
		if (memmem(buf, have, farewells[i], strlen(farewells[i])))
			return true;
	return false;
}

/* After the release, which takes what was still in the console's pipe. */
static void decide(struct ctl *c, struct vm *vm)
{
	struct error e = { 0 };

	if (c->draining || !vm->wanted || vm->restart == RESTART_ALWAYS || (vm->restart == RESTART_ON_FAILURE && !said_farewell(c, vm)))
		return;
	if (unwant(c, vm, &e) < 0)
		log_error("%s: %s", vm->name, e.why);
}

static void ended(struct ctl *c, struct vm *vm, struct operation *o)
{
	struct error e = { 0 };

	operation_own(o);
	log_info("%s: the VMM ended", vm->name);
	(void)snprintf(vm->reason, sizeof(vm->reason), "%s", c->draining ? DRAINED : "the VMM ended");
	int r = operation_begin_state(c, o, "ended", vm, VM_STOPPING, &e);
	if (r == 0)
		r = operation_end(c, o, vm_release(c, vm, vm_rest_state(vm), o, &e), &e);
	if (r < 0)
		log_error("%s: %s", vm->name, e.why);
	decide(c, vm);
}

/*
 * The news may be old: a stop may have come first, even a new start behind
 * it.  With the turn in hand it is the row and the pidfd that count.  A VM
 * that is degraded and not watched was released as far as that went.
 */
void vm_ended(struct ctl *c, const uint8_t id[ID_LEN])
{
	struct operation o;
	struct error e = { 0 };
	atomic_bool *cancelled;
	struct vm vm;

	vm_turn_take(c->workers, id, false, &cancelled);
	if (store_vm_by_id(c->store, id, &vm, &e) == 0 && !vm_at_rest(&vm)) {
		enum watch_life life = watch_life(c->watch, id);
		bool released = life == WATCH_NOT && vm.state == VM_DEGRADED;
		if (!released && life != WATCH_LIVES)
			ended(c, &vm, &o);
	}
	vm_turn_give(c->workers, id);
}

/* ---- by the keeper ---- */

void vm_auto_stop(struct ctl *c, const uint8_t id[ID_LEN])
{
	struct operation o;
	struct error e = { 0 };
	bool forced = false;
	struct vm vm;

	operation_own(&o);
	vm_turn_take(c->workers, id, false, &o.cancelled);
	/* Somebody may have come first: it may be another start of it, or be used again. */
	if (store_vm_by_id(c->store, id, &vm, &e) == 0 && vm.state == VM_RUNNING && vm.auto_stop_s &&
	    idle_seconds(c->idle, &vm) >= vm.auto_stop_s) {
		log_info("%s: idle for %u s and more, so it is stopped", vm.name, vm.auto_stop_s);
		if (stop(c, &vm, 0, &o, &forced, &e) < 0)
			log_error("%s: %s", vm.name, e.why);
		(void)snprintf(vm.reason, sizeof(vm.reason), "it was idle for %u s", vm.auto_stop_s);
		if (vm_at_rest(&vm) && store_vm_update(c->store, &vm, &e) < 0)
			log_error("%s: %s", vm.name, e.why);
	}
	vm_turn_give(c->workers, id);
}

void vm_end_wanted(struct ctl *c, const uint8_t id[ID_LEN])
{
	struct operation o;
	struct error e = { 0 };
	struct vm vm;

	operation_own(&o);
	vm_turn_take(c->workers, id, true, &o.cancelled);
	if (store_vm_by_id(c->store, id, &vm, &e) == 0 && !vm_at_rest(&vm)) {
		(void)snprintf(vm.reason, sizeof(vm.reason), DRAINED);
		int r = operation_begin_state(c, &o, "kill", &vm, VM_STOPPING, &e);
		if (r == 0)
			r = operation_end(c, &o, vm_release(c, &vm, vm_rest_state(&vm), &o, &e), &e);
		if (r < 0)
			log_error("%s: %s", vm.name, e.why);
	}
	vm_turn_give(c->workers, id);
}

void vm_release_again(struct ctl *c, const uint8_t id[ID_LEN])
{
	struct operation o;
	struct error e = { 0 };
	struct vm vm;

	operation_own(&o);
	vm_turn_take(c->workers, id, false, &o.cancelled);
	if (store_vm_by_id(c->store, id, &vm, &e) == 0 && vm_release_due(c, &vm) &&
	    vm_release(c, &vm, vm_rest_state(&vm), &o, &e) == 0)
		log_info("%s: what it still held is released", vm.name);
	vm_turn_give(c->workers, id);
}

void vm_give_up(struct ctl *c, const uint8_t id[ID_LEN])
{
	atomic_bool *cancelled;
	struct error e = { 0 };
	struct vm vm;

	vm_turn_take(c->workers, id, false, &cancelled);
	if (store_vm_by_id(c->store, id, &vm, &e) == 0 && vm_at_rest(&vm) && vm.wanted) {
		(void)snprintf(vm.reason, sizeof(vm.reason), "it ended %u times in a row and is not started again",
			       vm.restart_max + 1);
		log_warn("%s: %s", vm.name, vm.reason);
		if (unwant(c, &vm, &e) < 0)
			log_error("%s: %s", vm.name, e.why);
	}
	vm_turn_give(c->workers, id);
}
