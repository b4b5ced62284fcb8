/* idle.c - samples the use of running VMs by slot, and decides which use counts as idle. */
#include "controller/policy/idle.h"

#include <stdlib.h>
#include <string.h>

#include "common/lock.h"
#include "controller/observe/usage.h"

#define SECOND 1000000000ull

/* Limits below which a guest counts as idle: an idle guest still runs timers and answers ARP. */
#define SAMPLE_S 10
#define IDLE_CPU_PERCENT 10
#define IDLE_BYTES (8 * 1024)

struct idle_sample {
	uint8_t vm[ID_LEN];
	uint64_t started_ns; /* vm.started_ns of the start that the samples belong to */
	struct stats last;
	uint64_t sampled_ns, active_ns; /* sampled_ns 0: no sample, and active_ns is not valid */
};

struct idle {
	pthread_mutex_t lock;
	struct idle_sample slots[SLOT_MAX];
};

struct idle *idle_open(void)
{
	struct idle *i = calloc(1, sizeof(*i));

	if (i)
		(void)pthread_mutex_init(&i->lock, NULL);
	return i;
}

void idle_close(struct idle *i)
{
	if (!i)
		return;
	(void)pthread_mutex_destroy(&i->lock);
	free(i);
}

static bool is_of(const struct idle_sample *s, const struct vm *vm)
{
	return memcmp(s->vm, vm->id, ID_LEN) == 0 && s->started_ns == vm->started_ns;
}

static void sample(struct ctl *c, struct idle_sample *s, const struct vm *vm, const char *network,
		   uint64_t now_ns)
{
	struct stats now;

	if (s->sampled_ns && now_ns - s->sampled_ns < SAMPLE_S * SECOND)
		return;
	if (!network || stats_read(c, vm, network, &now) < 0) {
		s->sampled_ns = 0; /* a VM without a sample does not count as idle */
		return;
	}
	uint64_t us = (now_ns - s->sampled_ns) / 1000;
	bool busy = !s->sampled_ns || now.cpu_us - s->last.cpu_us > us * IDLE_CPU_PERCENT / 100 ||
		    now.received + now.sent - s->last.received - s->last.sent > IDLE_BYTES;
	if (busy)
		s->active_ns = now_ns;
	s->last = now;
	s->sampled_ns = now_ns;
}

void idle_sample(struct ctl *c, const struct vm *vm, const char *network, uint64_t now_ns)
{
	struct idle_sample *s = &c->idle->slots[vm->slot];
	_cleanup_unlock_ struct lock_guard g = lock_guard(&c->idle->lock);

	if (!is_of(s, vm)) {
		*s = (struct idle_sample){ .started_ns = vm->started_ns };
		memcpy(s->vm, vm->id, ID_LEN);
	}
	sample(c, s, vm, network, now_ns);
}

void idle_use(struct idle *i, const struct vm *vm, uint64_t now_ns)
{
	if (!i || vm->slot >= SLOT_MAX)
		return;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&i->lock);
	if (is_of(&i->slots[vm->slot], vm))
		i->slots[vm->slot].active_ns = now_ns;
}

void idle_forget(struct idle *i, uint32_t slot)
{
	_cleanup_unlock_ struct lock_guard g = lock_guard(&i->lock);

	i->slots[slot].sampled_ns = 0;
}

uint32_t idle_seconds(struct idle *i, const struct vm *vm)
{
	if (!i || vm->slot >= SLOT_MAX)
		return 0;
	_cleanup_unlock_ struct lock_guard g = lock_guard(&i->lock);
	const struct idle_sample *s = &i->slots[vm->slot];
	/* it may have been used after its latest sample */
	if (!is_of(s, vm) || !s->sampled_ns || s->active_ns >= s->sampled_ns)
		return 0;
	return (uint32_t)((s->sampled_ns - s->active_ns) / SECOND);
}
