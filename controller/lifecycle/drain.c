/* drain.c - ends all VMs before the host shuts down: asks all guests to power off at once, as a
 * stop does, and kills those that do not in time.
 *
 * The desired state of the VMs stays, so restart policies start them after the next boot.  No VM is
 * started any more by this controller; the host's service manager is about to stop it. */
#include "controller/lifecycle/drain.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/log.h"
#include "common/pidfd.h"
#include "controller/db/db.h"
#include "controller/lifecycle/exit.h"
#include "controller/lifecycle/operation.h"
#include "controller/lifecycle/power_off.h"
#include "controller/lifecycle/vm_lock.h"
#include "controller/objects/release.h"
#include "controller/vmm/driver.h"
#include "controller/vmm/watch.h"
#include "controller/workers.h"
#include "proto/slot.h"

#define LOOK_MS 100
#define ASK_THREADS 64

/* All VMs that are not at rest. */
struct list {
	struct vm *v;
	size_t n, room;
};

static void list_free(struct list *l)
{
	free(l->v);
}

static int note_vm(void *arg, const struct vm *vm)
{
	struct list *l = arg;

	if (vm_at_rest(vm))
		return 0;
	if (l->n == l->room) {
		struct vm *more = reallocarray(l->v, l->room + 64, sizeof(*more));
		if (!more)
			return -1;
		l->v = more;
		l->room += 64;
	}
	l->v[l->n++] = *vm;
	return 0;
}

static int collect(struct ctl *c, struct list *l, struct error *e)
{
	l->n = 0;
	return db_vm_each(c->db, NULL, true, note_vm, l, e);
}

static bool lives(struct ctl *c, const struct vm *vm)
{
	return watch_life(c->watch, vm->id) == WATCH_LIVES;
}

/* Of each slot: the connection to the agent that was told to end its guest; -1: none. */
struct agents {
	int fd[SLOT_MAX];
};

/* A monitor can make each close take as long as it wants (vmm/port.h), so they come last, when
 * nothing waits for them but the answer. */
static void agents_close(struct agents *a)
{
	fdio_close_all(a->fd, SLOT_MAX);
}

struct asking {
	struct ctl *ctl;
	const struct list *list;
	struct agents *agents;
	atomic_size_t next;
	uint64_t end_ns;
};

static void *ask_some(void *arg)
{
	struct asking *a = arg;
	uint64_t now;

	for (size_t i; (i = atomic_fetch_add(&a->next, 1)) < a->list->n &&
		       (now = clock_boot_ns()) < a->end_ns;) {
		const struct vm *vm = &a->list->v[i];
		_cleanup_close_ int pidfd = watch_pidfd(a->ctl->watch, vm->id);
		if (vm->slot < SLOT_MAX && pidfd_alive(pidfd))
			(void)power_off_ask(a->ctl, vm, pidfd, (a->end_ns - now) / 1000000u,
					    &a->agents->fd[vm->slot]);
	}
	return NULL;
}

/* Ask many guests at the same time.  VMMs that do not answer must not use up the time of the other
 * guests. */
static void ask(struct ctl *c, const struct list *l, struct agents *agents, uint64_t end)
{
	struct asking a = { .ctl = c, .list = l, .agents = agents, .end_ns = end };
	pthread_t threads[ASK_THREADS];
	size_t n = 0;

	while (n < ASK_THREADS && n + 1 < l->n &&
	       pthread_create(&threads[n], NULL, ask_some, &a) == 0)
		n++;
	(void)ask_some(&a);
	while (n)
		(void)pthread_join(threads[--n], NULL);
}

/* Ask the guests until no VMM lives, or until @end. */
static int power_off(struct ctl *c, struct list *l, struct agents *agents, uint64_t end,
		     struct error *e)
{
	uint64_t due = 0;

	for (;;) {
		size_t living = 0;
		if (collect(c, l, e) < 0)
			return -1;
		for (size_t i = 0; i < l->n; i++)
			living += lives(c, &l->v[i]);
		uint64_t now = clock_boot_ns();
		if (!living || now >= end)
			return 0;
		if (now >= due) {
			ask(c, l, agents, end);
			due = now + VMM_SHUTDOWN_AGAIN_MS * 1000000ull;
		}
		(void)poll(NULL, 0, LOOK_MS);
	}
}

/* Kill the VMM, interrupt a running operation, and release the VM.  The desired state stays. */
static void kill_and_release(struct ctl *c, const uint8_t id[ID_LEN])
{
	struct operation o;
	struct error e = { 0 };
	struct vm vm;

	operation_own(&o);
	vm_lock_take(c->vm_locks, id, VM_LOCK_INTERRUPT, &o.cancelled);
	if (db_vm_by_id(c->db, id, &vm, &e) == 0 && !vm_at_rest(&vm)) {
		(void)snprintf(vm.reason, sizeof(vm.reason), VM_REASON_DRAINED);
		int r = operation_begin_state(c, &o, OPERATION_KILL, &vm, VM_STOPPING, &e);
		if (r == 0)
			r = operation_end(c, &o, vm_release(c, &vm, vm_rest_state(&vm), &o, &e),
					  &e);
		if (r < 0)
			log_error("%s: %s", vm.name, e.why);
	}
	vm_lock_give(c->vm_locks, id);
}

int host_drain(struct ctl *c, uint64_t timeout_ms, struct drained *out, struct error *e)
{
	__attribute__((cleanup(list_free))) struct list l = { 0 };
	__attribute__((cleanup(agents_close))) struct agents agents;

	memset(&agents, 0xff, sizeof(agents)); /* -1 */
	*out = (struct drained){ 0 };
	atomic_store(&c->draining, true);
	log_info("the host goes down: VMs are powered off, none is started");
	if (collect(c, &l, e) < 0)
		return -1;
	out->vms = (unsigned)l.n;
	if (power_off(c, &l, &agents, clock_boot_ns() + timeout_ms * 1000000u, e) < 0)
		return -1;
	for (size_t i = 0; i < l.n; i++) {
		out->killed += lives(c, &l.v[i]);
		kill_and_release(c, l.v[i].id);
	}
	if (collect(c, &l, e) < 0)
		return -1;
	out->left = (unsigned)l.n;
	return 0;
}
