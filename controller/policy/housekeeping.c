/* housekeeping.c - the schedule: a cycle every two seconds finds the actions that are due.
 *
 * A cycle decides by a VM's row and by the policy state that earlier cycles kept for its slot in
 * memory.  A restart of the controller resets this state.  A cycle only reads and queues.  The
 * queued action takes the operation lock and checks the row again, since a user's request may have
 * come first.
 *
 *   state of the VM                    action
 *   at rest, desired state running,    restart after 1, 2, 4 ... 60 s; one VM a cycle, so that the
 *     has a restart policy             VMs of a host do not all start at once after a boot; the
 *                                      restart is cancelled after restart_max in a row
 *   at rest, its guest has rebooted    restart at once, then after 2, 4 ... 60 s; cancelled
 *                                      after VM_REBOOTS_MOST in a row
 *   running for STEADY_S               the count of restarts in a row is reset
 *   running, idle for auto_stop_s      stop; idle.c takes the samples
 *   running, its agent has not         ask the agent, at once and whenever a quarter of the time
 *     answered since the start         since the start has passed
 *   running, its VMM has exited        exit handler again: it could not record the exit
 *   held, and without a holder since   the holder has hold_grace_s to come back (unheld.h)
 *     before the start of the service
 *   degraded, without a living VMM,    release again every RETRY_S
 *     or with one that must be killed
 *   starting or stopping, without an   release again every RETRY_S: the release failed, and the
 *     operation                        failure could not be recorded
 *
 * Every REPAIR_S, and soon after the net role reported a removed object, online.c compares kernel
 * and database.  It makes missing objects again; where that is impossible the VM becomes degraded.
 * The state database is copied once a day.  While its file is missing or replaced, a rescue copy is
 * written every REPAIR_S. */
#include "controller/policy/housekeeping.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/lock.h"
#include "common/log.h"
#include "controller/db/db.h"
#include "controller/observe/usage.h"
#include "controller/lifecycle/exit.h"
#include "controller/lifecycle/hold.h"
#include "controller/lifecycle/operation.h"
#include "controller/lifecycle/vm_lock.h"
#include "controller/objects/release.h"
#include "controller/policy/actions.h"
#include "controller/policy/idle.h"
#include "controller/db/preflight.h"
#include "controller/recovery/online.h"
#include "controller/vmm/watch.h"
#include "controller/workers.h"

#define SECOND 1000000000ull
#define REPAIR_S 10
#define HURRY_S 1
#ifndef BANGER_FAILPOINTS
#define PASS_MS 2000
#define RETRY_S 15
#define PROBES_OF_OWNER \
	4 /* at once: a monitor that was taken over may make each as long as it wants */
#else
#define PASS_MS 100 /* the crash test waits for cycles */
#define RETRY_S 1
#define PROBES_OF_OWNER 0 /* the crash test's ways are those of its verbs */
#endif
#define STEADY_S 60
#define LONGEST_WAIT_S 60
#define BACKUP_S (24 * 3600)

struct vm_policy {
	struct housekeeping *owner;
	void (*job)(struct ctl *c, const uint8_t id[ID_LEN]); /* queued or running; NULL: none */
	uint8_t vm[ID_LEN];
	uint64_t due_ns;     /* time of the next attempt; 0: none is planned */
	uint64_t up_ns;      /* first cycle that saw this start running; 0: it does not run */
	uint64_t probed_ns;  /* latest question to the agent of that start; 0: none */
	uint32_t owner_uid;  /* of the VM */
	unsigned tries;      /* restarts in a row */
	uint64_t started_ns; /* vm.started_ns of the start that up_ns belongs to */
};

/* The schedule has two locks, and no thread holds both.  A cycle holds @lock while it reads the
 * database and the kernel.  The main thread must not wait for them, so it only takes @times. */
struct housekeeping {
	struct ctl *ctl;
	pthread_mutex_t times, lock;
	bool busy; /* a cycle is queued or running */
	/* the next cycle, the next cycle with a repair, the start of the latest repair */
	uint64_t next_ns, repair_ns, repaired_ns;
	struct vm_policy slots[SLOT_MAX];
};

struct pass {
	struct housekeeping *k;
	uint64_t now;
	char *network;
	/* the restart that has been due for the longest time, and its job: a cycle queues one */
	struct vm_policy *next;
	void (*next_job)(struct ctl *c, const uint8_t id[ID_LEN]);
};

struct housekeeping *housekeeping_open(struct ctl *c)
{
	struct housekeeping *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->ctl = c;
	k->repaired_ns = clock_boot_ns(); /* startup_reconcile() has just run */
	k->repair_ns = k->repaired_ns + REPAIR_S * SECOND;
	(void)pthread_mutex_init(&k->times, NULL);
	(void)pthread_mutex_init(&k->lock, NULL);
	for (uint32_t i = 0; i < SLOT_MAX; i++)
		k->slots[i].owner = k;
	return k;
}

void housekeeping_close(struct housekeeping *k)
{
	if (!k)
		return;
	(void)pthread_mutex_destroy(&k->times);
	(void)pthread_mutex_destroy(&k->lock);
	free(k);
}

/* ---- jobs ---- */

static void do_job(struct ctl *c, void *arg)
{
	struct vm_policy *s = arg;
	void (*job)(struct ctl *, const uint8_t[ID_LEN]);
	uint8_t id[ID_LEN];

	(void)pthread_mutex_lock(&s->owner->lock);
	job = s->job;
	memcpy(id, s->vm, ID_LEN);
	(void)pthread_mutex_unlock(&s->owner->lock);
	job(c, id);
	_cleanup_unlock_ struct lock_guard g = lock_guard(&s->owner->lock);
	s->job = NULL;
}

static bool queue_job(struct vm_policy *s, void (*job)(struct ctl *c, const uint8_t id[ID_LEN]))
{
	s->job = job;
	if (workers_run(s->owner->ctl->workers, do_job, s) == 0)
		return true;
	s->job = NULL; /* the queue is full: the next cycle tries again */
	return false;
}

/* ---- one VM ---- */

/* Return: the number of VMs of an owner whose agents are being asked. */
static unsigned probes_of(const struct housekeeping *k, uint32_t owner)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < SLOT_MAX; i++)
		n += k->slots[i].job == vm_probe && k->slots[i].owner_uid == owner;
	return n;
}

/* Ask the agent, if it is due. */
static void probe(struct pass *p, struct vm_policy *s, const struct vm *vm)
{
	struct ctl *c = p->k->ctl;

	if (c->config.agent_ports == 0 || watch_is_ready(c->watch, vm->id) ||
	    p->now - s->probed_ns < (p->now - s->up_ns) / 4 ||
	    probes_of(p->k, vm->owner) + 1 > PROBES_OF_OWNER)
		return;
	s->owner_uid = vm->owner;
	s->probed_ns = p->now;
	(void)queue_job(s, vm_probe);
}

static void when_running(struct pass *p, struct vm_policy *s, const struct vm *vm)
{
	/* The exit handler ran and could not record the exit, for example on a full disk. */
	if (watch_life(p->k->ctl->watch, vm->id) != WATCH_LIVES) {
		(void)queue_job(s, vm_on_exit);
		return;
	}
	/* The VM may have been stopped and started since the last cycle. */
	if (s->started_ns != vm->started_ns)
		s->up_ns = 0;
	s->started_ns = vm->started_ns;
	if (!s->up_ns)
		s->up_ns = s->probed_ns = p->now;
	if (p->now - s->up_ns >= STEADY_S * SECOND)
		s->tries = 0;
	s->due_ns = 0;
	idle_sample(p->k->ctl, vm, p->network, p->now);
	if (vm->auto_stop_s && idle_seconds(p->k->ctl->idle, vm) >= vm->auto_stop_s)
		(void)queue_job(s, vm_auto_stop);
	else
		probe(p, s, vm);
}

static uint64_t wait_ns(unsigned tries)
{
	uint64_t s = tries < 6 ? 1ull << tries : LONGEST_WAIT_S;

	return s * SECOND;
}

/* Return: whether a VM that has been started @tries times in a row is not started once more. */
static bool is_enough(const struct vm *vm, unsigned tries)
{
	if (vm->rebooted)
		return tries >= VM_REBOOTS_MOST;
	return vm->restart_max && tries >= vm->restart_max;
}

static void when_at_rest(struct pass *p, struct vm_policy *s, const struct vm *vm)
{
	if (!vm_starts_again(vm)) {
		s->tries = 0;
		s->due_ns = 0;
		return;
	}
	/* A reboot is no failure: the first one does not wait. */
	if (!s->due_ns)
		s->due_ns = p->now + (vm->rebooted && !s->tries ? 0 : wait_ns(s->tries));
	if (p->now < s->due_ns || (p->next && p->next->due_ns <= s->due_ns))
		return;
	p->next = s;
	p->next_job = is_enough(vm, s->tries) ? vm_give_up : vm_revive;
}

/* One user's VMs can not keep another's waiting for ever: the longest wait ends first. */
static void start_next(struct pass *p)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&p->k->lock);
	if (!p->next || !queue_job(p->next, p->next_job))
		return;
	p->next->tries++;
	p->next->due_ns = 0;
}

/* The VM is degraded, starting or stopping. */
static void when_holding(struct pass *p, struct vm_policy *s, const struct vm *vm)
{
	if (vm_lock_is_taken(p->k->ctl->vm_locks, vm->id) || !vm_release_due(p->k->ctl, vm)) {
		s->due_ns = 0;
		return;
	}
	if (!s->due_ns)
		s->due_ns = p->now + RETRY_S * SECOND;
	if (p->now >= s->due_ns && queue_job(s, vm_release_again))
		s->due_ns = 0;
}

static int visit_vm(void *arg, const struct vm *vm)
{
	struct pass *p = arg;

	if (vm->slot >= SLOT_MAX)
		return 0;
	hold_note(p->k->ctl->holds, vm, p->now + p->k->ctl->config.hold_grace_s * SECOND);
	_cleanup_unlock_ struct lock_guard g = lock_guard(&p->k->lock);
	struct vm_policy *s = &p->k->slots[vm->slot];
	if (s->job)
		return 0;
	if (memcmp(s->vm, vm->id, ID_LEN) != 0) {
		*s = (struct vm_policy){ .owner = p->k };
		memcpy(s->vm, vm->id, ID_LEN);
	}
	if (vm->state == VM_RUNNING) {
		when_running(p, s, vm);
		return 0;
	}
	s->up_ns = 0;
	idle_forget(p->k->ctl->idle, vm->slot);
	if (vm_at_rest(vm))
		when_at_rest(p, s, vm);
	else
		when_holding(p, s, vm);
	return 0;
}

void housekeeping_pass(struct housekeeping *k, uint64_t now_ns)
{
	struct pass p = { .k = k, .now = now_ns, .network = stats_network(k->ctl) };
	struct error e = { 0 };

	if (db_vm_each(k->ctl->db, NULL, true, visit_vm, &p, &e) < 0)
		log_warn("the VMs can not be looked after: %s", e.why);
	start_next(&p);
	free(p.network);
}

static bool repair_due(struct housekeeping *k, uint64_t now)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&k->times);
	if (now < k->repair_ns)
		return false;
	k->repaired_ns = now;
	k->repair_ns = now + REPAIR_S * SECOND;
	return true;
}

/* Copy the state database, unless the disk is nearly full: its last free space is for stops. */
static void back_up(struct ctl *c)
{
	struct error e = { 0 };

	if (room_check(&c->config, "backup", &e) < 0)
		return;
	if (db_in_place(c->db, "state", &e) < 0) {
		log_error("%s; hint: %s", e.why, e.hint);
		if (db_rescue(c->db, &e) < 0)
			log_error("%s: %s", e.what, e.why);
	} else if (db_backup(c->db, BACKUP_S, &e) < 0) {
		log_warn("%s: %s", e.what, e.why);
	}
}

static void pass_job(struct ctl *c, void *arg)
{
	static const struct repair_options restore = { .restore = true };
	struct housekeeping *k = arg;
	struct repaired n;
	struct error e = { 0 };

	housekeeping_pass(k, clock_boot_ns());
	if (repair_due(k, clock_boot_ns())) {
		if (online_repair(c, &restore, &n, &e) < 0)
			log_warn("kernel and records can not be compared: %s", e.why);
		back_up(c);
	}
	_cleanup_unlock_ struct lock_guard g = lock_guard(&k->times);
	k->busy = false;
	k->next_ns = clock_boot_ns() + PASS_MS * (SECOND / 1000);
	if (k->next_ns > k->repair_ns)
		k->next_ns = k->repair_ns;
}

void housekeeping_hurry(struct housekeeping *k)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&k->times);
	uint64_t soon = k->repaired_ns + HURRY_S * SECOND;
	if (k->repair_ns > soon)
		k->repair_ns = soon;
	if (k->next_ns > soon)
		k->next_ns = soon;
}

void housekeeping_tick(struct housekeeping *k)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&k->times);
	if (k->ctl->draining || k->busy || clock_boot_ns() < k->next_ns)
		return;
	k->busy = workers_run(k->ctl->workers, pass_job, k) == 0;
}
