/* idle.h - how long each running VM has been idle, from samples of its processor time and its
 * network counters. */
#ifndef BANGER_CONTROLLER_POLICY_IDLE_H
#define BANGER_CONTROLLER_POLICY_IDLE_H

#include "controller/ctl.h"

/* Make an empty table of samples.  It is in memory only: a restart of the controller loses it.
 * Return: the table, or NULL when there is no memory. */
struct idle *idle_open(void);

/* Free it.  The workers must have ended. */
void idle_close(struct idle *i);

/**
 * idle_sample() - sample a running VM, if its last sample is old enough
 * @vm:		its slot is below SLOT_MAX
 * @network:	result of stats_network(); NULL: unknown, and the VM does not count as idle
 * @now_ns:	of clock_boot_ns()
 *
 * Samples of another VM in the slot, or of an earlier start of this VM, are dropped.  Thread-safe.
 */
void idle_sample(struct ctl *c, const struct vm *vm, const char *network, uint64_t now_ns);

/**
 * idle_use() - note that a user has begun to use the VM at @now_ns, of clock_boot_ns()
 * @i:	NULL counts as a table without samples
 *
 * A session of the agent needs little processor time, and no network.  The time since which the VM
 * is idle begins again with each session; the table does not know when one ends.  Thread-safe.
 */
void idle_use(struct idle *i, const struct vm *vm, uint64_t now_ns);

/* Drop the samples of @slot (below SLOT_MAX), whose VM does not run.  Thread-safe. */
void idle_forget(struct idle *i, uint32_t slot);

/**
 * idle_seconds() - how long the VM had been idle at its latest sample
 * @i:	NULL counts as a table without samples
 *
 * Thread-safe.
 * Return: seconds; 0 when the VM was not idle, or its latest start has fewer than two samples.
 */
uint32_t idle_seconds(struct idle *i, const struct vm *vm);

#endif
