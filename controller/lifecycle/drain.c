/* drain.c - ends all VMs before the host shuts down: asks all guests to power off at once, as a
 * stop does, and kills those that do not in time.
 *
 * The desired state of the VMs stays, so restart policies start them after the next boot.  No VM is
 * started any more by this controller; the host's service manager is about to stop it.
 *
 * Each guest is asked in a thread, and no thread is waited for: a monitor that was taken over can
 * hold one up, and the time of all guests is the same.  What the threads share is freed by the last
 * one that has it. */
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
#define ASK_THREADS 64 /* of one round */
#define ASK_MOST 256   /* of all rounds: those of earlier ones may be held up */

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

/* What host_drain() and its threads share. */
struct asking {
	struct ctl *ctl;
	uint64_t end_ns;
	pthread_mutex_t lock; /* guards what follows */
	unsigned users;       /* threads, and host_drain() */
	struct list list;     /* of the latest round; those from @next on are to be asked */
	size_t next;
	bool busy[SLOT_MAX]; /* a thread asks the VM of that slot */
	/* of each slot: the connection to the agent that was told to end its guest, of the thread
	 * that asks; -1: none */
	int agent[SLOT_MAX];
};

static struct asking *asking_begin(struct ctl *c, uint64_t end_ns)
{
	struct asking *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->ctl = c;
	a->end_ns = end_ns;
	a->users = 1;
	(void)pthread_mutex_init(&a->lock, NULL);
	memset(a->agent, 0xff, sizeof(a->agent)); /* -1 */
	return a;
}

/* A monitor can make each close take as long as it wants (vmm/port.h). */
static void asking_free(struct asking *a)
{
	fdio_close_all(a->agent, SLOT_MAX);
	list_free(&a->list);
	(void)pthread_mutex_destroy(&a->lock);
	free(a);
}

/* Return: true if the caller was the last one: it frees @a. */
static bool asking_leave(struct asking *a)
{
	(void)pthread_mutex_lock(&a->lock);
	const bool last = --a->users == 0;
	(void)pthread_mutex_unlock(&a->lock);
	return last;
}

/* Start a thread that is not joined; it takes itself off c->asking.  Return: 0 or -1. */
static int begin_thread(struct ctl *c, void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	atomic_fetch_add(&c->asking, 1);
	if (pthread_create(&thread, NULL, fn, arg) == 0) {
		(void)pthread_detach(thread);
		return 0;
	}
	atomic_fetch_sub(&c->asking, 1);
	return -1;
}

static void *free_apart(void *arg)
{
	struct asking *a = arg;
	struct ctl *c = a->ctl;

	asking_free(a);
	atomic_fetch_sub(&c->asking, 1);
	return NULL;
}

/* The drain is over: the answer does not wait for threads, nor for monitors. */
static void asking_end(struct asking *a)
{
	if (asking_leave(a) && begin_thread(a->ctl, free_apart, a) < 0)
		asking_free(a);
}

/* Take the next VM that no thread asks.  Return: false if there is none, or no time. */
static bool take_vm(struct asking *a, struct vm *vm)
{
	bool taken = false;

	(void)pthread_mutex_lock(&a->lock);
	while (!taken && a->next < a->list.n && clock_boot_ns() < a->end_ns) {
		*vm = a->list.v[a->next++];
		taken = vm->slot < SLOT_MAX && !a->busy[vm->slot];
	}
	if (taken)
		a->busy[vm->slot] = true;
	(void)pthread_mutex_unlock(&a->lock);
	return taken;
}

static void ask_one(struct asking *a, const struct vm *vm)
{
	_cleanup_close_ int pidfd = watch_pidfd(a->ctl->watch, vm->id);
	const uint64_t now = clock_boot_ns(), left = a->end_ns > now ? a->end_ns - now : 0;

	if (pidfd_alive(pidfd))
		(void)power_off_ask(a->ctl, vm, pidfd, left / 1000000u + 1, &a->agent[vm->slot]);
	(void)pthread_mutex_lock(&a->lock);
	a->busy[vm->slot] = false;
	(void)pthread_mutex_unlock(&a->lock);
}

static void ask_some(struct asking *a)
{
	struct vm vm;

	while (take_vm(a, &vm))
		ask_one(a, &vm);
}

static void *ask_apart(void *arg)
{
	struct asking *a = arg;
	struct ctl *c = a->ctl;

	ask_some(a);
	if (asking_leave(a))
		asking_free(a);
	atomic_fetch_sub(&c->asking, 1);
	return NULL;
}

/* Begin a round: ask many guests at the same time, and wait for none.  @l: is taken. */
static void ask(struct asking *a, struct list *l)
{
	const size_t n = l->n < ASK_THREADS ? l->n : ASK_THREADS;

	(void)pthread_mutex_lock(&a->lock);
	list_free(&a->list);
	a->list = *l;
	a->next = 0;
	*l = (struct list){ 0 };
	for (size_t i = 0; i < n && a->users <= ASK_MOST; i++)
		if (begin_thread(a->ctl, ask_apart, a) == 0)
			a->users++;
	const bool alone = a->users == 1;
	(void)pthread_mutex_unlock(&a->lock);
	if (alone) /* no thread can be started */
		ask_some(a);
}

/* Ask the guests until no VMM lives, or until the end. */
static int power_off(struct asking *a, struct list *l, struct error *e)
{
	uint64_t due = 0;

	for (;;) {
		size_t living = 0;
		if (collect(a->ctl, l, e) < 0)
			return -1;
		for (size_t i = 0; i < l->n; i++)
			living += lives(a->ctl, &l->v[i]);
		uint64_t now = clock_boot_ns();
		if (!living || now >= a->end_ns)
			return 0;
		if (now >= due) {
			ask(a, l);
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

/* Return: 0, or -1 with @e. */
static int power_off_all(struct ctl *c, uint64_t timeout_ms, struct list *l, struct error *e)
{
	struct asking *a = asking_begin(c, clock_boot_ns() + timeout_ms * 1000000u);

	if (!a)
		return error_set(e, FAIL_HOST, "drain", "out of memory");
	int r = power_off(a, l, e);
	asking_end(a);
	return r;
}

int host_drain(struct ctl *c, uint64_t timeout_ms, struct drained *out, struct error *e)
{
	__attribute__((cleanup(list_free))) struct list l = { 0 };

	*out = (struct drained){ 0 };
	atomic_store(&c->draining, true);
	log_info("the host goes down: VMs are powered off, none is started");
	if (collect(c, &l, e) < 0)
		return -1;
	out->vms = (unsigned)l.n;
	if (power_off_all(c, timeout_ms, &l, e) < 0)
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

void host_drain_wait(struct ctl *c)
{
	while (atomic_load(&c->asking))
		(void)poll(NULL, 0, LOOK_MS);
}
