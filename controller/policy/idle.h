/* idle.h - how long each running VM has been idle, from samples of its processor time and its
 * network counters. */
#ifndef BANGER_CONTROLLER_POLICY_IDLE_H
#define BANGER_CONTROLLER_POLICY_IDLE_H

#include "controller/ctl.h"

/* The samples of all slots, none taken yet.  They are in memory only: a restart of the
 * controller begins anew.
 * Return: NULL when there is no memory for it. */
struct idle *idle_open(void);
void idle_close(struct idle *i); /* after the workers have ended */

/**
 * idle_sample() - sample a running VM, if its last sample is old enough
 * @vm:		its slot is below SLOT_MAX
 * @network:	of stats_network(), or NULL: then the VM does not count as idle
 * @now_ns:	of clock_boot_ns()
 *
 * Samples of another VM, or of an earlier start of this one, are dropped.  Thread-safe.
 */
void idle_sample(struct ctl *c, const struct vm *vm, const char *network, uint64_t now_ns);

/* Drop the samples of a slot below SLOT_MAX: its VM does not run.  Thread-safe. */
void idle_forget(struct idle *i, uint32_t slot);

/* How long the VM was idle when it was sampled last, in seconds.  0: it was not idle, there are
 * no two samples of its latest start, or @i is NULL.  Thread-safe. */
uint32_t idle_seconds(struct idle *i, const struct vm *vm);

#endif
